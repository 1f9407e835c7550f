/** Whether `scope` is `outer` or below it, ignoring case. `/` contains everything. */
export function isWithin(scope: string, outer: string): boolean {
  const inner = scope.toLowerCase().replace(/\/+$/, '');
  const around = outer.toLowerCase().replace(/\/+$/, '');
  return inner === around || inner.startsWith(`${around}/`);
}

/** Whether a role's action pattern (`Microsoft.Compute/*`) matches an action. */
export function actionMatches(pattern: string, action: string): boolean {
  // A `*` between slashes may match nothing: Managed Identity Operator grants `userAssignedIdentities/assign/action`
  // by
  // `userAssignedIdentities/*/assign/action`
  // (https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-configure-managed-identities).
  const expression = pattern
    .toLowerCase()
    .split('/*/')
    .map((stretch) =>
      stretch
        .split('*')
        .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*'),
    )
    .join('/(?:.*/)?');
  return new RegExp(`^${expression}$`).test(action.toLowerCase());
}

/** Lower-case subscription ID of a resource ID. */
export function subscriptionOf(id: string): string | undefined {
  return /^\/subscriptions\/([^/]+)/i.exec(id)?.[1]?.toLowerCase();
}
