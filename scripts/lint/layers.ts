/**
 * The order of the folders of `src/` and `simulator/`. A folder may import from the lines above its own, types included;
 * entries of one line do not import each other. oxlint.config.ts turns this table into lint rules.
 */
export const layers = {
  src: [
    ['lib'],
    ['errors'],
    ['runner'],
    ['azure'],
    ['inputs'],
    ['auth'],
    ['error-catalog'],
    ['image', 'deployment'],
    ['network', 'vm', 'access'],
    ['plan'],
    ['cleanup'],
    ['check'],
    ['summary'],
    ['operations'],
    ['step.ts'],
    ['main.ts', 'post-job.ts'],
    ['index.ts'],
    ['post.ts'],
  ],
  simulator: [
    ['model'],
    ['engine'],
    ['world'],
    ['http'],
    ['providers'],
    ['entra', 'github'],
    ['default-world.ts'],
    ['failures.ts'],
    ['index.ts'],
    ['cli.ts'],
  ],
} as const satisfies Record<string, readonly (readonly string[])[]>;

const runner = ['src/runner/**', 'src/step.ts', 'src/main.ts', 'src/post-job.ts', 'src/post.ts'];

/** Packages with an effect, and the only files that may import their values. Types may be imported everywhere. */
export const packageOwners = [
  { pattern: '^@actions/core$', owners: runner },
  { pattern: '^@actions/github$', owners: ['src/operations/sweep.ts'] },
  { pattern: '^@azure/arm-', owners: ['src/azure/arm-client.ts'] },
  { pattern: '^@azure/identity$', owners: ['src/auth/credential.ts'] },
  { pattern: '^@azure/core-', owners: ['src/azure/**', 'src/auth/**'] },
] as const;

/** Properties of `process` that only the files at the runner's edge may use. */
export const processProperties = {
  names: ['env', 'on', 'once', 'exit', 'exitCode'],
  owners: runner,
} as const;

/** Files that compute from their arguments alone: no file system, network, timer or clock. */
export const pureFiles = [
  'src/inputs/**',
  'src/error-catalog/**',
  'src/plan/**',
  'src/check/evaluate.ts',
  'src/check/rules/**',
  'src/access/required-permissions.ts',
  'src/network/network-spec.ts',
  'src/vm/vm-spec.ts',
  'src/vm/sizes.ts',
  'src/azure/poll-schedule.ts',
  'src/summary/render-*.ts',
] as const;
