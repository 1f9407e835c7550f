// Azure Compute Galleries: definitions, versions and their replication, seen as owner, by direct share, or as community.
// Recorded: gallery-definition-and-version.json, gallery-version-replication-status-completed.json. That `summary[].region`
// comes normalised ("eastus2") in an old recording and as a display name elsewhere is why both occur in this world.
import type { Answer, Budget, Json } from '../../model/contract.ts';
import type { Call, LinkedResource, Route } from '../../http/provider.ts';
import { parentNotFound, refuse, resourceNotFound, unknown } from '../../model/arm-error.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { displayName, regionName } from '../regions.ts';

export type ReplicationState = 'Unknown' | 'Replicating' | 'Completed' | 'Failed';

/** One target region of a version. Advances by the clock when `completesAt` is set. */
export interface Replica {
  /** As it is answered: display name, or normalised. */
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
  /** Direct share: tenants or subscriptions that see it under `/sharedGalleries/<subscription>-<NAME>`. */
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
  /** Names alone mean Completed. */
  readonly regions: readonly (string | (Partial<Replica> & { region: string; completesAfter?: number }))[];
  readonly excludeFromLatest?: boolean;
  /** Default: Succeeded, or Updating while a region is Replicating. */
  readonly provisioningState?: 'Creating' | 'Updating' | 'Failed' | 'Succeeded';
  readonly endOfLifeDate?: string;
  readonly osDiskSizeGB?: number;
  readonly dataDisks?: readonly { lun: number; sizeInGB: number }[];
}

/** What the rules for a VM need to know of its image. */
export interface ImageFacts {
  readonly osType: 'Linux' | 'Windows';
  readonly osState: 'Generalized' | 'Specialized';
  readonly generation: 'V1' | 'V2';
  readonly architecture: 'x64' | 'Arm64';
  readonly features: Readonly<Record<string, string>>;
  readonly purchasePlan: PurchasePlan | undefined;
  readonly version: string;
  readonly osDiskSizeGB: number;
  readonly dataDisks: readonly { lun: number; sizeInGB: number }[];
}

const galleryType = 'Microsoft.Compute/galleries';
const definitionType = 'Microsoft.Compute/galleries/images';
const versionType = 'Microsoft.Compute/galleries/images/versions';

/** Adds a gallery and gives its ID. */
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

/** Adds an image definition and gives its ID. */
export function addDefinition(
  world: World,
  gallery: string,
  name: string,
  options: DefinitionOptions,
): string {
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

/** Adds an image version and gives its ID. */
export function addVersion(world: World, definition: string, name: string, options: VersionOptions): string {
  const id = `${definition}/versions/${name}`;
  const parent = world.resources.get(definition);
  if (parent === undefined) throw new Error(`no image definition ${definition}`);
  const now = world.clock.now();
  const replicas: Replica[] = options.regions.map((one) => {
    if (typeof one === 'string') return { region: one, state: 'Completed', progress: 100 };
    const { completesAfter, ...rest } = one;
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
          targetRegions: replicas.map((one) => ({
            name: displayName(one.region),
            regionalReplicaCount: 1,
            storageAccountType: 'Standard_LRS',
            ...(one.excludeFromLatest === undefined ? {} : { excludeFromLatest: one.excludeFromLatest }),
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
      },
    },
    internal: { replicas, provisioningState: options.provisioningState },
  });
  return id;
}

/**
 * Starts (or sets) the replication of a version to a region while the world runs.
 * `completesAfter` in simulated seconds; without it the state stays as given.
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
  const at = replicas.findIndex((one) => regionName(one.region) === regionName(region));
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

/** The replica as it stands now. */
function present(world: World, replica: Replica): Replica {
  const { startedAt, completesAt } = replica;
  if (startedAt === undefined || completesAt === undefined || replica.state !== 'Replicating') return replica;
  const now = world.clock.now();
  if (now >= completesAt) return { ...replica, state: 'Completed', progress: 100 };
  const progress = Math.floor(((now - startedAt) / (completesAt - startedAt)) * 100);
  return { ...replica, progress: Math.max(replica.progress, progress) };
}

function replicaIn(world: World, version: Resource, location: string): Replica | undefined {
  const found = replicasOf(version).find((one) => regionName(one.region) === regionName(location));
  return found && present(world, found);
}

function provisioningState(world: World, version: Resource): string {
  const set: unknown = version.internal['provisioningState'];
  if (typeof set === 'string') return set;
  return replicasOf(version).some((one) => present(world, one).state === 'Replicating')
    ? 'Updating'
    : 'Succeeded';
}

function describeVersion(world: World, version: Resource, expand: boolean): Json {
  const properties: Json = {
    ...version.body['properties'],
    provisioningState: provisioningState(world, version),
  };
  if (expand) {
    const summary = replicasOf(version)
      .map((one) => present(world, one))
      .map((one) => ({
        region: one.region,
        state: one.state,
        ...(one.details === undefined ? {} : { details: one.details }),
        progress: one.progress,
      }));
    const states = new Set(summary.map((one) => one.state));
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

// --- Which image a VM boots -------------------------------------------------------------------------------------

const privateImage =
  /^(\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Compute\/galleries\/[^/]+\/images\/[^/]+)(?:\/versions\/([^/]+))?$/i;
const foreignImage =
  /^\/(SharedGalleries|CommunityGalleries)\/([^/]+)\/Images\/([^/]+)(?:\/Versions\/([^/]+))?$/i;

/** The gallery resource that an `imageReference` needs a right on; none for shared and community images. */
export function linkedImage(reference: Json | undefined): LinkedResource[] {
  const id: unknown = reference?.['id'];
  if (typeof id !== 'string') return [];
  const match = privateImage.exec(id);
  if (match === null) return [];
  const action =
    match[2] === undefined
      ? 'Microsoft.Compute/galleries/images/read'
      : 'Microsoft.Compute/galleries/images/versions/read';
  return [{ id, action }];
}

function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function notInRegion(id: string, location: string): Error {
  return refuse(
    404,
    'GalleryImageNotFound',
    `The gallery image ${id} is not available in ${location} region. Please contact image owner to replicate to this region, or change your requested region.`,
  );
}

/** The image that a VM in `location` gets, or Azure's refusal. The caller's right on it is the gateway's matter. */
export function resolveImage(call: Call, reference: Json, location: string): ImageFacts {
  const world = call.world;
  const own: unknown = reference['id'];
  const foreign: unknown = reference['sharedGalleryImageId'] ?? reference['communityGalleryImageId'];
  let definition: Resource | undefined;
  let wanted: string | undefined;
  let spelled: string;
  if (typeof own === 'string') {
    const match = privateImage.exec(own);
    if (match === null) {
      if (own.startsWith('/subscriptions/')) throw unknown(`imageReference.id of another kind: ${own}`);
      throw refuse(
        400,
        'LinkedInvalidPropertyId',
        `Property id '${own}' at path 'properties.storageProfile.imageReference.id' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
      );
    }
    definition = world.resources.get(match[1] ?? '');
    wanted = match[2];
    spelled = own;
  } else if (typeof foreign === 'string') {
    const match = foreignImage.exec(foreign);
    if (match === null) throw unknown(`image reference ${foreign}`);
    const community = /^community/i.test(match[1] ?? '');
    if (community !== (reference['sharedGalleryImageId'] === undefined))
      throw unknown(`image reference ${foreign}`);
    const gallery = foreignGallery(call, community ? 'community' : 'direct', match[2] ?? '');
    definition = gallery && world.resources.get(`${gallery.id}/images/${match[3]}`);
    wanted = match[4];
    spelled = foreign;
  } else {
    throw unknown(
      'an imageReference without gallery image (Marketplace and managed images are not modelled)',
    );
  }
  if (definition === undefined) throw notInRegion(spelled, location);
  const version =
    wanted === undefined || wanted.toLowerCase() === 'latest'
      ? latest(world, definition, location, spelled)
      : world.resources.get(`${definition.id}/versions/${wanted}`);
  if (version === undefined) throw notInRegion(spelled, location);
  const state = provisioningState(world, version);
  if (state === 'Creating') throw unknown('a VM from an image version that is still being created');
  if (replicaIn(world, version, location)?.state !== 'Completed') throw notInRegion(spelled, location);
  return imageFacts(definition, version);
}

function latest(world: World, definition: Resource, location: string, spelled: string): Resource {
  const found = [...world.resources.under(definition.id, versionType)]
    .filter((one) => one.body['properties'].publishingProfile.excludeFromLatest !== true)
    .filter((one) => {
      const replica = replicaIn(world, one, location);
      return replica?.state === 'Completed' && replica.excludeFromLatest !== true;
    })
    .toSorted((a, b) => compareVersions(b.body['name'], a.body['name']))[0];
  if (found === undefined)
    throw refuse(404, 'NotFound', `There is no latest image version exists for "${spelled}"`);
  return found;
}

function imageFacts(definition: Resource, version: Resource): ImageFacts {
  const properties: Json = definition.body['properties'];
  const features: Json[] = properties['features'] ?? [];
  const storage: Json = version.body['properties'].storageProfile;
  return {
    osType: properties['osType'],
    osState: properties['osState'],
    generation: properties['hyperVGeneration'],
    architecture: properties['architecture'] ?? 'x64',
    features: Object.fromEntries(features.map((one) => [one['name'], one['value']])),
    purchasePlan: properties['purchasePlan'],
    version: version.body['name'],
    osDiskSizeGB: storage['osDiskImage'].sizeInGB,
    dataDisks: storage['dataDiskImages'] ?? [],
  };
}

// --- Shared and community galleries -----------------------------------------------------------------------------

type Sharing = 'direct' | 'community';

function uniqueName(gallery: Resource, sharing: Sharing): string | undefined {
  if (sharing === 'community') return gallery.internal['publicName'];
  return gallery.internal['sharedWith'] === undefined
    ? undefined
    : gallery.body['properties'].identifier.uniqueName;
}

function foreignGallery(call: Call, sharing: Sharing, name: string): Resource | undefined {
  for (const gallery of call.world.resources.ofType(galleryType)) {
    if (uniqueName(gallery, sharing)?.toLowerCase() !== name.toLowerCase()) continue;
    if (sharing === 'community') return gallery;
    const sharedWith: readonly string[] = gallery.internal['sharedWith'];
    if (sharedWith.includes(call.tenant.id) || sharedWith.includes(call.subscription.id)) return gallery;
  }
  return undefined;
}

// The recorded 404 of Compute itself; for these routes no answer was recorded.
function notHere(): Error {
  return refuse(404, 'NotFound', 'The entity was not found in this Azure location.');
}

function describeForeign(sharing: Sharing, gallery: Resource, location: string, resource: Resource): Json {
  const root = sharing === 'community' ? 'CommunityGalleries' : 'SharedGalleries';
  const own = uniqueName(gallery, sharing);
  const [, definition, version] = /\/images\/([^/]+)(?:\/versions\/([^/]+))?$/i.exec(resource.id) ?? [];
  const uniqueId = `/${root}/${own}${definition ? `/Images/${definition}` : ''}${version ? `/Versions/${version}` : ''}`;
  const kind = `Microsoft.Compute/Locations/${root}${definition ? '/Images' : ''}${version ? '/Versions' : ''}`;
  const { provisioningState: _, ...properties } = resource.body['properties'];
  const shown: Json = version
    ? {
        publishedDate: properties.publishingProfile.publishedDate,
        ...(properties.publishingProfile.endOfLifeDate === undefined
          ? {}
          : { endOfLifeDate: properties.publishingProfile.endOfLifeDate }),
        excludeFromLatest: properties.publishingProfile.excludeFromLatest,
        storageProfile: {
          osDiskImage: {
            diskSizeGB: properties.storageProfile.osDiskImage.sizeInGB,
            hostCaching: properties.storageProfile.osDiskImage.hostCaching,
          },
          dataDiskImages: (properties.storageProfile.dataDiskImages ?? []).map((disk: Json) => ({
            lun: disk['lun'],
            diskSizeGB: disk['sizeInGB'],
            hostCaching: disk['hostCaching'],
          })),
        },
      }
    : definition
      ? properties
      : {};
  return {
    name: definition ? resource.body['name'] : own,
    location,
    ...(sharing === 'community' ? { type: kind } : {}),
    ...(definition || sharing === 'community' ? { properties: shown } : {}),
    identifier: { uniqueId },
  };
}

function foreignRoutes(sharing: Sharing): Route[] {
  const word = sharing === 'community' ? 'communityGalleries' : 'sharedGalleries';
  const base = `/subscriptions/:subscriptionId/providers/Microsoft.Compute/locations/:location/${word}`;
  const read = `Microsoft.Compute/locations/${word}`;
  const gallery = (call: Call): Resource => {
    const found = foreignGallery(call, sharing, call.params['gallery'] ?? '');
    if (found === undefined) throw notHere();
    return found;
  };
  const location = (call: Call): string => call.params['location'] ?? '';
  const definition = (call: Call): Resource => {
    const found = call.world.resources.get(`${gallery(call).id}/images/${call.params['image']}`);
    if (found === undefined) throw notHere();
    return found;
  };
  const versions = (call: Call): Resource[] =>
    [...call.world.resources.under(definition(call).id, versionType)].filter(
      (one) => replicaIn(call.world, one, location(call))?.state === 'Completed',
    );
  const show = (call: Call, resource: Resource): Json =>
    describeForeign(sharing, gallery(call), location(call), resource);
  const route = (path: string, kind: string, action: string, handle: (call: Call) => Answer): Route => ({
    method: 'GET',
    path: `${base}${path}`,
    kind: `${word}.${kind}`,
    action: `${read}${action}/read`,
    handle,
  });
  return [
    route('/:gallery', 'get', '', (call) => ({ status: 200, body: show(call, gallery(call)) })),
    route('/:gallery/images', 'images', '/images', (call) => ({
      status: 200,
      body: {
        value: [...call.world.resources.under(gallery(call).id, definitionType)].map((one) =>
          show(call, one),
        ),
      },
    })),
    route('/:gallery/images/:image', 'image', '/images', (call) => ({
      status: 200,
      body: show(call, definition(call)),
    })),
    route('/:gallery/images/:image/versions', 'versions', '/images/versions', (call) => ({
      status: 200,
      body: { value: versions(call).map((one) => show(call, one)) },
    })),
    route('/:gallery/images/:image/versions/:version', 'version', '/images/versions', (call) => {
      const found = versions(call).find(
        (one) => one.body['name'].toLowerCase() === call.params['version']?.toLowerCase(),
      );
      if (found === undefined) throw notHere();
      return { status: 200, body: show(call, found) };
    }),
  ];
}

// --- Routes of the owner ----------------------------------------------------------------------------------------

// The recorded buckets are of 2020 and 2021: 3-minute and 30-minute limits of the subscription.
function readBudgets(
  name: string,
  threeMinutes: number,
  thirtyMinutes: number,
): (call: Call) => readonly Budget[] {
  return (call) => [
    {
      name: `Microsoft.Compute/${name}3Min`,
      key: call.subscription.id,
      size: threeMinutes,
      perMinute: threeMinutes / 3,
    },
    {
      name: `Microsoft.Compute/${name}30Min`,
      key: call.subscription.id,
      size: thirtyMinutes,
      perMinute: thirtyMinutes / 30,
    },
  ];
}

function one(call: Call): Resource {
  const found = call.world.resources.get(call.resourceId);
  if (found !== undefined) return found;
  const match = /\/galleries\/([^/]+)(?:\/images\/([^/]+)(\/versions\/[^/]+)?)?$/i.exec(call.resourceId);
  const gallery = call.resourceId.replace(/(\/galleries\/[^/]+).*$/i, '$1');
  if (match?.[2] !== undefined && !call.world.resources.has(gallery)) throw parentNotFound(match[1] ?? '');
  if (match?.[3] !== undefined && !call.world.resources.has(`${gallery}/images/${match[2]}`)) {
    throw parentNotFound(`${match[1]}/${match[2]}`);
  }
  throw resourceNotFound(call.resourceId);
}

function children(call: Call, type: string): Resource[] {
  const parent = call.resourceId.replace(/\/(?:images|versions)$/i, '');
  if (!call.world.resources.has(parent)) throw resourceNotFound(parent);
  return [...call.world.resources.under(parent, type)];
}

const inGroup =
  '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Compute/galleries';

export const galleryRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/subscriptions/:subscriptionId/providers/Microsoft.Compute/galleries',
    kind: 'gallery.list',
    action: 'Microsoft.Compute/galleries/read',
    scope: (call) => `/subscriptions/${call.subscription.id}`,
    handle: (call) => ({
      status: 200,
      body: {
        value: [...call.world.resources.under(`/subscriptions/${call.subscription.id}`, galleryType)].map(
          (gallery) => gallery.body,
        ),
      },
    }),
  },
  {
    method: 'GET',
    path: `${inGroup}/:gallery`,
    kind: 'gallery.get',
    action: 'Microsoft.Compute/galleries/read',
    budgets: readBudgets('GetGallery', 350, 2500),
    handle: (call) => ({ status: 200, body: one(call).body }),
  },
  {
    method: 'GET',
    path: `${inGroup}/:gallery/images`,
    kind: 'image.list',
    action: 'Microsoft.Compute/galleries/images/read',
    handle: (call) => ({
      status: 200,
      body: { value: children(call, definitionType).map((found) => found.body) },
    }),
  },
  {
    method: 'GET',
    path: `${inGroup}/:gallery/images/:image`,
    kind: 'image.get',
    action: 'Microsoft.Compute/galleries/images/read',
    budgets: readBudgets('GetGalleryImage', 600, 3000),
    handle: (call) => ({ status: 200, body: one(call).body }),
  },
  {
    method: 'GET',
    path: `${inGroup}/:gallery/images/:image/versions`,
    kind: 'version.list',
    action: 'Microsoft.Compute/galleries/images/versions/read',
    // No replicationStatus in lists, whatever `$expand` says.
    handle: (call) => ({
      status: 200,
      body: { value: children(call, versionType).map((found) => describeVersion(call.world, found, false)) },
    }),
  },
  {
    method: 'GET',
    path: `${inGroup}/:gallery/images/:image/versions/:version`,
    kind: 'version.get',
    query: ['$expand'],
    action: 'Microsoft.Compute/galleries/images/versions/read',
    budgets: readBudgets('GetGalleryImageVersion', 2000, 10000),
    handle: (call) => {
      const expand = call.query['$expand'];
      if (expand !== undefined && expand.toLowerCase() !== 'replicationstatus') {
        throw unknown(`$expand=${expand} of an image version`);
      }
      return { status: 200, body: describeVersion(call.world, one(call), expand !== undefined) };
    },
  },
  ...foreignRoutes('direct'),
  ...foreignRoutes('community'),
];
