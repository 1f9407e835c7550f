// Regions with availability zones: https://learn.microsoft.com/azure/reliability/regions-list

export interface Region {
  readonly name: string;
  readonly displayName: string;
  readonly zones: readonly string[];
}

const threeZones = ['1', '2', '3'] as const;

const regions: readonly Region[] = [
  { name: 'westeurope', displayName: 'West Europe', zones: threeZones },
  { name: 'northeurope', displayName: 'North Europe', zones: threeZones },
  { name: 'germanywestcentral', displayName: 'Germany West Central', zones: threeZones },
  { name: 'uksouth', displayName: 'UK South', zones: threeZones },
  { name: 'francecentral', displayName: 'France Central', zones: threeZones },
  { name: 'swedencentral', displayName: 'Sweden Central', zones: threeZones },
  { name: 'switzerlandnorth', displayName: 'Switzerland North', zones: threeZones },
  { name: 'eastus', displayName: 'East US', zones: threeZones },
  { name: 'eastus2', displayName: 'East US 2', zones: threeZones },
  { name: 'centralus', displayName: 'Central US', zones: threeZones },
  { name: 'southcentralus', displayName: 'South Central US', zones: threeZones },
  { name: 'westus', displayName: 'West US', zones: [] },
  { name: 'westus2', displayName: 'West US 2', zones: threeZones },
  { name: 'westus3', displayName: 'West US 3', zones: threeZones },
  { name: 'westcentralus', displayName: 'West Central US', zones: [] },
  { name: 'canadacentral', displayName: 'Canada Central', zones: threeZones },
  { name: 'brazilsouth', displayName: 'Brazil South', zones: threeZones },
  { name: 'centralindia', displayName: 'Central India', zones: threeZones },
  { name: 'southeastasia', displayName: 'Southeast Asia', zones: threeZones },
  { name: 'japaneast', displayName: 'Japan East', zones: threeZones },
  { name: 'australiaeast', displayName: 'Australia East', zones: threeZones },
  { name: 'usgovvirginia', displayName: 'USGov Virginia', zones: threeZones },
  { name: 'chinanorth3', displayName: 'China North 3', zones: threeZones },
];

/** Normalizes `West Europe` and `WESTEUROPE` to `westeurope`. */
export function regionName(name: string): string {
  return name.toLowerCase().replaceAll(' ', '');
}

export function findRegion(name: string): Region | undefined {
  const key = regionName(name);
  return regions.find((region) => region.name === key);
}

/** The display name, as gallery answers use it: `West Europe`. */
export function displayName(name: string): string {
  return findRegion(name)?.displayName ?? name;
}

export function allRegions(): readonly Region[] {
  return regions;
}
