/** Whether `scope` is `outer` or lies below it (any case; `/` holds everything). */
export function isWithin(scope: string, outer: string): boolean {
  const inner = scope.toLowerCase().replace(/\/+$/, '');
  const around = outer.toLowerCase().replace(/\/+$/, '');
  return inner === around || inner.startsWith(`${around}/`);
}

/** Whether an action pattern of a role (`Microsoft.Compute/*` + `/read`) covers an action. */
export function actionMatches(pattern: string, action: string): boolean {
  // Between slashes a * may stand for nothing: by `userAssignedIdentities/*/assign/action` Managed Identity Operator grants
  // `userAssignedIdentities/assign/action` (https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-configure-managed-identities).
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

/** Lower-cased subscription ID of a resource ID, if it has one. */
export function subscriptionOf(id: string): string | undefined {
  return /^\/subscriptions\/([^/]+)/i.exec(id)?.[1]?.toLowerCase();
}
