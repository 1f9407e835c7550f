export const authorizationApi = '2022-04-01';

export const identityApi = '2024-11-30';

/** The first stable one that tells `roleAssignmentMode`. */
export const registryApi = '2025-11-01';

export const identityType = 'Microsoft.ManagedIdentity/userAssignedIdentities';
