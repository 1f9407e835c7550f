/**
 * What would take too long before every commit: many random lives, a larger crowd, and scenarios in real time.
 *
 *     npm run test:soak            or with SOAK_RUNS, SOAK_SEED
 */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const runs = process.env['SOAK_RUNS'] || '300';
const seed = process.env['SOAK_SEED'] || String(randomInt(2 ** 31));

const rounds = [
  {
    name: 'random lives',
    files: ['lifecycle.property'],
    env: { LIFECYCLE_RUNS: runs, LIFECYCLE_SEED: seed },
  },
  {
    name: 'lives of several runs',
    files: ['several-runs'],
    env: { SEVERAL_RUNS_LIVES: process.env['SOAK_RUNS'] || '500', LIFECYCLE_SEED: seed },
  },
  { name: 'a crowd', files: ['side-by-side'], env: { CROWD: '20' } },
  { name: 'a sweep over 1,000 resources', files: ['delete-and-sweep'], env: { SWEEP_DEPLOYMENTS: '167' } },
  { name: 'bad responses to every request', files: ['bad-responses'], env: { BAD_RESPONSES: 'all' } },
  { name: 'a replacement killed at every request', files: ['if-exists'], env: { REPLACE_KILLED_AT: 'all' } },
  { name: 'real time', files: ['e2e/create', 'e2e/sizes', 'e2e/faults'], env: { TIME_SCALE: '1' } },
  {
    name: 'under load, in random order',
    files: ['e2e'],
    env: {},
    options: ['--randomize', '--maxWorkers=8'],
  },
];

let failed = 0;
for (const { name, files, env, options = [] } of rounds) {
  console.log(`\n== ${name} ${JSON.stringify(env)}`);
  const { status } = spawnSync(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      resolve(root, 'node_modules/jest/bin/jest.js'),
      ...options,
      ...files,
    ],
    { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } },
  );
  if (status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
