/** Quotas of a region and how much of them is used. */
import type { Call } from '../../http/provider.ts';
import type { ArmError } from '../../model/arm-error.ts';
import type { World } from '../../world/world.ts';

/** Quotas that a scenario may lower: `networkSettings(world).limits.PublicIPAddresses = 0`. */
export interface NetworkSettings {
  readonly limits: Record<string, number>;
}

/** The settings of a world; change them at any time. */
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

/** Throws the refusal when the quota is used up. */
export function checkQuota(
  call: Call,
  limit: string,
  location: string,
  refusal: (limit: number) => ArmError,
): void {
  const allowed = networkSettings(call.world).limits[limit];
  if (allowed === undefined) return;
  if ((countUsage(call.world, call.subscription.id, location)[limit] ?? 0) >= allowed) throw refusal(allowed);
}

/** Counted from the resources of the world. */
export function countUsage(world: World, subscription: string, location: string): Record<string, number> {
  const scope = `/subscriptions/${subscription}`;
  const count = (type: string): number =>
    [...world.resources.under(scope, `Microsoft.Network/${type}`)].filter(
      (one) => one.body['location'] === location,
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

/** Names as Azure shows them. */
export const usageNames: Record<string, string> = {
  VirtualNetworks: 'Virtual Networks',
  PublicIPAddresses: 'Public IP Addresses',
  StaticPublicIPAddresses: 'Static Public IP Addresses',
  StandardSkuPublicIpAddresses: 'Public IP Addresses - Standard',
  NetworkSecurityGroups: 'Network Security Groups',
  NetworkInterfaces: 'Network Interfaces',
};
