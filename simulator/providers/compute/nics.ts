// Network interfaces of a VM: attach, reserve, detach, delete.
// The network side reads `properties.virtualMachine` and `internal.reservation` ({vm, until} in simulated seconds).
import type { Call } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { regionName } from '../regions.ts';
import type { Size } from './skus.ts';
import { invalidParameter } from './vm-rules.ts';

/** Reservation of a NIC after a failed VM creation; `until` in simulated seconds. */
export interface NicReservation {
  readonly vm: string;
  readonly until: number;
}

function findNic(world: World, id: unknown): Resource | undefined {
  return typeof id === 'string' ? world.resources.get(id) : undefined;
}

function sameId(a: unknown, b: unknown): boolean {
  return typeof a === 'string' && typeof b === 'string' && a.toLowerCase() === b.toLowerCase();
}

/** Checks `networkProfile`: each NIC exists in the VM's region, is free, and works with the size. */
export function checkNics(call: Call, location: string, size: Size): void {
  const nics: unknown = call.body['properties'].networkProfile?.networkInterfaces;
  if (!Array.isArray(nics) || nics.length === 0) {
    throw invalidParameter('networkProfile', "Required parameter 'networkProfile' is missing (null).");
  }
  if (nics.length > size.maxNics) throw notModelled('more NICs than the size supports');
  if (nics.length > 1 && nics.filter((nic: Json) => nic['properties']?.primary === true).length !== 1) {
    throw refuse(
      400,
      'VirtualMachineMustHaveOneNetworkInterfaceAsPrimary',
      `Virtual machine ${call.resourceId} must have one network interface set as the primary.`,
    );
  }
  for (const { id } of nics as Json[]) checkNicUsable(call, requireNic(call, id, location), size);
}

function requireNic(call: Call, id: unknown, location: string): Resource {
  if (typeof id !== 'string' || !id.startsWith('/')) {
    throw refuse(
      400,
      'LinkedInvalidPropertyId',
      `Property id '${String(id)}' at path 'properties.networkProfile.networkInterfaces[0].id' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
    );
  }
  const nic = findNic(call.world, id);
  if (nic === undefined || regionName(nic.body['location']) !== location) {
    throw refuse(
      400,
      'InvalidResourceReference',
      `Resource ${id} referenced by resource ${call.resourceId} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
      { details: [] },
    );
  }
  return nic;
}

function checkNicUsable(call: Call, nic: Resource, size: Size): void {
  const { world } = call;
  const state: unknown = nic.body['properties'].provisioningState;
  if (state !== 'Succeeded') {
    const busy = world.operations.findRunning(nic.id)?.name ?? 'PutNetworkInterfaceOperation';
    throw refuse(
      409,
      'ReferencedResourceNotProvisioned',
      `Cannot proceed with operation because resource ${nic.id} used by resource ${call.resourceId} is not in Succeeded state. Resource is in ${String(state)} state and the last operation that updated/is updating the resource is ${busy}.`,
      { details: [] },
    );
  }
  const holder: string | undefined = nic.body['properties'].virtualMachine?.id;
  if (holder !== undefined && !sameId(holder, call.resourceId)) {
    throw refuse(400, 'NicInUse', `Network Interface ${nic.id} is used by existing VM ${holder}.`, {
      details: [],
    });
  }
  const reserved = activeReservation(world, nic);
  if (reserved !== undefined && !sameId(reserved.vm, call.resourceId)) throw nicReservedError(world, reserved);
  if (nic.body['properties'].enableAcceleratedNetworking === true && !size.acceleratedNetworking) {
    throw refuse(
      400,
      'VMSizeIsNotPermittedToEnableAcceleratedNetworking',
      `The specified VM size ${size.name} is not permitted to enable AcceleratedNetworking on network interface(s) ${nic.id}.`,
      { details: [] },
    );
  }
}

function activeReservation(world: World, nic: Resource): NicReservation | undefined {
  const reservation: NicReservation | undefined = nic.internal['reservation'];
  return reservation !== undefined && reservation.until > world.clock.now() ? reservation : undefined;
}

/** Text from errors.json, NicReservedForAnotherVm. */
function nicReservedError(world: World, reservation: NicReservation): Error {
  const remaining = Math.ceil(reservation.until - world.clock.now());
  // Azure always reports the full 180 seconds, in both places.
  const seconds = Math.max(180, remaining);
  return refuse(
    400,
    'NicReservedForAnotherVm',
    `Nic(s) in request is reserved for another Virtual Machine for ${seconds} seconds. Please provide another nic(s) or retry after ${seconds} seconds. Reserved VM: ${reservation.vm}`,
    { details: [] },
  );
}

export function attachNic(world: World, id: unknown, vm: string): void {
  const nic = findNic(world, id);
  if (nic === undefined) return;
  const properties: Json = nic.body['properties'];
  properties['virtualMachine'] = { id: vm };
  properties['primary'] = true;
  // Locally administered, in Microsoft's spelling: 00-0D-3A-C4-DF-DD.
  const byte = (): string =>
    Math.floor(Math.random() * 256)
      .toString(16)
      .padStart(2, '0')
      .toUpperCase();
  properties['macAddress'] ??= `00-0D-3A-${byte()}-${byte()}-${byte()}`;
  nic.internal['reservation'] = undefined;
}

/** Keeps the reservation of a failed creation, which outlives the VM. */
export function detachNic(world: World, id: unknown, vm: string): void {
  const nic = findNic(world, id);
  if (nic === undefined || !sameId(nic.body['properties'].virtualMachine?.id, vm)) return;
  delete nic.body['properties'].virtualMachine;
}

/** After a failed creation Azure reserves the NIC for that VM. */
export function reserveNic(world: World, id: unknown, reservation: NicReservation): void {
  const nic = findNic(world, id);
  if (nic !== undefined) nic.internal['reservation'] = reservation;
}

/** Deletes a NIC with its VM, and the public IP too if its `deleteOption` is Delete. */
export function removeNic(world: World, id: unknown): void {
  const nic = findNic(world, id);
  if (nic === undefined) return;
  const configurations: Json[] = nic.body['properties'].ipConfigurations ?? [];
  const addresses = configurations
    .map(({ properties }) => properties?.publicIPAddress as Json | undefined)
    .filter((address) => address !== undefined);
  world.resources.remove(nic.id);
  for (const address of addresses) {
    const publicIp = findNic(world, address['id']);
    if (publicIp === undefined) continue;
    if (address['properties']?.deleteOption === 'Delete') world.resources.remove(publicIp.id);
    else delete publicIp.body['properties'].ipConfiguration;
  }
}
