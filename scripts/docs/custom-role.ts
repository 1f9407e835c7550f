import { type Feature, type PermissionRow, permissionTable } from '../../src/access/required-permissions.ts';

export const features = Object.keys(permissionTable) as readonly Feature[];

/** A role definition in the format of `az role definition create`. */
export interface CustomRole {
  readonly Name: string;
  readonly IsCustom: true;
  readonly Description: string;
  readonly Actions: readonly string[];
  readonly NotActions: readonly string[];
  readonly AssignableScopes: readonly string[];
}

/** Returns the smallest role for the features, including what cleanup and the optional actions need. */
export function customRole(
  roleFeatures: readonly Feature[],
  { name, description, scopes }: { name: string; description: string; scopes: readonly string[] },
): CustomRole {
  const rows = roleFeatures.map((feature): PermissionRow => permissionTable[feature]);
  const actions = rows.flatMap(({ actions, cleanup = [], optional = [] }) => [...actions, ...cleanup, ...optional]);
  return {
    Name: name,
    IsCustom: true,
    Description: description,
    Actions: [...new Set(actions)].toSorted(),
    NotActions: [],
    AssignableScopes: scopes,
  };
}
