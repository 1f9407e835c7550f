/**
 * Who refers to whom. What one resource says of another (`networkInterfaces` of a group, `ipConfigurations` of a subnet)
 * is worked out from the network interfaces on each GET, never stored: whoever removes an interface need not know who
 * mentioned it.
 */
import type { Call, LinkedResource } from '../../http/provider.ts';
import { type ArmError, refuseNetwork } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';

/** IDs and names are compared without case. */
export function isSameId(a: unknown, b: unknown): boolean {
  return typeof a === 'string' && typeof b === 'string' && a.toLowerCase() === b.toLowerCase();
}

/** All network interfaces of the world. */
export function allInterfaces(world: World): Resource[] {
  return [...world.resources.ofType('Microsoft.Network/networkInterfaces')];
}

/** All IP configurations of all network interfaces. */
export function allIpConfigurations(world: World): Json[] {
  return allInterfaces(world).flatMap((nic) => nic.body['properties'].ipConfigurations as Json[]);
}

/** All subnets, each with its virtual network. */
export function allSubnets(world: World): { vnet: Resource; body: Json }[] {
  return [...world.resources.ofType('Microsoft.Network/virtualNetworks')].flatMap((vnet) =>
    (vnet.body['properties'].subnets as Json[]).map((body) => ({ vnet, body })),
  );
}

/** A subnet by its ID. */
export function findSubnet(world: World, id: string): { vnet: Resource; body: Json } | undefined {
  const vnet = world.resources.get(id.replace(/\/subnets\/[^/]+$/i, ''));
  const body = (vnet?.body['properties'].subnets as Json[] | undefined)?.find((one) =>
    isSameId(one['id'], id),
  );
  return vnet && body ? { vnet, body } : undefined;
}

/** The right to join the security group that a body names. */
export function securityGroupLink(holder: Json): LinkedResource[] {
  const id: string | undefined = holder['properties']?.networkSecurityGroup?.id;
  return id === undefined ? [] : [{ id, action: 'Microsoft.Network/networkSecurityGroups/join/action' }];
}

/** The resource must be there, in the same region and settled, for another one to refer to it. */
export function requireReference(call: Call, id: string, location: string): Resource | undefined {
  const resource = call.world.resources.get(id);
  if (!resource || resource.body['location'] !== location) throw invalidReferenceError(call, id);
  const state: string = resource.body['properties'].provisioningState;
  if (state !== 'Succeeded') throw notProvisionedError(call, id, state);
  return resource;
}

/** 400: what is referred to is not there, or in another region. */
export function invalidReferenceError(call: Call, id: string): ArmError {
  return refuseNetwork(
    'InvalidResourceReference',
    `Resource ${id} referenced by resource ${call.resourceId} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
  );
}

/** 409: what is referred to is being written. */
export function notProvisionedError(call: Call, id: string, state: string): ArmError {
  const operation = call.world.operations.findRunning(id)?.name ?? 'PutOperation';
  return refuseNetwork(
    'ReferencedResourceNotProvisioned',
    `Cannot proceed with operation because resource ${id} used by resource ${call.resourceId} is not in Succeeded state. Resource is in ${state} state and the last operation that updated/is updating the resource is ${operation}.`,
    409,
  );
}
