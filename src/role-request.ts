import type { RoleRequest } from './inputs.ts';
import { isGuid, isScope } from './resource-id.ts';

const roleDefinitionPattern = /^(?:\/.+)?\/providers\/Microsoft\.Authorization\/roleDefinitions\/([^/]+)$/i;

/** Reads `ROLE on SCOPE`: the role by its name, by the GUID of its definition, or by the definition's ID. */
export function parseRoleRequest(entry: string): RoleRequest | { readonly fault: string } {
  const [, role = '', scope = ''] = /^(.*\S)\s+on\s+(\S+)$/i.exec(entry) ?? [];
  if (role === '') return { fault: 'is not of the form ROLE on SCOPE, e.g. Reader on /subscriptions/…' };
  if (!isScope(scope))
    return { fault: 'names a scope that is not a full Resource Manager ID (/subscriptions/…)' };
  const guid = roleDefinitionPattern.exec(role)?.[1] ?? role;
  if (role.startsWith('/') && !isGuid(guid)) {
    const shape = '/subscriptions/…/providers/Microsoft.Authorization/roleDefinitions/<GUID>';
    return { fault: `names a role that is not the ID of a role definition (${shape})` };
  }
  return {
    role: isGuid(guid) ? { kind: 'id', guid: guid.toLowerCase() } : { kind: 'name', name: role },
    scope: scope.replace(/\/$/, ''),
  };
}
