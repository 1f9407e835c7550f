import type { Call, LinkedResource } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { provisioningState, type PurchasePlan, replicaIn, versionType } from './galleries.ts';
import { findSharedGallery, type Sharing } from './shared-galleries.ts';

/** The properties of an image version that matter to a VM. */
export interface VmImage {
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

const privateImage =
  /^(\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Compute\/galleries\/[^/]+\/images\/[^/]+)(?:\/versions\/([^/]+))?$/i;
const sharedImage = /^\/(SharedGalleries|CommunityGalleries)\/([^/]+)\/Images\/([^/]+)(?:\/Versions\/([^/]+))?$/i;

/** The image that the caller needs a permission on; none for shared and community images. */
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

function notInRegionError(id: string, location: string): Error {
  return refuse(
    404,
    'GalleryImageNotFound',
    `The gallery image ${id} is not available in ${location} region. Please contact image owner to replicate to this region, or change your requested region.`,
  );
}

/** A reference resolved to its image definition; `version` is undefined for "latest". */
interface ParsedReference {
  readonly id: string;
  readonly definition: Resource | undefined;
  readonly version: string | undefined;
}

function parsePrivateReference(world: World, id: string): ParsedReference {
  const match = privateImage.exec(id);
  if (match === null) {
    if (id.startsWith('/subscriptions/')) throw notModelled(`imageReference.id of another kind: ${id}`);
    throw refuse(
      400,
      'LinkedInvalidPropertyId',
      `Property id '${id}' at path 'properties.storageProfile.imageReference.id' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
    );
  }
  return { id, definition: world.resources.get(match[1] ?? ''), version: match[2] };
}

function parseSharedReference(call: Call, id: string, sharing: Sharing): ParsedReference {
  const match = sharedImage.exec(id);
  const isCommunity = /^community/i.test(match?.[1] ?? '');
  if (match === null || isCommunity !== (sharing === 'community')) {
    throw notModelled(`image reference ${id}`);
  }
  const gallery = findSharedGallery(call, sharing, match[2] ?? '');
  const definition = gallery && call.world.resources.get(`${gallery.id}/images/${match[3]}`);
  return { id, definition, version: match[4] };
}

function parseReference(call: Call, reference: Json): ParsedReference {
  const { id, sharedGalleryImageId, communityGalleryImageId } = reference;
  if (typeof id === 'string') return parsePrivateReference(call.world, id);
  const sharedId: unknown = sharedGalleryImageId ?? communityGalleryImageId;
  if (typeof sharedId === 'string') {
    return parseSharedReference(call, sharedId, sharedGalleryImageId === undefined ? 'community' : 'direct');
  }
  throw notModelled('an imageReference without gallery image (Marketplace and managed images are not modelled)');
}

/**
 * The image version that a VM in `location` boots. The gateway has already checked the caller's permission on it.
 *
 * @throws ArmError when the version does not exist or is not replicated to the region.
 */
export function resolveImage(call: Call, reference: Json, location: string): VmImage {
  const { world } = call;
  const { id, definition, version: name } = parseReference(call, reference);
  if (definition === undefined) throw notInRegionError(id, location);
  const version =
    name === undefined || name.toLowerCase() === 'latest'
      ? latestVersion(world, definition, location, id)
      : world.resources.get(`${definition.id}/versions/${name}`);
  if (version === undefined) throw notInRegionError(id, location);
  if (provisioningState(world, version) === 'Creating') {
    throw notModelled('a VM from an image version that is still being created');
  }
  if (replicaIn(world, version, location)?.state !== 'Completed') throw notInRegionError(id, location);
  return vmImage(definition, version);
}

function latestVersion(world: World, definition: Resource, location: string, id: string): Resource {
  const found = [...world.resources.under(definition.id, versionType)]
    .filter(({ body }) => body['properties'].publishingProfile.excludeFromLatest !== true)
    .filter((version) => {
      const replica = replicaIn(world, version, location);
      return replica?.state === 'Completed' && replica.excludeFromLatest !== true;
    })
    .toSorted((a, b) => compareVersions(b.body['name'], a.body['name']))[0];
  if (found === undefined) throw refuse(404, 'NotFound', `There is no latest image version exists for "${id}"`);
  return found;
}

function vmImage(definition: Resource, version: Resource): VmImage {
  const properties: Json = definition.body['properties'];
  const features: Json[] = properties['features'] ?? [];
  const storage: Json = version.body['properties'].storageProfile;
  return {
    osType: properties['osType'],
    osState: properties['osState'],
    generation: properties['hyperVGeneration'],
    architecture: properties['architecture'] ?? 'x64',
    features: Object.fromEntries(features.map(({ name, value }) => [name, value])),
    purchasePlan: properties['purchasePlan'],
    version: version.body['name'],
    osDiskSizeGB: storage['osDiskImage'].sizeInGB,
    dataDisks: storage['dataDiskImages'] ?? [],
  };
}
