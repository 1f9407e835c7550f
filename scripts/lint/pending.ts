import type { OxlintConfig } from 'oxlint';

const off = (...names: string[]) => Object.fromEntries(names.map((name) => [name, 'off' as const]));

/** Files that do not comply yet. Each list may only shrink; all are empty when the redesign is complete. */
export const pending: NonNullable<OxlintConfig['overrides']> = [
  { files: ['src/**'], rules: off('project/no-api-version') },
  { files: ['src/**'], rules: off('import/no-cycle', 'no-restricted-imports') },
  {
    files: ['src/**', 'simulator/**', 'scripts/runner.ts'],
    rules: off('max-lines', 'max-lines-per-function', 'complexity', 'max-params', 'max-depth'),
  },
];
