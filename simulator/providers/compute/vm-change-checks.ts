import type { Call } from '../../http/provider.ts';
import { ArmError, refuse } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import { regionName } from '../regions.ts';
import { vmStateOf } from './vm.ts';

function changeNotAllowedError(target: string): Error {
  return refuse(409, 'PropertyChangeNotAllowed', `Changing property '${target}' is not allowed.`, { target });
}

function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a === 'string' && typeof b === 'string') return a.toLowerCase() === b.toLowerCase();
  return JSON.stringify(a) === JSON.stringify(b);
}

/** What a PUT over an existing VM may not change. */
export function checkVmChange(call: Call, existing: Resource): void {
  const before: Json = existing.body['properties'];
  const after: Json = call.body['properties'] ?? {};
  const location: unknown = call.body['location'];
  if (typeof location === 'string' && regionName(location) !== existing.body['location']) {
    const group = call.params['resourceGroup'];
    throw new ArmError(
      409,
      'InvalidResourceLocation',
      `The resource '${call.name}' already exists in location '${existing.body['location']}' in resource group '${group}'. A resource with the same name cannot be created in location '${regionName(location)}'. Please select a new resource name.`,
      { gateway: true },
    );
  }
  const zonesBefore: string[] = existing.body['zones'] ?? [];
  const zonesAfter: string[] = call.body['zones'] ?? [];
  if (zonesBefore.join() !== zonesAfter.join()) {
    throw new ArmError(
      400,
      'ResourceAvailabilityZonesCannotBeModified',
      `The resource '${call.resourceId}' has an existing availability zone constraint '${zonesBefore.join(',')}' and the request has availability zone constraint '${zonesAfter.join(',')}', which do not match. Zones cannot be added/updated/removed once the resource is created. The resource cannot be updated from regional to zonal or vice-versa.`,
      { gateway: true },
    );
  }
  const image: Json = after['storageProfile']?.imageReference ?? {};
  const imageBefore: Json = before['storageProfile'].imageReference;
  for (const key of ['id', 'sharedGalleryImageId', 'communityGalleryImageId']) {
    if (!isEqual(image[key], imageBefore[key])) throw changeNotAllowedError('imageReference');
  }
  const diskName: unknown = after['storageProfile']?.osDisk?.name;
  if (diskName !== undefined && !isEqual(diskName, before['storageProfile'].osDisk.name))
    throw changeNotAllowedError('osDisk.name');
  const profile: Json | undefined = after['osProfile'] ?? undefined;
  const profileBefore: Json | undefined = before['osProfile'];
  if (profile !== undefined && profileBefore === undefined) throw changeNotAllowedError('osProfile');
  for (const key of ['computerName', 'adminUsername'] as const) {
    if (profile?.[key] !== undefined && profile[key] !== profileBefore?.[key])
      throw changeNotAllowedError(`osProfile.${key}`);
  }
  if (profile?.['customData'] !== undefined && profile['customData'] !== vmStateOf(existing).customData) {
    throw changeNotAllowedError('osProfile.customData');
  }
  const keys: unknown = profile?.['linuxConfiguration']?.ssh;
  if (keys !== undefined && !isEqual(keys, profileBefore?.['linuxConfiguration']?.ssh)) {
    throw changeNotAllowedError('osProfile.linuxConfiguration.ssh.publicKeys');
  }
  if ((after['priority'] ?? 'Regular') !== (before['priority'] ?? 'Regular'))
    throw changeNotAllowedError('priority');
  if (call.body['plan'] !== undefined && !isEqual(call.body['plan'], existing.body['plan']))
    throw changeNotAllowedError('plan');
}
