import type { Call, LinkedResource } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { provisioningState, type PurchasePlan, replicaIn, versionType } from './galleries.ts';
import { findSharedGallery } from './shared-galleries.ts';

/** What the rules for a VM need to know of its image. */
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

// --- Which image a VM boots -------------------------------------------------------------------------------------

const privateImage =
  /^(\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Compute\/galleries\/[^/]+\/images\/[^/]+)(?:\/versions\/([^/]+))?$/i;
const sharedImage =
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

function notInRegionError(id: string, location: string): Error {
  return refuse(
    404,
    'GalleryImageNotFound',
    `The gallery image ${id} is not available in ${location} region. Please contact image owner to replicate to this region, or change your requested region.`,
  );
}

/** The image that a VM in `location` gets, or Azure's refusal. The caller's right on it is the gateway's matter. */
export function resolveImage(call: Call, reference: Json, location: string): VmImage {
  const world = call.world;
  const own: unknown = reference['id'];
  const foreign: unknown = reference['sharedGalleryImageId'] ?? reference['communityGalleryImageId'];
  let definition: Resource | undefined;
  let wanted: string | undefined;
  let spelled: string;
  if (typeof own === 'string') {
    const match = privateImage.exec(own);
    if (match === null) {
      if (own.startsWith('/subscriptions/')) throw notModelled(`imageReference.id of another kind: ${own}`);
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
    const match = sharedImage.exec(foreign);
    if (match === null) throw notModelled(`image reference ${foreign}`);
    const community = /^community/i.test(match[1] ?? '');
    if (community !== (reference['sharedGalleryImageId'] === undefined))
      throw notModelled(`image reference ${foreign}`);
    const gallery = findSharedGallery(call, community ? 'community' : 'direct', match[2] ?? '');
    definition = gallery && world.resources.get(`${gallery.id}/images/${match[3]}`);
    wanted = match[4];
    spelled = foreign;
  } else {
    throw notModelled(
      'an imageReference without gallery image (Marketplace and managed images are not modelled)',
    );
  }
  if (definition === undefined) throw notInRegionError(spelled, location);
  const version =
    wanted === undefined || wanted.toLowerCase() === 'latest'
      ? latestVersion(world, definition, location, spelled)
      : world.resources.get(`${definition.id}/versions/${wanted}`);
  if (version === undefined) throw notInRegionError(spelled, location);
  const state = provisioningState(world, version);
  if (state === 'Creating') throw notModelled('a VM from an image version that is still being created');
  if (replicaIn(world, version, location)?.state !== 'Completed') throw notInRegionError(spelled, location);
  return vmImage(definition, version);
}

function latestVersion(world: World, definition: Resource, location: string, spelled: string): Resource {
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

function vmImage(definition: Resource, version: Resource): VmImage {
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
