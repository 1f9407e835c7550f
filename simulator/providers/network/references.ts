/**
 * References between resources. What one resource shows of another (`networkInterfaces` of a security group,
 * `ipConfigurations` of a subnet) is computed from the network interfaces on each GET and never stored.
 */
import type { Call, LinkedResource } from '../../http/provider.ts';
import { type ArmError, refuseNetwork } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';

/** A subnet (its body is part of the virtual network's body) and its virtual network. */
export interface Subnet {
  readonly vnet: Resource;
  readonly body: Json;
}

/** IDs and names are compared without case. */
export function isSameId(a: unknown, b: unknown): boolean {
  return typeof a === 'string' && typeof b === 'string' && a.toLowerCase() === b.toLowerCase();
}

export function allInterfaces(world: World): Resource[] {
  return [...world.resources.ofType('Microsoft.Network/networkInterfaces')];
}

export function allIpConfigurations(world: World): Json[] {
  return allInterfaces(world).flatMap((nic) => nic.body['properties'].ipConfigurations as Json[]);
}

export function allSubnets(world: World): Subnet[] {
  return [...world.resources.ofType('Microsoft.Network/virtualNetworks')].flatMap((vnet) =>
    (vnet.body['properties'].subnets as Json[]).map((body) => ({ vnet, body })),
  );
}

export function findSubnet(world: World, id: string): Subnet | undefined {
  const vnet = world.resources.get(id.replace(/\/subnets\/[^/]+$/i, ''));
  const body = (vnet?.body['properties'].subnets as Json[] | undefined)?.find((subnet) => isSameId(subnet['id'], id));
  return vnet && body ? { vnet, body } : undefined;
}

/** The permission to join the security group that a body refers to. */
export function securityGroupLink(holder: Json): LinkedResource[] {
  const id: string | undefined = holder['properties']?.networkSecurityGroup?.id;
  return id === undefined ? [] : [{ id, action: 'Microsoft.Network/networkSecurityGroups/join/action' }];
}

/** @throws ArmError unless the resource exists in the same region with state Succeeded. */
export function requireReference(call: Call, id: string, location: string): Resource | undefined {
  const resource = call.world.resources.get(id);
  if (!resource || resource.body['location'] !== location) throw invalidReferenceError(call, id);
  const state: string = resource.body['properties'].provisioningState;
  if (state !== 'Succeeded') throw notProvisionedError(call, id, state);
  return resource;
}

/** 400: the resource does not exist, or is in another region. */
export function invalidReferenceError(call: Call, id: string): ArmError {
  return refuseNetwork(
    'InvalidResourceReference',
    `Resource ${id} referenced by resource ${call.resourceId} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
  );
}

/** 409: another operation is changing the resource. */
export function notProvisionedError(call: Call, id: string, state: string): ArmError {
  const operation = call.world.operations.findRunning(id)?.name ?? 'PutOperation';
  return refuseNetwork(
    'ReferencedResourceNotProvisioned',
    `Cannot proceed with operation because resource ${id} used by resource ${call.resourceId} is not in Succeeded state. Resource is in ${state} state and the last operation that updated/is updating the resource is ${operation}.`,
    409,
  );
}
