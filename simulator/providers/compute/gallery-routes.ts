import type { Call, Route } from '../../http/provider.ts';
import { parentNotFound, resourceNotFound, notModelled } from '../../model/arm-error.ts';
import type { Budget } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { definitionType, versionBody, galleryType, versionType } from './galleries.ts';
import { sharedGalleryRoutes } from './shared-galleries.ts';

// Recorded in 2020 and 2021: 3-minute and 30-minute limits of the subscription.
function galleryReadBudgets(
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

export function requireResource(call: Call): Resource {
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

const galleriesPath =
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
    path: `${galleriesPath}/:gallery`,
    kind: 'gallery.get',
    action: 'Microsoft.Compute/galleries/read',
    budgets: galleryReadBudgets('GetGallery', 350, 2500),
    handle: (call) => ({ status: 200, body: requireResource(call).body }),
  },
  {
    method: 'GET',
    path: `${galleriesPath}/:gallery/images`,
    kind: 'image.list',
    action: 'Microsoft.Compute/galleries/images/read',
    handle: (call) => ({
      status: 200,
      body: { value: children(call, definitionType).map((found) => found.body) },
    }),
  },
  {
    method: 'GET',
    path: `${galleriesPath}/:gallery/images/:image`,
    kind: 'image.get',
    action: 'Microsoft.Compute/galleries/images/read',
    budgets: galleryReadBudgets('GetGalleryImage', 600, 3000),
    handle: (call) => ({ status: 200, body: requireResource(call).body }),
  },
  {
    method: 'GET',
    path: `${galleriesPath}/:gallery/images/:image/versions`,
    kind: 'version.list',
    action: 'Microsoft.Compute/galleries/images/versions/read',
    // Lists never contain replicationStatus, even with `$expand`.
    handle: (call) => ({
      status: 200,
      body: { value: children(call, versionType).map((found) => versionBody(call.world, found, false)) },
    }),
  },
  {
    method: 'GET',
    path: `${galleriesPath}/:gallery/images/:image/versions/:version`,
    kind: 'version.get',
    query: ['$expand'],
    action: 'Microsoft.Compute/galleries/images/versions/read',
    budgets: galleryReadBudgets('GetGalleryImageVersion', 2000, 10000),
    handle: (call) => {
      const expand = call.query['$expand'];
      if (expand !== undefined && expand.toLowerCase() !== 'replicationstatus') {
        throw notModelled(`$expand=${expand} of an image version`);
      }
      return { status: 200, body: versionBody(call.world, requireResource(call), expand !== undefined) };
    },
  },
  ...sharedGalleryRoutes('direct'),
  ...sharedGalleryRoutes('community'),
];
