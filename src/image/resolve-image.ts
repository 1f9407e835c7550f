import { ActionError } from '../errors/action-error.ts';
import {
  findUsableVersion,
  noUsableVersionError,
  unusableReasons,
  waitForUsableVersion,
} from './choose-version.ts';
import {
  type Definition,
  type Gallery,
  type GalleryClients,
  type ImageRequest,
  httpStatus,
  openGallery,
} from './gallery.ts';
import { type ResolvedImage, toResolvedImage } from './image.ts';

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
