import type { OxlintConfig } from 'oxlint';

const exempt = (rule: string, files: string[]) => ({ files, rules: { [rule]: 'off' as const } });

/** Files that do not comply yet, by rule. Lists may only shrink; all are empty when the redesign is complete. */
export const pending: NonNullable<OxlintConfig['overrides']> = [
  exempt('complexity', [
    'src/access/required-permissions.ts',
    'src/image/choose-version.ts',
    'src/operations/create.ts',
    'src/vm/admin-credentials.ts',
    'src/vm/create-vm.ts',
    'src/vm/run-command.ts',
    'src/vm/sizes.ts',
    'src/vm/vm-spec.ts',
  ]),
  exempt('import/no-cycle', [
    'src/image/choose-version.ts',
    'src/image/gallery.ts',
    'src/vm/run-command.ts',
    'src/vm/script-output.ts',
  ]),
  exempt('max-depth', ['src/vm/create-vm.ts']),
  exempt('max-lines', ['src/error-catalog/sign-in.ts']),
  exempt('max-lines-per-function', [
    'src/access/role-assignments.ts',
    'src/image/gallery.ts',
    'src/network/network-spec.ts',
    'src/operations/create.ts',
    'src/vm/create-vm.ts',
    'src/vm/run-command.ts',
    'src/vm/vm-spec.ts',
  ]),
  exempt('max-params', [
    'src/access/role-assignments.ts',
    'src/access/role-definitions.ts',
    'src/image/choose-version.ts',
    'src/network/create-network.ts',
    'src/operations/adopt-existing.ts',
    'src/operations/create.ts',
    'src/vm/admin-credentials.ts',
    'src/vm/create-vm.ts',
    'src/vm/vm-spec.ts',
  ]),
  exempt('no-restricted-imports', ['src/vm/admin-credentials.ts']),
];
