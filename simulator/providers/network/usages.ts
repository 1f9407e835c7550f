/** Quotas of a region and their usage. */
import type { Call } from '../../http/provider.ts';
import type { ArmError } from '../../model/arm-error.ts';
import type { World } from '../../world/world.ts';

/** Quotas that tests may lower: `networkSettings(world).limits.PublicIPAddresses = 0`. */
export interface NetworkSettings {
  readonly limits: Record<string, number>;
}

/** Settings of a world. They can be changed at any time. */
export function networkSettings(world: World): NetworkSettings {
  return world.extension('network', () => ({
    limits: {
      VirtualNetworks: 1000,
      PublicIPAddresses: 1000,
      StaticPublicIPAddresses: 1000,
      StandardSkuPublicIpAddresses: 1000,
      NetworkSecurityGroups: 5000,
      NetworkInterfaces: 65536,
    },
  }));
}

/** @throws the error that `refusal` builds when the quota is exhausted. */
export function checkQuota(call: Call, limit: string, location: string, refusal: (limit: number) => ArmError): void {
  const allowed = networkSettings(call.world).limits[limit];
  if (allowed === undefined) return;
  if ((countUsage(call.world, call.subscription.id, location)[limit] ?? 0) >= allowed) throw refusal(allowed);
}

/** Counts the resources of the world. */
export function countUsage(world: World, subscription: string, location: string): Record<string, number> {
  const scope = `/subscriptions/${subscription}`;
  const count = (type: string): number =>
    [...world.resources.under(scope, `Microsoft.Network/${type}`)].filter(
      (resource) => resource.body['location'] === location,
    ).length;
  const addresses = count('publicIPAddresses');
  return {
    VirtualNetworks: count('virtualNetworks'),
    PublicIPAddresses: addresses,
    StaticPublicIPAddresses: addresses,
    StandardSkuPublicIpAddresses: addresses,
    NetworkSecurityGroups: count('networkSecurityGroups'),
    NetworkInterfaces: count('networkInterfaces'),
  };
}

/** Azure's display names. */
export const usageNames: Record<string, string> = {
  VirtualNetworks: 'Virtual Networks',
  PublicIPAddresses: 'Public IP Addresses',
  StaticPublicIPAddresses: 'Static Public IP Addresses',
  StandardSkuPublicIpAddresses: 'Public IP Addresses - Standard',
  NetworkSecurityGroups: 'Network Security Groups',
  NetworkInterfaces: 'Network Interfaces',
};
