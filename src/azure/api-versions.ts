/** For requests outside the SDK's operation groups: https://learn.microsoft.com/azure/templates/ lists the versions. */
export const apiVersions = {
  denyAssignments: '2022-04-01',
  disks: '2024-03-02',
  features: '2021-07-01',
  identities: '2024-11-30',
  locks: '2020-05-01',
  marketplaceTerms: '2021-01-01',
  network: '2024-05-01',
  permissions: '2022-04-01',
  policyRestrictions: '2024-10-01',
  policyTokens: '2025-11-01',
  providers: '2021-04-01',
  /** The first stable version that returns `roleAssignmentMode`. */
  registries: '2025-11-01',
  resourceGraph: '2022-10-01',
  resourceGroups: '2021-04-01',
  resources: '2021-04-01',
  roleAssignments: '2022-04-01',
  roleDefinitions: '2022-04-01',
  subscriptions: '2022-12-01',
  tags: '2021-04-01',
  virtualMachines: '2024-07-01',
} as const;

/** Newest first. Azure answers all of them, Azure Stack Hub only the oldest; it answers 400 or 404 to the others. */
export const cloudMetadataVersions = ['2022-09-01', '2019-05-01', '2015-01-01'] as const;

/** Requests are valid in these versions and later; older ones lack properties that they send. */
export const oldestValidVersions: Readonly<Record<string, string>> = {
  'microsoft.compute': '2023-03-01',
  'microsoft.network': '2023-11-01',
};

/** Older versions refuse `securityType: Standard` unless a feature is registered (azure-rest-api-specs#39957). */
export const standardSecurityTypeSince = '2025-11-01';

/** Compute documents `If-None-Match` for VMs from this version on. */
export const ifNoneMatchSince = '2024-03-01';

export const identityType = 'Microsoft.ManagedIdentity/userAssignedIdentities';
