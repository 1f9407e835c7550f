import type {
  ComputeManagementClient,
  GalleryImage,
  GalleryImageVersion,
  ImageReference as VmImageReference,
  RegionalReplicationStatus,
} from '@azure/arm-compute';
import { type ImageReference, normaliseRegion } from '../azure/resource-id.ts';
import { ActionError } from '../errors/action-error.ts';
import { AzureError } from '../errors/azure-error.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { noUsableVersionError } from './choose-version.ts';

/** Where the reading happens: each gallery answers to the token of the tenant that owns it. */
export interface GalleryClients {
  /** Compute of the gallery's subscription, with the image tenant's token as the primary one. */
  readonly imageCompute: (subscriptionId: string) => ComputeManagementClient;
  /** Compute of the deployment's subscription: shared and community galleries are read from there. */
  readonly compute: ComputeManagementClient;
  readonly signal: AbortSignal;
  readonly onWaiting: (line: string) => void;
}

export type ImageRequest = Pick<DeployInputs, 'image' | 'imageWaitMinutes' | 'osType' | 'securityType'>;

/** A version as far as choosing one needs it. */
export interface ImageVersion {
  readonly name: string;
  readonly provisioningState?: string;
  readonly excluded: boolean;
  readonly luns: readonly number[];
  readonly endOfLife?: Date;
  /** Regions that it is meant for, normalised; whether it is there yet is another matter. Undefined where none is named. */
  readonly targets?: readonly string[];
  /** By normalised region; undefined where nothing is said of replication, as ever in shared and community galleries. */
  readonly replication?: ReadonlyMap<
    string,
    { readonly state: string; readonly progress?: number; readonly details?: string }
  >;
}

export type Definition = Partial<
  Pick<
    GalleryImage,
    'osType' | 'osState' | 'architecture' | 'hyperVGeneration' | 'features' | 'purchasePlan' | 'endOfLifeDate'
  >
>;

/** The two reads that every kind of gallery offers. */
export interface Gallery {
  readonly definition: () => Promise<Definition>;
  readonly version: (name: string) => Promise<ImageVersion>;
  readonly versionNames: () => Promise<readonly { readonly name: string; readonly excluded: boolean }[]>;
  readonly referenceTo: (version: string) => VmImageReference & { readonly whole: string };
}

export async function openGallery(
  context: GalleryClients,
  image: ImageReference,
  region: Promise<string>,
): Promise<Gallery> {
  if (image.kind === 'version' || image.kind === 'definition') {
    const compute = context.imageCompute(image.subscriptionId);
    const at = [image.resourceGroup, image.gallery, image.definition] as const;
    const definitionId = image.kind === 'version' ? image.id.replace(/\/versions\/[^/]+$/i, '') : image.id;
    return {
      definition: () => compute.galleryImages.get(...at),
      version: async (name) => {
        const version = await compute.galleryImageVersions.get(...at, name, { expand: 'ReplicationStatus' });
        return parseImageVersion(version, await region);
      },
      versionNames: async () => {
        const names = [];
        for await (const version of compute.galleryImageVersions.listByGalleryImage(...at)) {
          names.push({ name: version.name ?? '', excluded: isExcludedFromLatest(version, await region) });
        }
        return names;
      },
      referenceTo: (version) => {
        const id = `${definitionId}/versions/${version}`;
        return { id, whole: id };
      },
    };
  }
  const { compute } = context;
  const location = await region;
  const [definitions, versions] =
    image.kind === 'shared'
      ? [compute.sharedGalleryImages, compute.sharedGalleryImageVersions]
      : [compute.communityGalleryImages, compute.communityGalleryImageVersions];
  const at = [location, image.gallery, image.definition] as const;
  return {
    definition: () => definitions.get(...at),
    version: async (name) => {
      const version = await readSharedVersion(image, location, () => versions.get(...at, name));
      // As it is named, then: Azure makes its data disks without being asked, and leaves them when the machine goes.
      if (!version) return { name, excluded: false, luns: [] };
      return {
        name,
        excluded: version.excludeFromLatest === true,
        luns: (version.storageProfile?.dataDiskImages ?? []).map(({ lun }) => lun),
        ...(version.endOfLifeDate ? { endOfLife: version.endOfLifeDate } : {}),
      };
    },
    versionNames: async () => {
      const names: { name: string; excluded: boolean }[] = [];
      try {
        for await (const version of versions.list(...at)) {
          names.push({ name: version.name ?? '', excluded: version.excludeFromLatest === true });
        }
      } catch (error) {
        throw httpStatus(error) === 403 ? cannotListError(image, error) : error;
      }
      return names;
    },
    referenceTo: (version) => {
      const root = image.kind === 'shared' ? 'SharedGalleries' : 'CommunityGalleries';
      const whole = `/${root}/${image.gallery}/Images/${image.definition}/Versions/${version}`;
      return image.kind === 'shared'
        ? { sharedGalleryImageId: whole, whole }
        : { communityGalleryImageId: whole, whole };
    },
  };
}

export function httpStatus(error: unknown): number | undefined {
  return error instanceof AzureError ? error.fault.status : undefined;
}

/**
 * A version of a shared or community gallery; undefined where the app may not read it, which takes a right on the whole
 * subscription, and the machine can be made all the same.
 * @throws Failure where it is not in that region.
 */
async function readSharedVersion<T>(
  image: ImageReference,
  region: string,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (httpStatus(error) === 403) return undefined;
    if (httpStatus(error) !== 404) throw error;
    throw noUsableVersionError(
      image,
      region,
      `the gallery shows no version ${image.version} in ${region}`,
      false,
      0,
    );
  }
}

function cannotListError(image: ImageReference, cause: unknown): ActionError {
  const kind = image.kind === 'shared' ? 'sharedGalleries' : 'communityGalleries';
  return new ActionError(`looking for the newest version of ${image.id}`, {
    message: 'The versions of the image may not be listed, so nothing says which one is the newest.',
    cause,
    explanation: {
      cause: `The app lacks Microsoft.Compute/locations/${kind}/images/versions/read on the subscription.`,
      who: "the workflow's author, or the owner of the subscription",
      fix: [
        `Name a version in \`image-id\`: ${image.id}/versions/<version>`,
        'Or grant the app a role with that right on the subscription, such as Reader.',
      ],
    },
  });
}

function parseImageVersion(version: GalleryImageVersion, region: string): ImageVersion {
  const profile = version.publishingProfile;
  const targets = (profile?.targetRegions ?? []).flatMap(({ name }) => (name ? normaliseRegion(name) : []));
  const reported = version.replicationStatus?.summary;
  return {
    name: version.name ?? '',
    ...(version.provisioningState ? { provisioningState: version.provisioningState } : {}),
    excluded: isExcludedFromLatest(version, region),
    luns: (version.storageProfile?.dataDiskImages ?? []).map(({ lun }) => lun),
    ...(profile?.endOfLifeDate ? { endOfLife: profile.endOfLifeDate } : {}),
    ...(targets.length > 0 ? { targets } : {}),
    ...(reported ? { replication: regionReplication(reported) } : {}),
  };
}

function regionReplication(
  reported: readonly RegionalReplicationStatus[],
): NonNullable<ImageVersion['replication']> {
  return new Map(
    reported.map((row) => [
      normaliseRegion(row.region ?? ''),
      {
        state: row.state ?? 'Unknown',
        ...(typeof row.progress === 'number' ? { progress: row.progress } : {}),
        ...(row.details ? { details: row.details } : {}),
      },
    ]),
  );
}

/** A version can be kept out of "latest" as a whole or in single regions. */
function isExcludedFromLatest({ publishingProfile }: GalleryImageVersion, region: string): boolean {
  if (publishingProfile?.excludeFromLatest) return true;
  return (publishingProfile?.targetRegions ?? []).some(
    ({ excludeFromLatest, name }) => excludeFromLatest === true && normaliseRegion(name ?? '') === region,
  );
}
