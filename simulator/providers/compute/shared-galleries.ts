import type { Call, Route } from '../../http/provider.ts';
import { refuse } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { definitionType, galleryType, replicaIn, versionType } from './galleries.ts';

export type Sharing = 'direct' | 'community';

export function uniqueName(gallery: Resource, sharing: Sharing): string | undefined {
  if (sharing === 'community') return gallery.internal['publicName'];
  return gallery.internal['sharedWith'] === undefined ? undefined : gallery.body['properties'].identifier.uniqueName;
}

export function findSharedGallery(call: Call, sharing: Sharing, name: string): Resource | undefined {
  for (const gallery of call.world.resources.ofType(galleryType)) {
    if (uniqueName(gallery, sharing)?.toLowerCase() !== name.toLowerCase()) continue;
    if (sharing === 'community') return gallery;
    const sharedWith: readonly string[] = gallery.internal['sharedWith'];
    if (sharedWith.includes(call.tenant.id) || sharedWith.includes(call.subscription.id)) return gallery;
  }
  return undefined;
}

// Recorded as Compute's 404; for these routes no answer was recorded.
function notFoundInLocation(): Error {
  return refuse(404, 'NotFound', 'The entity was not found in this Azure location.');
}

function sharedBody(sharing: Sharing, gallery: Resource, location: string, resource: Resource): Json {
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

export function sharedGalleryRoutes(sharing: Sharing): Route[] {
  const word = sharing === 'community' ? 'communityGalleries' : 'sharedGalleries';
  const base = `/subscriptions/:subscriptionId/providers/Microsoft.Compute/locations/:location/${word}`;
  const read = `Microsoft.Compute/locations/${word}`;
  const gallery = (call: Call): Resource => {
    const found = findSharedGallery(call, sharing, call.params['gallery'] ?? '');
    if (found === undefined) throw notFoundInLocation();
    return found;
  };
  const location = (call: Call): string => call.params['location'] ?? '';
  const definition = (call: Call): Resource => {
    const found = call.world.resources.get(`${gallery(call).id}/images/${call.params['image']}`);
    if (found === undefined) throw notFoundInLocation();
    return found;
  };
  const versions = (call: Call): Resource[] =>
    [...call.world.resources.under(definition(call).id, versionType)].filter(
      (version) => replicaIn(call.world, version, location(call))?.state === 'Completed',
    );
  const show = (call: Call, resource: Resource): Json => sharedBody(sharing, gallery(call), location(call), resource);
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
        value: [...call.world.resources.under(gallery(call).id, definitionType)].map((image) => show(call, image)),
      },
    })),
    route('/:gallery/images/:image', 'image', '/images', (call) => ({
      status: 200,
      body: show(call, definition(call)),
    })),
    route('/:gallery/images/:image/versions', 'versions', '/images/versions', (call) => ({
      status: 200,
      body: { value: versions(call).map((version) => show(call, version)) },
    })),
    route('/:gallery/images/:image/versions/:version', 'version', '/images/versions', (call) => {
      const found = versions(call).find(
        (version) => version.body['name'].toLowerCase() === call.params['version']?.toLowerCase(),
      );
      if (found === undefined) throw notFoundInLocation();
      return { status: 200, body: show(call, found) };
    }),
  ];
}
