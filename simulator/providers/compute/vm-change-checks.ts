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

/**
 * Rejects changes that Azure does not allow in a PUT over an existing VM.
 *
 * @throws ArmError naming the property.
 */
export function checkVmChange(call: Call, existing: Resource): void {
  checkPlacementChange(call, existing);
  const before: Json = existing.body['properties'];
  const after: Json = call.body['properties'] ?? {};
  checkStorageChange(before['storageProfile'], after['storageProfile'] ?? {});
  const osProfile: Json | undefined = after['osProfile'] ?? undefined;
  if (osProfile !== undefined) checkOsProfileChange(existing, osProfile);
  if ((after['priority'] ?? 'Regular') !== (before['priority'] ?? 'Regular')) {
    throw changeNotAllowedError('priority');
  }
  if (call.body['plan'] !== undefined && !isEqual(call.body['plan'], existing.body['plan'])) {
    throw changeNotAllowedError('plan');
  }
}

function checkPlacementChange(call: Call, existing: Resource): void {
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
}

function checkStorageChange(before: Json, after: Json): void {
  const image: Json = after['imageReference'] ?? {};
  for (const key of ['id', 'sharedGalleryImageId', 'communityGalleryImageId']) {
    if (!isEqual(image[key], before['imageReference'][key])) throw changeNotAllowedError('imageReference');
  }
  const diskName: unknown = after['osDisk']?.name;
  if (diskName !== undefined && !isEqual(diskName, before['osDisk'].name)) {
    throw changeNotAllowedError('osDisk.name');
  }
}

function checkOsProfileChange(existing: Resource, after: Json): void {
  const before: Json | undefined = existing.body['properties'].osProfile;
  if (before === undefined) throw changeNotAllowedError('osProfile');
  for (const key of ['computerName', 'adminUsername'] as const) {
    if (after[key] !== undefined && after[key] !== before[key]) {
      throw changeNotAllowedError(`osProfile.${key}`);
    }
  }
  if (after['customData'] !== undefined && after['customData'] !== vmStateOf(existing).customData) {
    throw changeNotAllowedError('osProfile.customData');
  }
  const ssh: unknown = after['linuxConfiguration']?.ssh;
  if (ssh !== undefined && !isEqual(ssh, before['linuxConfiguration']?.ssh)) {
    throw changeNotAllowedError('osProfile.linuxConfiguration.ssh.publicKeys');
  }
}
