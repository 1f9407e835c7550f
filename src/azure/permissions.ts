/** One entry of Azure's list of what the caller may do on a scope: one per role that reaches it. */
export interface Permission {
  readonly actions?: readonly string[];
  readonly notActions?: readonly string[];
  readonly condition?: string | null;
}

/** `conditional`: only a role with a condition grants it, and nobody but Azure evaluates conditions. */
type PermissionDecision = 'allowed' | 'denied' | 'conditional';

/**
 * Whether these permissions hold an action. Each role grants by itself: what one takes out with notActions, another may
 * still grant (https://learn.microsoft.com/azure/role-based-access-control/role-definitions#notactions).
 */
export function evaluatePermissions(permissions: readonly Permission[], action: string): PermissionDecision {
  const granting = permissions.filter(
    ({ actions = [], notActions = [] }) =>
      actions.some((pattern) => actionMatches(pattern, action)) &&
      !notActions.some((pattern) => actionMatches(pattern, action)),
  );
  if (granting.some(({ condition }) => !condition)) return 'allowed';
  return granting.length > 0 ? 'conditional' : 'denied';
}

/** Whether a pattern of a role covers an action: `*` stands for anything, letters in any case. */
export function actionMatches(pattern: string, action: string): boolean {
  const literal = (text: string) => text.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`);
  // Between slashes it stands for nothing as well: Managed Identity Operator has `userAssignedIdentities/*/assign/action`
  // and grants `userAssignedIdentities/assign/action` by it.
  const expression = pattern
    .split('/*/')
    .map((part) => part.split('*').map(literal).join('.*'))
    .join('/(?:.*/)?');
  return new RegExp(`^${expression}$`, 'i').test(action);
}
