// What a virtual machine does to network interfaces: joins them, holds them, gives them back, takes them along.
// The network side reads `properties.virtualMachine` and `internal.reservation` ({vm, until} in simulated seconds).
import type { Call } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { regionName } from '../regions.ts';
import type { Size } from './skus.ts';
import { invalidParameter } from './vm-rules.ts';

/** Hold on a NIC after a creation that failed; `until` in simulated seconds. */
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

/** The `networkProfile` of a PUT: the NICs are there, in the same region, free, and allowed on that size. */
export function checkNics(call: Call, location: string, size: Size): void {
  const { world } = call;
  const nics: unknown = call.body['properties'].networkProfile?.networkInterfaces;
  if (!Array.isArray(nics) || nics.length === 0) {
    throw invalidParameter('networkProfile', "Required parameter 'networkProfile' is missing (null).");
  }
  if (nics.length > size.maxNics) throw notModelled('more NICs than the size takes');
  if (nics.length > 1 && nics.filter((nic: Json) => nic['properties']?.primary === true).length !== 1) {
    throw refuse(
      400,
      'VirtualMachineMustHaveOneNetworkInterfaceAsPrimary',
      `Virtual machine ${call.resourceId} must have one network interface set as the primary.`,
    );
  }
  for (const entry of nics as Json[]) {
    const id: unknown = entry['id'];
    if (typeof id !== 'string' || !id.startsWith('/')) {
      throw refuse(
        400,
        'LinkedInvalidPropertyId',
        `Property id '${String(id)}' at path 'properties.networkProfile.networkInterfaces[0].id' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
      );
    }
    const nic = findNic(world, id);
    if (nic === undefined || regionName(nic.body['location']) !== location) {
      throw refuse(
        400,
        'InvalidResourceReference',
        `Resource ${id} referenced by resource ${call.resourceId} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
        { details: [] },
      );
    }
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
    if (reserved !== undefined && !sameId(reserved.vm, call.resourceId))
      throw nicReservedError(world, reserved);
    if (nic.body['properties'].enableAcceleratedNetworking === true && !size.acceleratedNetworking) {
      throw refuse(
        400,
        'VMSizeIsNotPermittedToEnableAcceleratedNetworking',
        `The specified VM size ${size.name} is not permitted to enable AcceleratedNetworking on network interface(s) ${nic.id}.`,
        { details: [] },
      );
    }
  }
}

/** The hold on a NIC, if it lasts still. */
export function activeReservation(world: World, nic: Resource): NicReservation | undefined {
  const held: NicReservation | undefined = nic.internal['reservation'];
  return held !== undefined && held.until > world.clock.now() ? held : undefined;
}

/** Refusal of a NIC that is held for another VM: errors.json, NicReservedForAnotherVm. */
export function nicReservedError(world: World, held: NicReservation): Error {
  const seconds = Math.max(1, Math.ceil(held.until - world.clock.now()));
  // Azure names the full time in both places.
  const said = seconds > 180 ? seconds : 180;
  return refuse(
    400,
    'NicReservedForAnotherVm',
    `Nic(s) in request is reserved for another Virtual Machine for ${said} seconds. Please provide another nic(s) or retry after ${said} seconds. Reserved VM: ${held.vm}`,
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

/** Gives a NIC back to nobody; a reservation of a failed creation outlives the VM. */
export function detachNic(world: World, id: unknown, vm: string): void {
  const nic = findNic(world, id);
  if (nic === undefined || !sameId(nic.body['properties'].virtualMachine?.id, vm)) return;
  delete nic.body['properties'].virtualMachine;
}

/** After a failed creation: attached if the machine got as far as booting, and held for that VM in any case. */
export function reserveNic(world: World, id: unknown, vm: string, until: number, attached: boolean): void {
  const nic = findNic(world, id);
  if (nic === undefined) return;
  nic.internal['reservation'] = { vm, until } satisfies NicReservation;
  if (!attached) detachNic(world, id, vm);
}

/** The VM takes its NIC along, and the public IP too where the NIC's configuration says so. */
export function removeNic(world: World, id: unknown): void {
  const nic = findNic(world, id);
  if (nic === undefined) return;
  const configurations: Json[] = nic.body['properties'].ipConfigurations ?? [];
  const addresses = configurations
    .map((one) => one['properties']?.publicIPAddress as Json | undefined)
    .filter((one) => one !== undefined);
  world.resources.remove(nic.id);
  for (const address of addresses) {
    const publicIp = findNic(world, address['id']);
    if (publicIp === undefined) continue;
    if (address['properties']?.deleteOption === 'Delete') world.resources.remove(publicIp.id);
    else delete publicIp.body['properties'].ipConfiguration;
  }
}
