// Regions that sell compute in this world: https://learn.microsoft.com/azure/reliability/regions-list

export interface Region {
  readonly name: string;
  readonly displayName: string;
  readonly zones: readonly string[];
}

const three = ['1', '2', '3'] as const;

const regions: readonly Region[] = [
  { name: 'westeurope', displayName: 'West Europe', zones: three },
  { name: 'northeurope', displayName: 'North Europe', zones: three },
  { name: 'germanywestcentral', displayName: 'Germany West Central', zones: three },
  { name: 'uksouth', displayName: 'UK South', zones: three },
  { name: 'francecentral', displayName: 'France Central', zones: three },
  { name: 'swedencentral', displayName: 'Sweden Central', zones: three },
  { name: 'switzerlandnorth', displayName: 'Switzerland North', zones: three },
  { name: 'eastus', displayName: 'East US', zones: three },
  { name: 'eastus2', displayName: 'East US 2', zones: three },
  { name: 'centralus', displayName: 'Central US', zones: three },
  { name: 'southcentralus', displayName: 'South Central US', zones: three },
  { name: 'westus', displayName: 'West US', zones: [] },
  { name: 'westus2', displayName: 'West US 2', zones: three },
  { name: 'westus3', displayName: 'West US 3', zones: three },
  { name: 'westcentralus', displayName: 'West Central US', zones: [] },
  { name: 'canadacentral', displayName: 'Canada Central', zones: three },
  { name: 'brazilsouth', displayName: 'Brazil South', zones: three },
  { name: 'centralindia', displayName: 'Central India', zones: three },
  { name: 'southeastasia', displayName: 'Southeast Asia', zones: three },
  { name: 'japaneast', displayName: 'Japan East', zones: three },
  { name: 'australiaeast', displayName: 'Australia East', zones: three },
  { name: 'usgovvirginia', displayName: 'USGov Virginia', zones: three },
  { name: 'chinanorth3', displayName: 'China North 3', zones: three },
];

/** `West Europe`, `westeurope` and `WESTEUROPE` are one region. */
export function regionName(name: string): string {
  return name.toLowerCase().replaceAll(' ', '');
}

export function findRegion(name: string): Region | undefined {
  const wanted = regionName(name);
  return regions.find((region) => region.name === wanted);
}

/** The name that gallery answers use: `West Europe`. */
export function displayName(name: string): string {
  return findRegion(name)?.displayName ?? name;
}

export function allRegions(): readonly Region[] {
  return regions;
}
