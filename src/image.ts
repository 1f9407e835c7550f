import type {
  ComputeManagementClient,
  GalleryImage,
  GalleryImageFeature,
  GalleryImageVersion,
  RegionalReplicationStatus,
  ImageReference as VmImageReference,
} from '@azure/arm-compute';
import { clockSeconds } from './clock.ts';
import { AzureError, ActionError } from './failure.ts';
import type { DeployInputs } from './inputs.ts';
import { type ImageReference, normaliseRegion } from './resource-id.ts';
import { delay } from './waiting.ts';

export type SecurityType = 'Standard' | 'TrustedLaunch' | 'ConfidentialVM';

/** What the machine's shape depends on, read from the gallery before anything is created. */
export interface ResolvedImage {
  /** As the VM request wants it: `id`, `sharedGalleryImageId` or `communityGalleryImageId`. */
  readonly reference: VmImageReference;
  /** The one ID in `reference`: always of one version, never of a definition. */
  readonly referenceId: string;
  /** `Major.Minor.Patch`. */
  readonly version: string;
  readonly osType: 'Linux' | 'Windows';
  readonly osState: 'Generalized' | 'Specialized';
  readonly architecture: 'x64' | 'Arm64';
  /** Undefined where the definition could not be read. */
  readonly generation?: 'V1' | 'V2';
  /** What the machine gets unless the author asks for another. */
  readonly securityType: SecurityType;
  /** The definition's SecurityType feature, as written there. */
  readonly securityFeature?: string;
  /** Disk controllers that the image can boot from, e.g. `SCSI, NVMe`. */
  readonly diskControllers?: string;
  readonly plan?: { readonly name: string; readonly publisher: string; readonly product: string };
  readonly dataDiskLuns: readonly number[];
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

/** Where the reading happens: each gallery answers to the token of the tenant that owns it. */
export interface GalleryClients {
  /** Compute of the gallery's subscription, with the image tenant's token as the primary one. */
  readonly imageCompute: (subscriptionId: string) => ComputeManagementClient;
  /** Compute of the deployment's subscription: shared and community galleries are read from there. */
  readonly compute: ComputeManagementClient;
  readonly signal: AbortSignal;
  readonly onWaiting: (line: string) => void;
}

type ImageRequest = Pick<DeployInputs, 'image' | 'imageWaitMinutes' | 'osType' | 'securityType'>;

/** A version as far as choosing one needs it. */
interface ImageVersion {
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

type Definition = Partial<
  Pick<
    GalleryImage,
    'osType' | 'osState' | 'architecture' | 'hyperVGeneration' | 'features' | 'purchasePlan' | 'endOfLifeDate'
  >
>;

/** The two reads that every kind of gallery offers. */
interface Gallery {
  readonly definition: () => Promise<Definition>;
  readonly version: (name: string) => Promise<ImageVersion>;
  readonly versionNames: () => Promise<readonly { readonly name: string; readonly excluded: boolean }[]>;
  readonly referenceTo: (version: string) => VmImageReference & { readonly whole: string };
}

/**
 * Reads the image, pins a definition to its newest usable version, and waits for replication if asked to.
 * @param region where the machine goes, normalised.
 * @throws Failure when no version is usable there; AzureError when the gallery cannot be read.
 */
export async function resolveImage(
  context: GalleryClients,
  wanted: ImageRequest,
  region: Promise<string>,
): Promise<ResolvedImage> {
  const { image } = wanted;
  const gallery = await openGallery(context, image, region);
  const [{ definition }, version] = await Promise.all([
    readDefinition(gallery, wanted),
    waitForUsableVersion(context, gallery, wanted, region),
  ]);
  return toResolvedImage(wanted, gallery, definition, version);
}

/** What one look at the image shows, without waiting. */
export interface ImageInspection {
  /** Of the version, or of the definition alone where no version is usable. */
  readonly facts: ResolvedImage;
  readonly unusable?: {
    readonly refusal: unknown;
    /** It may well become usable by itself: it is being built or replicated. */
    readonly passing: boolean;
  };
  /** What refused the definition, where `os-type` stands in for it: its other facts are assumed. */
  readonly unread?: unknown;
}

/**
 * Looks at the image once. Where no version can be used, what the definition says is given all the same.
 * @throws AzureError when the definition cannot be read.
 */
export async function inspectImage(
  context: GalleryClients,
  wanted: ImageRequest,
  region: Promise<string>,
): Promise<ImageInspection> {
  const { image } = wanted;
  const gallery = await openGallery(context, image, region);
  const [{ definition, ...unread }, look] = await Promise.all([
    readDefinition(gallery, wanted),
    findUsableVersion(gallery, wanted, region).catch((refusal: unknown) => ({ refusal })),
  ]);
  if ('version' in look && look.version) {
    return { facts: toResolvedImage(wanted, gallery, definition, look.version), ...unread };
  }
  const nameless = { name: image.version ?? 'latest', excluded: false, luns: [] };
  const facts = toResolvedImage(wanted, gallery, definition, nameless);
  if ('refusal' in look) return { facts, unusable: { refusal: look.refusal, passing: false }, ...unread };
  const { why, passing } = unusableReasons(look.refusals);
  return {
    facts,
    unusable: { refusal: noUsableVersionError(image, await region, why, passing, 0), passing },
    ...unread,
  };
}

async function openGallery(
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

function httpStatus(error: unknown): number | undefined {
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

/**
 * The definition; where it may not be read, what `os-type` says in its place. A right on the version is enough to make a
 * machine from it.
 * @throws Failure that names `os-type` where the definition may not be read and nothing else says what it is.
 */
async function readDefinition(
  gallery: Gallery,
  { osType, image }: ImageRequest,
): Promise<{ readonly definition: Definition; readonly unread?: unknown }> {
  try {
    return { definition: await gallery.definition() };
  } catch (error) {
    const status = httpStatus(error);
    const isOwn = image.kind === 'version' || image.kind === 'definition';
    // To strangers shared and community galleries also say 404; in one's own that means that there is no such definition.
    const unreadable = status === 403 || (status === 404 && !isOwn);
    if (!unreadable) throw error;
    if (osType) return { definition: { osType, osState: 'Generalized' }, unread: error };
    // The catalogue explains it, with the right that is missing.
    if (isOwn) throw error;
    throw new ActionError(`reading image definition ${image.id}`, {
      message: 'The image definition cannot be read, so nothing says whether it is Linux or Windows.',
      cause: error,
      explanation: {
        cause: `${image.kind === 'shared' ? 'The direct-shared' : 'The community'} gallery does not let this app read its definitions.`,
        who: "the workflow's author",
        fix: ['Give `os-type: Linux` or `os-type: Windows`.'],
      },
    });
  }
}

type VersionCheck =
  | { readonly usable: true }
  | { readonly usable: false; readonly why: string; readonly passing: boolean };

function checkVersion(version: ImageVersion, region: string): VersionCheck {
  const state = version.provisioningState;
  const here = version.replication?.get(region);
  const refusal = (why: string, passing: boolean): VersionCheck => ({
    usable: false,
    passing,
    why: `version ${version.name} ${why}`,
  });
  if (state === 'Deleting') return refusal('is being deleted', false);
  if (state === 'Failed') return refusal(`is Failed${here?.details ? ` (${here.details})` : ''}`, false);
  if (state === 'Creating') return refusal('is still being built', true);
  if (!version.replication) {
    // Nothing is said of it although it was asked for: then it goes by what the version is meant for, and where that is not
    // said either, Compute has the word.
    const { targets } = version;
    if (!targets) return { usable: true };
    if (!targets.includes(region))
      return refusal(`is not replicated to ${region} (it is meant for: ${targets.join(', ')})`, false);
    return state === undefined || state === 'Succeeded'
      ? { usable: true }
      : refusal(`is ${state}, and nothing is said of which regions have it already`, true);
  }
  // While a region is being added the version is Updating, and still usable where it is complete.
  if (here?.state === 'Completed') return { usable: true };
  if (!here) {
    const there = [...version.replication]
      .filter(([, { state }]) => state === 'Completed')
      .map(([name]) => name);
    return refusal(
      `is not replicated to ${region} (it is in: ${there.join(', ') || 'no region yet'})`,
      // A region that was just added may not be in the report yet.
      state === 'Updating' && version.targets?.includes(region) === true,
    );
  }
  const progress = here.progress === undefined ? '' : `, ${here.progress} %`;
  return refusal(
    `is ${here.state} in ${region}${progress}${here.details ? ` (${here.details})` : ''}`,
    here.state !== 'Failed',
  );
}

/** Newest by number: 1.10.0 comes after 1.9.0, whenever either was published. */
export function compareVersionsDescending(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let part = 0; part < 3; part++) {
    const difference = (right?.[part] ?? 0) - (left?.[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Replication takes minutes to hours: asked after an eighth of the time so far, nothing is found much too late. */
function nextLookDelay(elapsedSeconds: number): number {
  return Math.min(15, Math.max(1, elapsedSeconds / 8));
}

type UnusableVersion = Exclude<VersionCheck, { usable: true }>;

/** One look for the version: the one that is named, or the newest that is usable in the region. */
async function findUsableVersion(
  gallery: Gallery,
  { image, imageWaitMinutes }: ImageRequest,
  regionPromise: Promise<string>,
): Promise<{ readonly version?: ImageVersion; readonly refusals: readonly UnusableVersion[] }> {
  // Reading needs no region; only judging does. So the first read does not wait for the resource group's.
  if (image.version !== undefined) {
    const version = await gallery.version(image.version);
    const verdict = checkVersion(version, await regionPromise);
    return verdict.usable ? { version, refusals: [] } : { refusals: [verdict] };
  }
  const names = (await gallery.versionNames())
    .filter(({ excluded }) => !excluded)
    .map(({ name }) => name)
    .toSorted(compareVersionsDescending);
  const refusals: UnusableVersion[] = [];
  for (const name of names) {
    const version = await gallery.version(name);
    const verdict = checkVersion(version, await regionPromise);
    if (verdict.usable) return { version, refusals };
    refusals.push(verdict);
    // Asked to wait, "newest" means the one that is on its way, not an older one that happens to be there.
    if (verdict.passing && imageWaitMinutes > 0) return { refusals };
  }
  return { refusals };
}

function unusableReasons(refusals: readonly UnusableVersion[]): {
  readonly why: string;
  readonly passing: boolean;
} {
  return {
    why:
      refusals.map((refusal) => refusal.why).join('; ') ||
      'no version counts as latest: all are excluded, or there is none',
    passing: refusals.some(({ passing }) => passing),
  };
}

async function waitForUsableVersion(
  context: GalleryClients,
  gallery: Gallery,
  wanted: ImageRequest,
  regionPromise: Promise<string>,
): Promise<ImageVersion> {
  const { image, imageWaitMinutes } = wanted;
  const start = clockSeconds();
  const deadline = start + imageWaitMinutes * 60;
  let told = Number.NEGATIVE_INFINITY;
  for (;;) {
    const { version, refusals } = await findUsableVersion(gallery, wanted, regionPromise);
    if (version) return version;
    const { why, passing } = unusableReasons(refusals);
    if (!passing || clockSeconds() >= deadline)
      throw noUsableVersionError(image, await regionPromise, why, passing, imageWaitMinutes);
    if (clockSeconds() - told >= 30) {
      told = clockSeconds();
      const minutes = Math.floor((told - start) / 60);
      context.onWaiting(`Waiting for the image, ${minutes} of ${imageWaitMinutes} minutes: ${why}.`);
    }
    const now = clockSeconds();
    const next = nextLookDelay(now - start);
    const untilTold = Math.max(0.1, 30 - (now - told));
    await delay(Math.max(0, Math.min(next, untilTold, deadline - now)), context.signal);
  }
}

function noUsableVersionError(
  image: ImageReference,
  region: string,
  why: string,
  passing: boolean,
  waited: number,
): ActionError {
  return new ActionError(`choosing the image version from ${image.id}`, {
    message: `No usable version in ${region}: ${why}.`,
    explanation: {
      cause: `A machine can only be made from a version that is complete in its own region, ${region}.`,
      who: 'the owner of the gallery (image tenant)',
      fix: [
        ...(passing
          ? [
              waited > 0
                ? `It was waited for ${waited} minutes: raise \`image-wait-minutes\`.`
                : 'Replication is under way: set `image-wait-minutes` (60, say) to wait for it.',
            ]
          : []),
        'To replicate it:',
        [
          'az sig image-version update',
          ...('subscriptionId' in image ? [`--subscription ${image.subscriptionId}`] : []),
          `-g ${'resourceGroup' in image ? image.resourceGroup : '<resource-group>'}`,
          `-r ${image.gallery} -i ${image.definition} -e ${image.version ?? '<version>'}`,
          `--add publishingProfile.targetRegions name=${region}`,
        ].join(' '),
        'Or deploy to a region that has it (`location`).',
      ],
    },
  });
}

function toResolvedImage(
  wanted: ImageRequest,
  gallery: Gallery,
  definition: Definition,
  version: ImageVersion,
): ResolvedImage {
  const { whole, ...reference } = gallery.referenceTo(version.name);
  const feature = featureValue(definition.features, 'SecurityType');
  const controllers = featureValue(definition.features, 'DiskControllerTypes');
  const { purchasePlan: plan } = definition;
  const pinned = wanted.image.version === undefined;
  const [endOfLife] = [version.endOfLife, definition.endOfLifeDate]
    // What is missing may also come as null, which the SDK passes on.
    .filter((date) => date instanceof Date)
    .toSorted((one, other) => one.getTime() - other.getTime());
  return {
    reference,
    referenceId: whole,
    version: version.name,
    osType: definition.osType === 'Windows' ? 'Windows' : 'Linux',
    osState: definition.osState === 'Specialized' ? 'Specialized' : 'Generalized',
    architecture: definition.architecture === 'Arm64' ? 'Arm64' : 'x64',
    ...(definition.hyperVGeneration
      ? { generation: definition.hyperVGeneration === 'V1' ? 'V1' : 'V2' }
      : {}),
    securityType: definitionSecurityType(feature),
    ...(feature ? { securityFeature: feature } : {}),
    ...(controllers ? { diskControllers: controllers } : {}),
    ...(plan?.name && plan.publisher && plan.product
      ? { plan: { name: plan.name, publisher: plan.publisher, product: plan.product } }
      : {}),
    dataDiskLuns: version.luns,
    notices: pinned ? [`The newest usable version of ${wanted.image.definition} is ${version.name}.`] : [],
    warnings:
      endOfLife && endOfLife.getTime() < Date.now()
        ? [
            `The image reached its end of life on ${endOfLife.toISOString().slice(0, 10)}; its owner may remove it.`,
          ]
        : [],
  };
}

function featureValue(
  features: readonly GalleryImageFeature[] | undefined,
  name: string,
): string | undefined {
  return features?.find((feature) => feature.name?.toLowerCase() === name.toLowerCase())?.value;
}

/**
 * The API makes plain machines unless told otherwise, so Trusted Launch is asked for wherever the definition allows it,
 * as the portal and the command line do (https://learn.microsoft.com/azure/virtual-machines/trusted-launch).
 */
function definitionSecurityType(feature: string | undefined): SecurityType {
  switch (feature?.toLowerCase()) {
    case 'trustedlaunch':
    case 'trustedlaunchsupported':
    case 'trustedlaunchandconfidentialvmsupported':
      return 'TrustedLaunch';
    case 'confidentialvm':
      return 'ConfidentialVM';
    default:
      return 'Standard';
  }
}
