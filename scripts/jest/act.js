/** Runs `__tests__/act/` on nektos/act: `npm run test:act`. Skipped where neither act nor Go is installed. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const version = 'v0.2.89';
const root = resolve(import.meta.dirname, '../..');
const bin = join(root, 'node_modules/.cache/act', version);
const runs = (command, ...args) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;

function findAct() {
  const installed = join(bin, 'act');
  if (existsSync(installed)) return installed;
  if (runs('act', '--version')) return 'act';
  if (!runs('go', 'version')) return undefined;
  console.log(`Installing act ${version} with go install.`);
  const env = { ...process.env, GOBIN: bin };
  const { status } = spawnSync('go', ['install', `github.com/nektos/act@${version}`], {
    env,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(1);
  return installed;
}

const act = findAct();
if (act === undefined) {
  console.log('Skipped: neither act nor Go is installed.');
} else {
  const jest = join(root, 'node_modules/jest/bin/jest.js');
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const options = ['--testMatch', '<rootDir>/__tests__/act/*.act.ts', '--maxWorkers=1'];
  const env = { ...process.env, ACT_PATH: act };
  const { status } = spawnSync(process.execPath, [...flags, jest, ...options, ...process.argv.slice(2)], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}
