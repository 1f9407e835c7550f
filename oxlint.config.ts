import type { OxlintConfig } from 'oxlint';
import { layers, packageOwners, processProperties, pureFiles } from './scripts/lint/layers.ts';

type Override = NonNullable<OxlintConfig['overrides']>[number];
type Rules = NonNullable<Override['rules']>;
type Root = keyof typeof layers;

const sizeLimited = ['src/**', 'simulator/**', 'scripts/**', 'bench/**', 'fleet/**'];

/** Tables are read entry by entry, so these files may be longer. */
const longFiles = ['src/error-catalog/**', 'src/check/rules/**'];
const pureData = ['simulator/world/built-in-roles.ts'];

/** `sizes.ts` holds the dates on which Azure retires VM sizes. */
const apiVersionFiles = ['src/azure/api-versions.ts', 'src/vm/sizes.ts'];

/** Tests wait for events, never for a time, and assert the order of events, never a duration. */
const noWaiting: Rules = {
  'project/no-clock-in-assertion': 'error',
  'eslint/no-restricted-globals': ['error', 'setTimeout', 'setInterval'],
  'eslint/no-restricted-imports': ['error', { paths: ['node:timers/promises', 'timers/promises'] }],
};

/** Their clock is Jest's. */
const fakeTimerTests = [
  '__tests__/unit/auth/credential.test.ts',
  '__tests__/unit/azure/poll-schedule.test.ts',
  '__tests__/unit/azure/subscriptions.test.ts',
];

const limits = (lines: number): Rules => ({
  'eslint/max-lines': ['error', { max: lines, skipBlankLines: true, skipComments: true }],
  'eslint/max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
  'eslint/complexity': ['error', { max: 15 }],
  'eslint/max-params': ['error', { max: 4 }],
  'eslint/max-depth': ['error', { max: 3 }],
});

/** Parts of the repository that the action and the simulator do not know. */
const unrelated = {
  src: 'simulator|scripts|bench|fleet|__tests__',
  simulator: 'src|scripts|bench|fleet|__tests__',
};

const isFile = (entry: string) => entry.endsWith('.ts');
const covers = (owner: string, files: string) => owner === files || files.startsWith(owner.replace('**', ''));

/** Import patterns that `entry` must not use: everything above it in the order, and its siblings. */
function upwardImports(root: Root, entry: string) {
  const order: readonly (readonly string[])[] = layers[root];
  const level = order.findIndex((entries) => entries.includes(entry));
  const forbidden = order
    .slice(level)
    .flat()
    .filter((other) => other !== entry)
    .map((other) => (isFile(other) ? `${other.replace('.', '\\.')}$` : `${other}/`));
  if (level < 0 || forbidden.length === 0) return [];
  const up = isFile(entry) ? '\\./' : '(\\.\\./)+';
  return [
    {
      regex: `^${up}(${forbidden.join('|')})`,
      message: `${root}/${entry} may import only from lower layers.`,
    },
  ];
}

const inputReaders = {
  regex: '/inputs/(read-|input-reader)',
  message: 'Only main.ts and post-job.ts read inputs; everything else receives them.',
};

const purePatterns = [
  {
    regex: '^node:(fs|http|https|child_process|timers)(/|$)',
    message: 'This file computes from its arguments alone.',
  },
  {
    regex: '/azure/(arm-client|http|pipeline|polling)\\.ts$',
    allowTypeImports: true,
    message: 'This file computes from its arguments alone; types are fine.',
  },
];

/** All boundary rules for `files`: an override replaces the options of a rule, so each one lists them completely. */
function boundaries(root: Root, files: string, isPure: boolean): Override {
  const entry = files.split('/')[1] ?? '';
  const isLayer = layers[root].flat().some((name) => name === entry);
  const owned = (owners: readonly string[]) => owners.some((owner) => covers(owner, files));
  const patterns = [
    { regex: `/(${unrelated[root]})/`, message: `${root}/ does not import from ${unrelated[root]}.` },
    {
      regex: '^@(azure|actions)/[^/]+/.+',
      message: 'Import the package by its name, not its internal files.',
    },
    ...upwardImports(root, entry),
    ...(isLayer && !isFile(entry) && entry !== 'inputs' ? [inputReaders] : []),
    ...packageOwners
      .filter(({ owners }) => isLayer && root === 'src' && !owned(owners))
      .map(({ pattern, owners }) => ({
        regex: pattern,
        allowTypeImports: true,
        message: `Only ${owners.join(', ')} may import values of this package.`,
      })),
    ...(isPure ? purePatterns : []),
  ];
  const properties = [
    ...(isLayer && root === 'src' && !owned(processProperties.owners)
      ? processProperties.names.map((property) => ({ object: 'process', property }))
      : []),
    ...(isPure ? [{ object: 'Date', property: 'now' }] : []),
  ];
  return {
    files: [files],
    rules: {
      'eslint/no-restricted-imports': ['error', { patterns }],
      'eslint/no-restricted-properties': properties.length > 0 ? ['error', ...properties] : 'off',
      'eslint/no-restricted-globals': isPure ? ['error', 'fetch', 'performance', 'setTimeout', 'setInterval'] : 'off',
    },
  };
}

/** From general to specific: the last override that matches a file wins. */
const boundaryOverrides = [
  ...(['src', 'simulator'] as const).flatMap((root) =>
    [`${root}/**`, ...layers[root].flat().map((entry) => `${root}/${entry}${isFile(entry) ? '' : '/**'}`)].map(
      (files) => boundaries(root, files, false),
    ),
  ),
  ...pureFiles.map((files) => boundaries('src', files, true)),
  ...packageOwners
    .flatMap(({ owners }) => owners)
    .filter((owner) => isFile(owner))
    .map((files) => boundaries('src', files, false)),
];

const config: OxlintConfig = {
  plugins: ['eslint', 'typescript', 'unicorn', 'oxc', 'import', 'promise', 'node', 'jest'],
  jsPlugins: ['./scripts/lint/plugin.ts'],
  categories: { correctness: 'error', suspicious: 'error' },
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: 'error' },
  ignorePatterns: ['/dist/', '/build/', '/coverage/', '/fleet/validate-schema.mjs'],
  env: { node: true, es2024: true },
  rules: {
    'eslint/no-shadow': 'off',
    'eslint/no-underscore-dangle': 'off',
    'eslint/no-await-in-loop': 'off',
    'eslint/eqeqeq': 'error',
    'import/no-cycle': ['error', { ignoreTypes: false }],
    'import/no-unassigned-import': 'off',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/only-throw-error': 'error',
    'typescript/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true, allowThrowingAny: true }],
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/no-unsafe-type-assertion': 'off',
    'jest/no-standalone-expect': 'off',
    'jest/expect-expect': 'off',
    'jest/no-conditional-expect': 'off',
    'jest/valid-title': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'unicorn/no-useless-spread': 'off',
    'typescript/unbound-method': 'off',
  },
  overrides: [
    { files: ['__tests__/**', 'simulator/**'], rules: { 'typescript/no-explicit-any': 'off' } },
    { files: ['__tests__/**'], rules: noWaiting },
    { files: fakeTimerTests, rules: { 'project/no-clock-in-assertion': 'off' } },
    { files: sizeLimited, rules: limits(300) },
    { files: longFiles, rules: limits(400) },
    { files: pureData, rules: { 'eslint/max-lines': 'off' } },
    { files: ['src/**'], rules: { 'project/no-api-version': 'error' } },
    { files: apiVersionFiles, rules: { 'project/no-api-version': 'off' } },
    ...boundaryOverrides,
  ],
};

export default config;
