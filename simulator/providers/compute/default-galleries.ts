// The images of the default world: one definition per kind of machine that the action must tell apart.
import type { World } from '../../world/world.ts';
import { addDefinition, addGallery, addVersion } from './galleries.ts';

const both = ['West Europe', 'North Europe'] as const;

export interface DefaultGalleries {
  /** The gallery in the image tenant. */
  readonly gallery: string;
  /** Unique name of the gallery shared directly with the tenant of the VM: `/sharedGalleries/<this>/images/linux`. */
  readonly sharedGallery: string;
  /** Public name of the community gallery: `/communityGalleries/<this>/images/linux`. */
  readonly communityGallery: string;
}

/**
 * Fills a world with the default galleries, in its resource group `gallery-rg`; every other tenant is shared with.
 * Definition `linux` holds what "latest" has to get right: 1.10.0 counts above 1.9.0, 1.11.0 is not in West Europe yet,
 * 2.0.0 is excluded from latest.
 */
export function addDefaultGalleries(world: World): DefaultGalleries {
  const group = [...world.groups.values()].find((one) => one.name === 'gallery-rg');
  if (group === undefined) throw new Error('the default galleries need a resource group gallery-rg');
  const owner = world.subscriptions.get(group.subscription)?.tenant;
  const others = [...world.tenants.keys()].filter((tenant) => tenant !== owner);
  const place = { subscription: group.subscription, group: group.name, location: group.location };
  const gallery = addGallery(world, { ...place, name: 'images' });
  const trusted = { SecurityType: 'TrustedLaunchSupported', IsAcceleratedNetworkSupported: 'True' };
  const define = (name: string, options: Parameters<typeof addDefinition>[3], version = '1.0.0'): string => {
    const id = addDefinition(world, gallery, name, options);
    addVersion(world, id, version, {
      regions: both,
      ...(options.osType === 'Windows' ? { osDiskSizeGB: 127 } : {}),
    });
    return id;
  };

  const linux = define('linux', {
    osType: 'Linux',
    features: { ...trusted, DiskControllerTypes: 'SCSI, NVMe' },
  });
  addVersion(world, linux, '1.1.0', { regions: both });
  addVersion(world, linux, '1.9.0', { regions: both });
  // The normalised spelling of an old recording, on the version that most runs look at.
  addVersion(world, linux, '1.10.0', { regions: ['westeurope', 'northeurope'] });
  addVersion(world, linux, '1.11.0', { regions: ['North Europe'] });
  addVersion(world, linux, '2.0.0', { regions: both, excludeFromLatest: true });

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

  const dataDisks = addDefinition(world, gallery, 'linux-data-disks', { osType: 'Linux', features: trusted });
  addVersion(world, dataDisks, '1.0.0', {
    regions: both,
    dataDisks: [
      { lun: 0, sizeInGB: 40 },
      { lun: 2, sizeInGB: 70 },
    ],
  });

  const replicating = addDefinition(world, gallery, 'linux-replicating', {
    osType: 'Linux',
    features: trusted,
  });
  // Long enough to be met in progress, short enough to be waited for: a recorded replication took about 7 minutes.
  addVersion(world, replicating, '1.0.0', {
    regions: [
      'North Europe',
      { region: 'West Europe', completesAfter: world.latency('galleryImageVersionPut') },
    ],
  });
  const stuck = addDefinition(world, gallery, 'linux-replication-failed', {
    osType: 'Linux',
    features: trusted,
  });
  addVersion(world, stuck, '1.0.0', {
    regions: [
      'North Europe',
      { region: 'West Europe', state: 'Failed', progress: 20, details: 'Replication to the region failed.' },
    ],
    provisioningState: 'Failed',
  });
  const creating = addDefinition(world, gallery, 'linux-creating', { osType: 'Linux', features: trusted });
  addVersion(world, creating, '1.0.0', {
    regions: [{ region: 'West Europe', state: 'Unknown' }],
    provisioningState: 'Creating',
  });

  const shared = addGallery(world, { ...place, name: 'shared', sharedWith: others });
  const sharedLinux = addDefinition(world, shared, 'linux', { osType: 'Linux', features: trusted });
  addVersion(world, sharedLinux, '1.0.0', { regions: both });
  addVersion(world, sharedLinux, '1.1.2', { regions: both });
  const publicName = 'contoso-5f2c1f0e-8a5b-4d3b-9c86-0d3f3c6f5a11';
  const community = addGallery(world, { ...place, name: 'community', publicName });
  const communityLinux = addDefinition(world, community, 'linux', { osType: 'Linux', features: trusted });
  addVersion(world, communityLinux, '1.0.0', { regions: both });
  const communityWindows = addDefinition(world, community, 'windows', {
    osType: 'Windows',
    features: trusted,
  });
  addVersion(world, communityWindows, '1.0.0', { regions: both, osDiskSizeGB: 127 });

  return { gallery, sharedGallery: `${group.subscription}-SHARED`, communityGallery: publicName };
}
