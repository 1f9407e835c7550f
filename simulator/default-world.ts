/**
 * The default world: an app in the image tenant with service principals in both tenants and exactly the documented
 * permissions, and a third tenant without a service principal.
 */
import { githubIssuer } from './entra/entra.ts';
import { githubSettings, subjectOf } from './github/github.ts';
import { addDefaultGalleries, type DefaultGalleries } from './providers/compute/default-galleries.ts';
import type { World } from './world/world.ts';

const imageSubscriptionId = '1a2f6c2e-5d0e-4c1b-9a53-6f0f0c9f1e01';

/** Constants for inputs and expectations. */
export const defaults = {
  /** Owns the gallery and the app registration. */
  imageTenantId: '11111111-aaaa-4b1e-8c52-0d7d1e5f1a01',
  imageTenantDomain: 'images.example',
  /** Tenant of the VMs. */
  tenantId: '22222222-bbbb-4c3d-9d63-1e8e2f6a2b02',
  tenantDomain: 'deploy.example',
  /** A tenant in which the app has no service principal. */
  otherTenantId: '33333333-cccc-4d5f-8e74-2f9f3a7b3c03',
  otherTenantDomain: 'other.example',
  clientId: '7c9d0c52-3f5b-4a84-9e0e-5b2f4d6a8c10',
  clientSecret: 'simulator-secret~1',
  /** An expired secret of the same app. */
  expiredSecret: 'simulator-secret~0',
  subscriptionId: '2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02',
  imageSubscriptionId,
  /** Subscription of the third tenant, without permissions for the app. */
  otherSubscriptionId: '3c4a8e4a-7f2a-4e3d-9c75-8b2b2e1b3a03',
  resourceGroup: 'deploy-rg',
  location: 'westeurope',
  galleryGroup: 'gallery-rg',
  gallery: 'images',
  /** ID of an image definition or version: `defaults.imageId('linux', '1.10.0')`. */
  imageId: (definition: string, version?: string): string =>
    `/subscriptions/${imageSubscriptionId}/resourceGroups/gallery-rg/providers/Microsoft.Compute/galleries/images/images/${definition}${version === undefined ? '' : `/versions/${version}`}`,
} as const;

/** Object IDs of the app's service principals. */
export const principals = {
  image: 'a1b2c3d4-0001-4aaa-8bbb-000000000001',
  deploy: 'a1b2c3d4-0002-4aaa-8bbb-000000000002',
} as const;

export function fillDefaultWorld(world: World): DefaultGalleries {
  world.addTenant({ id: defaults.imageTenantId, domain: defaults.imageTenantDomain, displayName: 'Images' });
  world.addTenant({ id: defaults.tenantId, domain: defaults.tenantDomain, displayName: 'Deployments' });
  world.addTenant({ id: defaults.otherTenantId, domain: defaults.otherTenantDomain, displayName: 'Other' });

  world.addSubscription({
    id: defaults.imageSubscriptionId,
    tenant: defaults.imageTenantId,
    displayName: 'Image subscription',
  });
  world.addSubscription({
    id: defaults.subscriptionId,
    tenant: defaults.tenantId,
    displayName: 'Deployment subscription',
  });
  world.addSubscription({
    id: defaults.otherSubscriptionId,
    tenant: defaults.otherTenantId,
    displayName: 'Other subscription',
  });
  world.addGroup(defaults.imageSubscriptionId, defaults.galleryGroup, defaults.location);
  world.addGroup(defaults.subscriptionId, defaults.resourceGroup, defaults.location);

  // The home tenant's principal has a fixed ID too, so it is made before the app is added.
  world.installApp(defaults.clientId, defaults.imageTenantId, principals.image);
  world.addApp({
    clientId: defaults.clientId,
    homeTenant: defaults.imageTenantId,
    displayName: 'cross-tenant-vm',
    secrets: [
      { value: defaults.expiredSecret, expires: Date.now() - 86_400_000 },
      { value: defaults.clientSecret, expires: Date.now() + 180 * 86_400_000 },
    ],
    federatedCredentials: [
      {
        name: 'main',
        issuer: githubIssuer,
        subject: subjectOf(githubSettings(world)),
        audiences: ['api://AzureADTokenExchange'],
      },
    ],
  });
  world.installApp(defaults.clientId, defaults.tenantId, principals.deploy);

  const galleries = addDefaultGalleries(world);
  // The documented rights and nothing more: the gallery to read, the group to write.
  for (const gallery of world.resources.ofType('Microsoft.Compute/galleries')) {
    if (gallery.id.toLowerCase().endsWith(`/galleries/${defaults.gallery}`)) {
      world.grant(principals.image, 'Compute Gallery Image Reader', gallery.id);
    }
  }
  world.grant(
    principals.deploy,
    'Contributor',
    `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`,
  );
  return galleries;
}
