import type { OxlintConfig } from 'oxlint';

const exempt = (rule: string, files: string[]) => ({ files, rules: { [rule]: 'off' as const } });

/** Files that do not comply yet, by rule. Lists may only shrink; all are empty when the redesign is complete. */
export const pending: NonNullable<OxlintConfig['overrides']> = [
  exempt('complexity', [
    'src/access/required-permissions.ts',
    'src/azure/policies/retry.ts',
    'src/azure/resource-id.ts',
    'src/errors/parse-error-response.ts',
    'src/image/choose-version.ts',
    'src/lib/cidr.ts',
    'src/lib/ssh-key.ts',
    'src/operations/create.ts',
    'src/summary/render-summary.ts',
    'src/vm/admin-credentials.ts',
    'src/vm/create-vm.ts',
    'src/vm/run-command.ts',
    'src/vm/sizes.ts',
    'src/vm/vm-spec.ts',
  ]),
  exempt('import/no-cycle', [
    'src/auth/credential.ts',
    'src/azure/http.ts',
    'src/azure/policies/azure-error.ts',
    'src/azure/policies/retry.ts',
    'src/image/choose-version.ts',
    'src/image/gallery.ts',
    'src/vm/run-command.ts',
    'src/vm/script-output.ts',
  ]),
  exempt('max-depth', ['src/vm/create-vm.ts']),
  exempt('max-lines', ['src/error-catalog/sign-in.ts']),
  exempt('max-lines-per-function', [
    'src/access/role-assignments.ts',
    'src/auth/session.ts',
    'src/image/gallery.ts',
    'src/network/network-spec.ts',
    'src/operations/create.ts',
    'src/summary/reporter.ts',
    'src/vm/create-vm.ts',
    'src/vm/run-command.ts',
    'src/vm/vm-spec.ts',
  ]),
  exempt('max-params', [
    'src/access/role-assignments.ts',
    'src/access/role-definitions.ts',
    'src/azure/polling.ts',
    'src/image/choose-version.ts',
    'src/network/create-network.ts',
    'src/operations/adopt-existing.ts',
    'src/operations/create.ts',
    'src/vm/admin-credentials.ts',
    'src/vm/create-vm.ts',
    'src/vm/vm-spec.ts',
  ]),
  exempt('no-restricted-imports', [
    'src/azure/http.ts',
    'src/azure/subscriptions.ts',
    'src/vm/admin-credentials.ts',
  ]),
];
