import type { GalleryImageFeature, ImageReference as VmImageReference } from '@azure/arm-compute';
import { ActionError } from '../errors/errors.ts';
import { findUsableVersion, noUsableVersionError, waitForUsableVersion } from './choose-version.ts';
import {
  type Definition,
  type Gallery,
  type GalleryClients,
  type ImageRequest,
  type ImageVersion,
  httpStatus,
  openOwnGallery,
  openSharedGallery,
} from './gallery.ts';
import { shellCommand } from '../lib/escape.ts';

export type SecurityType = 'Standard' | 'TrustedLaunch' | 'ConfidentialVM';

/** What the VM request depends on, read from the gallery before anything is created. */
export interface ResolvedImage {
  /** For the VM request: `id`, `sharedGalleryImageId` or `communityGalleryImageId`. */
  readonly reference: VmImageReference;
  /** The one ID in `reference`: always of a version, never of a definition. */
  readonly referenceId: string;
  /** `Major.Minor.Patch`. */
  readonly version: string;
  readonly osType: 'Linux' | 'Windows';
  readonly osState: 'Generalized' | 'Specialized';
  readonly architecture: 'x64' | 'Arm64';
  /** Undefined if the definition could not be read. */
  readonly generation?: 'V1' | 'V2';
  /** What the VM gets unless the inputs name another. */
  readonly securityType: SecurityType;
  readonly securityFeature?: string;
  readonly diskControllers?: string;
  readonly plan?: { readonly name: string; readonly publisher: string; readonly product: string };
  readonly dataDiskLuns: readonly number[];
  /** Of the version; a VM's OS disk cannot be smaller. */
  readonly osDiskSizeGb?: number;
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

export interface ImageInspection {
  /** Of the version, or of the definition alone if no version is usable. */
  readonly facts: ResolvedImage;
  readonly unusable?: {
    readonly refusal: unknown;
    /** It may become usable without a change: it is being built or replicated. */
    readonly temporary: boolean;
  };
  /** Why the definition could not be read, if `os-type` replaces it: its other properties are assumed. */
  readonly unread?: unknown;
}

/**
 * Reads the image, pins a definition to its newest usable version, and waits for replication if requested.
 * @param region of the VM, normalised.
 * @throws ActionError if no version is usable there; AzureError if the gallery cannot be read.
 */
export async function resolveImage(
  clients: GalleryClients,
  request: ImageRequest,
  region: Promise<string>,
): Promise<ResolvedImage> {
  const { facts } = await readImage(clients, request, region, async (gallery) => ({
    version: await waitForUsableVersion(clients, gallery, request, region),
  }));
  return facts;
}

/** Without a usable version, the result has what the definition says. @throws if that cannot be read. */
export async function inspectImage(
  clients: GalleryClients,
  request: ImageRequest,
  region: Promise<string>,
): Promise<ImageInspection> {
  return readImage(clients, request, region, async (gallery) => {
    try {
      const { version, unusable } = await findUsableVersion(gallery, request, region);
      if (version) return { version };
      const refusal = noUsableVersionError(request, await region, unusable, 0);
      return { unusable: { refusal, temporary: unusable.some(({ temporary }) => temporary) } };
    } catch (refusal) {
      return { unusable: { refusal, temporary: false } };
    }
  });
}

async function readImage(
  clients: GalleryClients,
  request: ImageRequest,
  region: Promise<string>,
  chooseVersion: (gallery: Gallery) => Promise<{ readonly version?: ImageVersion } & Pick<ImageInspection, 'unusable'>>,
): Promise<ImageInspection> {
  const { image } = request;
  const gallery =
    'subscriptionId' in image
      ? openOwnGallery(clients, image, region)
      : openSharedGallery(clients, image, await region);
  const [{ definition, unread }, { version, unusable }] = await Promise.all([
    readDefinition(gallery, request),
    chooseVersion(gallery),
  ]);
  const facts = toResolvedImage(request, gallery, definition, version ?? { name: image.version ?? 'latest' });
  return { facts, unusable, unread };
}

/** Permission on the version is enough to create a VM. @throws ActionError if `os-type` is then missing. */
async function readDefinition(
  gallery: Gallery,
  { osType, image }: ImageRequest,
): Promise<{ readonly definition: Definition; readonly unread?: unknown }> {
  try {
    return { definition: await gallery.definition() };
  } catch (error) {
    const status = httpStatus(error);
    const isOwn = image.kind === 'version' || image.kind === 'definition';
    // Shared and community galleries answer 404 without permission; an own gallery only if there is no such definition.
    const isUnreadable = status === 403 || (status === 404 && !isOwn);
    if (!isUnreadable) throw error;
    if (osType) return { definition: { osType, osState: 'Generalized' }, unread: error };
    // The error catalogue explains this one, with the missing permission.
    if (isOwn) throw error;
    throw new ActionError(`reading image definition ${image.id}`, {
      message: 'The image definition cannot be read, so it is unknown whether the image is Linux or Windows.',
      cause: error,
      reason: `${image.kind === 'shared' ? 'The direct-shared' : 'The community'} gallery does not let this app read its definitions.`,
      fix: ['Set `os-type: Linux` or `os-type: Windows`.'],
    });
  }
}

function toResolvedImage(
  { image }: ImageRequest,
  gallery: Gallery,
  definition: Definition,
  version: ImageVersion,
): ResolvedImage {
  const { id, reference } = gallery.referenceTo(version.name);
  const securityFeature = featureValue(definition.features, 'SecurityType');
  const { hyperVGeneration, purchasePlan } = definition;
  const { name, publisher, product } = purchasePlan ?? {};
  return {
    reference,
    referenceId: id,
    version: version.name,
    osType: definition.osType === 'Windows' ? 'Windows' : 'Linux',
    osState: definition.osState === 'Specialized' ? 'Specialized' : 'Generalized',
    architecture: definition.architecture === 'Arm64' ? 'Arm64' : 'x64',
    generation: hyperVGeneration ? (hyperVGeneration === 'V1' ? 'V1' : 'V2') : undefined,
    securityType: definitionSecurityType(securityFeature),
    securityFeature,
    diskControllers: featureValue(definition.features, 'DiskControllerTypes'),
    plan: name && publisher && product ? { name, publisher, product } : undefined,
    dataDiskLuns: version.luns ?? [],
    osDiskSizeGb: version.osDiskSizeGb,
    notices:
      image.version === undefined ? [`The newest usable version of ${image.definition} is ${version.name}.`] : [],
    warnings: [...softDeletionWarnings(version, id), ...endOfLifeWarnings(version, definition)],
  };
}

function softDeletionWarnings({ name, softDeletedUntil }: ImageVersion, id: string): readonly string[] {
  if (softDeletedUntil === undefined) return [];
  const until = softDeletedUntil === '' ? 'until its retention ends' : `until ${softDeletedUntil.slice(0, 10)}`;
  return [
    `Image version ${name} is soft-deleted and can only be deployed ${until}. The owner of the gallery can restore it: ${shellCommand`az resource update --ids ${id} --set properties.restore=true`}`,
  ];
}

function endOfLifeWarnings({ endOfLife }: ImageVersion, { endOfLifeDate }: Definition): readonly string[] {
  // Azure sends null for a missing date, which the SDK passes on.
  const end = Math.min(...[endOfLife, endOfLifeDate].filter((date) => date instanceof Date).map(Number));
  if (!(end < Date.now())) return [];
  return [
    `The image reached its end of life on ${new Date(end).toISOString().slice(0, 10)}. The owner of the gallery may delete it, and can set a later date.`,
  ];
}

function featureValue(features: readonly GalleryImageFeature[] | undefined, name: string): string | undefined {
  return features?.find((feature) => feature.name?.toLowerCase() === name.toLowerCase())?.value || undefined;
}

/** As the portal and the Azure CLI do: https://learn.microsoft.com/azure/virtual-machines/trusted-launch */
function definitionSecurityType(feature = ''): SecurityType {
  if (/^confidentialvm$/i.test(feature)) return 'ConfidentialVM';
  const allowsTrustedLaunch = /^trustedlaunch((andconfidentialvm)?supported)?$/i.test(feature);
  return allowsTrustedLaunch ? 'TrustedLaunch' : 'Standard';
}
