// The images of the default world: one definition per kind of image that the action treats differently.
import type { World } from '../../world/world.ts';
import { addDefinition, addGallery, addVersion, type DefinitionOptions, type VersionOptions } from './galleries.ts';

const both = ['West Europe', 'North Europe'] as const;

export interface DefaultGalleries {
  /** The gallery in the image tenant. */
  readonly gallery: string;
  /** Unique name of the gallery shared directly with the tenant of the VM: `/sharedGalleries/<this>/images/linux`. */
  readonly sharedGallery: string;
  /** Public name of the community gallery: `/communityGalleries/<this>/images/linux`. */
  readonly communityGallery: string;
}

const trusted = { SecurityType: 'TrustedLaunchSupported', IsAcceleratedNetworkSupported: 'True' };

type Define = (name: string, options: DefinitionOptions, version?: VersionOptions) => string;

/**
 * Adds the default galleries to the resource group `gallery-rg` and shares one with every other tenant.
 * Definition `linux` covers the rules of "latest": 1.10.0 is newer than 1.9.0, 1.11.0 is not replicated to West Europe,
 * 2.0.0 is excluded from latest.
 */
export function addDefaultGalleries(world: World): DefaultGalleries {
  const group = [...world.groups.values()].find(({ name }) => name === 'gallery-rg');
  if (group === undefined) throw new Error('the default galleries need a resource group gallery-rg');
  const owner = world.subscriptions.get(group.subscription)?.tenant;
  const otherTenants = [...world.tenants.keys()].filter((tenant) => tenant !== owner);
  const location = { subscription: group.subscription, group: group.name, location: group.location };

  const gallery = addGallery(world, { ...location, name: 'images' });
  addLinuxVersions(world, gallery);
  addOtherDefinitions(defineIn(world, gallery));
  addUnreadyVersions(world, defineIn(world, gallery));

  const shared = addGallery(world, { ...location, name: 'shared', sharedWith: otherTenants });
  const sharedLinux = defineIn(world, shared)('linux', { osType: 'Linux', features: trusted });
  addVersion(world, sharedLinux, '1.1.2', { regions: both });

  const publicName = 'contoso-5f2c1f0e-8a5b-4d3b-9c86-0d3f3c6f5a11';
  const community = addGallery(world, { ...location, name: 'community', publicName });
  defineIn(world, community)('linux', { osType: 'Linux', features: trusted });
  defineIn(world, community)('windows', { osType: 'Windows', features: trusted });

  return { gallery, sharedGallery: `${group.subscription}-SHARED`, communityGallery: publicName };
}

/** Adds a definition with version 1.0.0, by default replicated to both regions. */
function defineIn(world: World, gallery: string): Define {
  return (name, options, version = { regions: both }) => {
    const id = addDefinition(world, gallery, name, options);
    addVersion(world, id, '1.0.0', {
      ...version,
      ...(options.osType === 'Windows' ? { osDiskSizeGB: 127 } : {}),
    });
    return id;
  };
}

function addLinuxVersions(world: World, gallery: string): void {
  const linux = defineIn(world, gallery)('linux', {
    osType: 'Linux',
    features: { ...trusted, DiskControllerTypes: 'SCSI, NVMe' },
  });
  addVersion(world, linux, '1.1.0', { regions: both });
  addVersion(world, linux, '1.9.0', { regions: both });
  // Normalized region names, as in an old recording, on the version that most runs use.
  addVersion(world, linux, '1.10.0', { regions: ['westeurope', 'northeurope'] });
  addVersion(world, linux, '1.11.0', { regions: ['North Europe'] });
  addVersion(world, linux, '2.0.0', { regions: both, excludeFromLatest: true });
}

function addOtherDefinitions(define: Define): void {
  define('windows', { osType: 'Windows', features: trusted });
  define('windows-gen1', { osType: 'Windows', generation: 'V1' });
  define('windows-specialized', { osType: 'Windows', osState: 'Specialized', features: trusted });
  define('linux-specialized', { osType: 'Linux', osState: 'Specialized', features: trusted });
  define('linux-gen1', { osType: 'Linux', generation: 'V1' });
  define('linux-arm64', { osType: 'Linux', architecture: 'Arm64' });
  define('linux-plan', {
    osType: 'Linux',
    features: trusted,
    purchasePlan: { name: 'hardened', publisher: 'contoso', product: 'linux-images' },
  });
  define('linux-trusted', { osType: 'Linux', features: { SecurityType: 'TrustedLaunch' } });
  define('linux-confidential', { osType: 'Linux', features: { SecurityType: 'ConfidentialVM' } });

  define(
    'linux-data-disks',
    { osType: 'Linux', features: trusted },
    {
      regions: both,
      dataDisks: [
        { lun: 0, sizeInGB: 40 },
        { lun: 2, sizeInGB: 70 },
      ],
    },
  );
}

/** Versions that no VM can boot from yet. */
function addUnreadyVersions(world: World, define: Define): void {
  const options = { osType: 'Linux', features: trusted } as const;
  // A recorded replication took about 7 minutes: long enough to be seen in progress, short enough to wait for.
  define('linux-replicating', options, {
    regions: ['North Europe', { region: 'West Europe', completesAfter: world.latency('galleryImageVersionPut') }],
  });
  define('linux-replication-failed', options, {
    regions: [
      'North Europe',
      { region: 'West Europe', state: 'Failed', progress: 20, details: 'Replication to the region failed.' },
    ],
    provisioningState: 'Failed',
  });
  define('linux-creating', options, {
    regions: [{ region: 'West Europe', state: 'Unknown' }],
    provisioningState: 'Creating',
  });
}
