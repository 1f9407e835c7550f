import type {
  ComputeManagementClient,
  GalleryImage,
  GalleryImageVersion,
  ImageReference as VmImageReference,
  RegionalReplicationStatus,
} from '@azure/arm-compute';
import { type ImageReference, normaliseRegion } from '../azure/resource-id.ts';
import { ActionError, AzureError } from '../errors/errors.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { asObject, asString } from '../lib/json.ts';

export interface GalleryClients {
  /** Compute of the gallery's subscription, with the image tenant's token as the primary one. */
  readonly imageCompute: (subscriptionId: string) => ComputeManagementClient;
  /** Compute of the deployment's subscription: shared and community galleries are read from there. */
  readonly compute: ComputeManagementClient;
  readonly signal: AbortSignal;
  readonly onWaiting: (line: string) => void;
}

export type ImageRequest = Pick<DeployInputs, 'image' | 'imageWaitMinutes' | 'osType'>;

export interface ImageVersion {
  readonly name: string;
  readonly provisioningState?: string;
  /** Undefined if only the name is known, as in lists of shared and community galleries. */
  readonly luns?: readonly number[];
  readonly osDiskSizeGb?: number;
  readonly endOfLife?: Date;
  /** Set if the version is soft-deleted: until then, it can still be deployed by its exact ID. */
  readonly softDeletedUntil?: string;
  /** Normalised; includes regions that replication has not reached yet. Undefined if the version names none. */
  readonly targets?: readonly string[];
  /** By normalised region; undefined without a report, as always in shared and community galleries. */
  readonly replication?: ReadonlyMap<
    string,
    { readonly state: string; readonly progress?: number; readonly details?: string }
  >;
}

export type Definition = Partial<Omit<GalleryImage, 'identifier'>>;

export interface Gallery {
  readonly definition: () => Promise<Definition>;
  /** Undefined if a shared or community gallery does not offer the version in this region. */
  readonly version: (name: string) => Promise<ImageVersion | undefined>;
  /** Without replication reports, and without those that are excluded from latest or soft-deleted. */
  readonly versions: () => Promise<readonly ImageVersion[]>;
  readonly referenceTo: (version: string) => { readonly id: string; readonly reference: VmImageReference };
}

type OwnImage = Extract<ImageReference, { subscriptionId: string }>;
type SharedImage = Exclude<ImageReference, OwnImage>;

export function openOwnGallery({ imageCompute }: GalleryClients, image: OwnImage, region: Promise<string>): Gallery {
  const compute = imageCompute(image.subscriptionId);
  const at = [image.resourceGroup, image.gallery, image.definition] as const;
  const definitionId = image.kind === 'version' ? image.id.replace(/\/versions\/[^/]+$/i, '') : image.id;
  const { onResponse, stateOf } = captureStates();
  return {
    definition: () => compute.galleryImages.get(...at),
    version: async (name) => {
      const options = { expand: 'ReplicationStatus', onResponse } as const;
      const version = await compute.galleryImageVersions.get(...at, name, options);
      return { ...parseImageVersion(version), ...stateOf(name) };
    },
    versions: async () => {
      const all = await Array.fromAsync(compute.galleryImageVersions.listByGalleryImage(...at, { onResponse }));
      const here = await region;
      return all
        .filter((version) => !isExcludedFromLatest(version, here))
        .map(parseImageVersion)
        .filter(({ name }) => !stateOf(name));
    },
    referenceTo: (version) => {
      const id = `${definitionId}/versions/${version}`;
      return { id, reference: { id } };
    },
  };
}

/** Direct-shared and community galleries: read per region, through the deployment's own subscription. */
export function openSharedGallery({ compute }: GalleryClients, image: SharedImage, region: string): Gallery {
  const [definitions, operations] =
    image.kind === 'shared'
      ? [compute.sharedGalleryImages, compute.sharedGalleryImageVersions]
      : [compute.communityGalleryImages, compute.communityGalleryImageVersions];
  const at = [region, image.gallery, image.definition] as const;
  const { onResponse, stateOf } = captureStates();
  return {
    definition: () => definitions.get(...at),
    version: async (name) => {
      try {
        const { storageProfile, endOfLifeDate } = await operations.get(...at, name, { onResponse });
        const luns = (storageProfile?.dataDiskImages ?? []).map(({ lun }) => lun);
        const osDiskSizeGb = storageProfile?.osDiskImage?.diskSizeGB;
        return { name, luns, osDiskSizeGb, endOfLife: endOfLifeDate, ...stateOf(name) };
      } catch (error) {
        // Reading needs a permission on the whole subscription; creating the VM does not. The image's data disks are
        // unknown then, so they get no delete option and outlive the VM.
        if (httpStatus(error) === 403) return { name };
        if (httpStatus(error) === 404) return undefined;
        throw error;
      }
    },
    versions: async () => {
      const all = await Array.fromAsync(operations.list(...at, { onResponse })).catch((error: unknown) => {
        throw httpStatus(error) === 403 ? cannotListError(image, error) : error;
      });
      return all.flatMap(({ name = '', excludeFromLatest }) => (excludeFromLatest || stateOf(name) ? [] : [{ name }]));
    },
    referenceTo: (version) => {
      const root = image.kind === 'shared' ? 'SharedGalleries' : 'CommunityGalleries';
      const id = `/${root}/${image.gallery}/Images/${image.definition}/Versions/${version}`;
      return { id, reference: { [image.kind === 'shared' ? 'sharedGalleryImageId' : 'communityGalleryImageId']: id } };
    },
  };
}

/** Reads `imageState` from the latest response as sent: the SDK's models lack it and its deserializers drop it. */
function captureStates() {
  const states = new Map<string, { readonly softDeletedUntil: string } | undefined>();
  return {
    onResponse: ({ parsedBody }: { readonly parsedBody?: unknown }): void => {
      const { value = parsedBody } = asObject(parsedBody);
      for (const { id, name, properties } of [value].flat().map(asObject)) {
        const { imageState, consumptionEndTime: softDeletedUntil } = asObject(properties);
        const isSoftDeleted = asString(imageState)?.toLowerCase() === 'softdeleted';
        states.set(
          versionName(asString(id) ?? asString(name)),
          isSoftDeleted ? { softDeletedUntil: asString(softDeletedUntil) ?? '' } : undefined,
        );
      }
    },
    stateOf: (name: string) => states.get(name),
  };
}

export function httpStatus(error: unknown): number | undefined {
  return error instanceof AzureError ? error.fault.status : undefined;
}

function cannotListError(image: ImageReference, cause: unknown): ActionError {
  const kind = image.kind === 'shared' ? 'sharedGalleries' : 'communityGalleries';
  return new ActionError(`looking for the newest version of ${image.id}`, {
    message: 'The app may not list the versions of the image, so the newest one is unknown.',
    cause,
    reason: `The app lacks Microsoft.Compute/locations/${kind}/images/versions/read on the subscription.`,
    who: "the workflow's author, or the owner of the subscription",
    fix: [
      `Name a version in \`image-id\`: ${image.id}/versions/<version>`,
      'Or grant the app a role with that permission on the subscription, such as Reader.',
    ],
  });
}

/** A name may be missing, or start with those of gallery and definition. */
function versionName(idOrName = ''): string {
  return idOrName.split('/').at(-1) ?? '';
}

function parseImageVersion(version: GalleryImageVersion): ImageVersion {
  const profile = version.publishingProfile;
  const targets = (profile?.targetRegions ?? []).flatMap(({ name }) => (name ? normaliseRegion(name) : []));
  const report = version.replicationStatus?.summary;
  return {
    name: versionName(version.id ?? version.name),
    luns: (version.storageProfile?.dataDiskImages ?? []).map(({ lun }) => lun),
    provisioningState: version.provisioningState || undefined,
    osDiskSizeGb: version.storageProfile?.osDiskImage?.sizeInGB,
    endOfLife: profile?.endOfLifeDate,
    targets: targets.length > 0 ? targets : undefined,
    replication: report && new Map(report.map(parseReplication)),
  };
}

function parseReplication({ region, state, progress, details }: RegionalReplicationStatus) {
  // Azure sends null for values that it does not know, which the SDK passes on.
  const known = { state: state ?? 'Unknown', progress: progress ?? undefined, details: details || undefined };
  return [normaliseRegion(region ?? ''), known] as const;
}

/** A version can be excluded from latest as a whole or in single regions. */
function isExcludedFromLatest({ publishingProfile }: GalleryImageVersion, region: string): boolean {
  if (publishingProfile?.excludeFromLatest) return true;
  return (publishingProfile?.targetRegions ?? []).some(
    ({ excludeFromLatest, name }) => excludeFromLatest === true && normaliseRegion(name ?? '') === region,
  );
}
