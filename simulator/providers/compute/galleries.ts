// Azure Compute Galleries: definitions, versions and replication.
// Recorded: gallery-definition-and-version.json, gallery-version-replication-status-completed.json. Recordings have
// both
// normalized ("eastus2") and display names in `summary[].region`.
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { displayName, regionName } from '../regions.ts';

export type ReplicationState = 'Unknown' | 'Replicating' | 'Completed' | 'Failed';

/** One target region of a version. Replicates over time if `completesAt` is set. */
export interface Replica {
  /** Display name or normalized name, returned as is. */
  readonly region: string;
  state: ReplicationState;
  progress: number;
  details?: string;
  excludeFromLatest?: boolean;
  /** Simulated seconds: replication runs from `startedAt` to `completesAt`. */
  startedAt?: number;
  completesAt?: number;
}

export interface GalleryOptions {
  readonly subscription: string;
  readonly group: string;
  readonly name: string;
  readonly location: string;
  /** Tenants or subscriptions with direct access, under `/sharedGalleries/<subscription>-<NAME>`. */
  readonly sharedWith?: readonly string[];
  /** Public name of a community gallery. */
  readonly publicName?: string;
}

export interface DefinitionOptions {
  readonly osType: 'Linux' | 'Windows';
  readonly osState?: 'Generalized' | 'Specialized';
  readonly generation?: 'V1' | 'V2';
  readonly architecture?: 'x64' | 'Arm64';
  readonly features?: Readonly<Record<string, string>>;
  readonly purchasePlan?: PurchasePlan;
  readonly endOfLifeDate?: string;
}

export interface PurchasePlan {
  readonly name: string;
  readonly publisher: string;
  readonly product: string;
}

export interface VersionOptions {
  /** A name alone means Completed. */
  readonly regions: readonly (string | (Partial<Replica> & { region: string; completesAfter?: number }))[];
  readonly excludeFromLatest?: boolean;
  /** Default: Succeeded, or Updating while a region is replicating. */
  readonly provisioningState?: 'Creating' | 'Updating' | 'Failed' | 'Succeeded';
  readonly endOfLifeDate?: string;
  /** ISO 8601: the version is soft-deleted and served until then, by its exact ID only. */
  readonly softDeletedUntil?: string;
  readonly osDiskSizeGB?: number;
  readonly dataDisks?: readonly { lun: number; sizeInGB: number }[];
}

export const galleryType = 'Microsoft.Compute/galleries';
export const definitionType = 'Microsoft.Compute/galleries/images';
export const versionType = 'Microsoft.Compute/galleries/images/versions';

/** Adds a gallery and returns its ID. */
export function addGallery(world: World, options: GalleryOptions): string {
  const id = `/subscriptions/${options.subscription}/resourceGroups/${options.group}/providers/Microsoft.Compute/galleries/${options.name}`;
  const permissions =
    options.publicName !== undefined ? 'Community' : options.sharedWith !== undefined ? 'Groups' : undefined;
  world.resources.put({
    id,
    type: galleryType,
    body: {
      name: options.name,
      id,
      type: galleryType,
      location: options.location,
      properties: {
        identifier: { uniqueName: `${options.subscription}-${options.name.toUpperCase()}` },
        ...(permissions === undefined ? {} : { sharingProfile: { permissions } }),
        provisioningState: 'Succeeded',
      },
    },
    internal: { sharedWith: options.sharedWith, publicName: options.publicName },
  });
  return id;
}

/** Adds an image definition and returns its ID. */
export function addDefinition(world: World, gallery: string, name: string, options: DefinitionOptions): string {
  const id = `${gallery}/images/${name}`;
  const parent = world.resources.get(gallery);
  if (parent === undefined) throw new Error(`no gallery ${gallery}`);
  const properties: Json = {
    hyperVGeneration: options.generation ?? 'V2',
    ...(options.features === undefined
      ? {}
      : { features: Object.entries(options.features).map(([key, value]) => ({ name: key, value })) }),
    osType: options.osType,
    osState: options.osState ?? 'Generalized',
    ...(options.endOfLifeDate === undefined ? {} : { endOfLifeDate: options.endOfLifeDate }),
    identifier: { publisher: 'contoso', offer: 'images', sku: name },
    ...(options.purchasePlan === undefined ? {} : { purchasePlan: { ...options.purchasePlan } }),
    architecture: options.architecture ?? 'x64',
    provisioningState: 'Succeeded',
  };
  world.resources.put({
    id,
    type: definitionType,
    body: { name, id, type: definitionType, location: parent.body['location'], properties },
  });
  return id;
}

/** Adds an image version and returns its ID. */
export function addVersion(world: World, definition: string, name: string, options: VersionOptions): string {
  const id = `${definition}/versions/${name}`;
  const parent = world.resources.get(definition);
  if (parent === undefined) throw new Error(`no image definition ${definition}`);
  const now = world.clock.now();
  const replicas: Replica[] = options.regions.map((region) => {
    if (typeof region === 'string') return { region, state: 'Completed', progress: 100 };
    const { completesAfter, ...rest } = region;
    const running = completesAfter === undefined ? {} : { startedAt: now, completesAt: now + completesAfter };
    const state = rest.state ?? (completesAfter === undefined ? 'Completed' : 'Replicating');
    return { progress: state === 'Completed' ? 100 : 0, ...rest, state, ...running };
  });
  world.resources.put({
    id,
    type: versionType,
    body: {
      name,
      id,
      type: versionType,
      location: parent.body['location'],
      properties: {
        publishingProfile: {
          targetRegions: replicas.map((replica) => ({
            name: displayName(replica.region),
            regionalReplicaCount: 1,
            storageAccountType: 'Standard_LRS',
            ...(replica.excludeFromLatest === undefined ? {} : { excludeFromLatest: replica.excludeFromLatest }),
          })),
          replicaCount: 1,
          excludeFromLatest: options.excludeFromLatest ?? false,
          publishedDate: world.clock.timestamp(now - 86_400),
          ...(options.endOfLifeDate === undefined ? {} : { endOfLifeDate: options.endOfLifeDate }),
          storageAccountType: 'Standard_LRS',
          replicationMode: 'Full',
        },
        storageProfile: {
          osDiskImage: { sizeInGB: options.osDiskSizeGB ?? 30, hostCaching: 'ReadWrite', source: {} },
          ...(options.dataDisks === undefined
            ? {}
            : {
                dataDiskImages: options.dataDisks.map((disk) => ({
                  lun: disk.lun,
                  sizeInGB: disk.sizeInGB,
                  hostCaching: 'ReadOnly',
                })),
              }),
        },
        safetyProfile: { allowDeletionOfReplicatedLocations: false, reportedForPolicyViolation: false },
        ...(options.softDeletedUntil === undefined
          ? {}
          : { imageState: 'SoftDeleted', consumptionEndTime: options.softDeletedUntil }),
      },
    },
    internal: { replicas, provisioningState: options.provisioningState },
  });
  return id;
}

/**
 * Starts or sets the replication of a version to a region. `completesAfter` in simulated seconds; without it the
 * state does not change over time.
 */
export function replicate(
  world: World,
  version: string,
  region: string,
  change: { state?: ReplicationState; progress?: number; details?: string; completesAfter?: number },
): void {
  const resource = world.resources.get(version);
  if (resource === undefined) throw new Error(`no image version ${version}`);
  const replicas = replicasOf(resource);
  const now = world.clock.now();
  const { completesAfter, ...rest } = change;
  const running = completesAfter === undefined ? {} : { startedAt: now, completesAt: now + completesAfter };
  const state = change.state ?? (completesAfter === undefined ? 'Completed' : 'Replicating');
  const next: Replica = { region, progress: state === 'Completed' ? 100 : 0, ...rest, state, ...running };
  const at = replicas.findIndex((replica) => regionName(replica.region) === regionName(region));
  const targets: Json[] = resource.body['properties'].publishingProfile.targetRegions;
  if (at >= 0) {
    replicas[at] = next;
  } else {
    replicas.push(next);
    targets.push({ name: displayName(region), regionalReplicaCount: 1, storageAccountType: 'Standard_LRS' });
  }
}

function replicasOf(version: Resource): Replica[] {
  return version.internal['replicas'] as Replica[];
}

function currentReplica(world: World, replica: Replica): Replica {
  const { startedAt, completesAt } = replica;
  if (startedAt === undefined || completesAt === undefined || replica.state !== 'Replicating') return replica;
  const now = world.clock.now();
  if (now >= completesAt) return { ...replica, state: 'Completed', progress: 100 };
  const progress = Math.floor(((now - startedAt) / (completesAt - startedAt)) * 100);
  return { ...replica, progress: Math.max(replica.progress, progress) };
}

export function replicaIn(world: World, version: Resource, location: string): Replica | undefined {
  const found = replicasOf(version).find((replica) => regionName(replica.region) === regionName(location));
  return found && currentReplica(world, found);
}

export function provisioningState(world: World, version: Resource): string {
  const set: unknown = version.internal['provisioningState'];
  if (typeof set === 'string') return set;
  return replicasOf(version).some((replica) => currentReplica(world, replica).state === 'Replicating')
    ? 'Updating'
    : 'Succeeded';
}

export function versionBody(world: World, version: Resource, expand: boolean): Json {
  const properties: Json = {
    ...version.body['properties'],
    provisioningState: provisioningState(world, version),
  };
  if (expand) {
    const summary = replicasOf(version)
      .map((replica) => currentReplica(world, replica))
      .map((replica) => ({
        region: replica.region,
        state: replica.state,
        ...(replica.details === undefined ? {} : { details: replica.details }),
        progress: replica.progress,
      }));
    const states = new Set(summary.map((replica) => replica.state));
    const aggregatedState = states.has('Failed')
      ? 'Failed'
      : states.has('Replicating')
        ? 'InProgress'
        : states.has('Unknown')
          ? 'Unknown'
          : 'Completed';
    properties['replicationStatus'] = { aggregatedState, summary };
  }
  return { ...version.body, properties };
}
