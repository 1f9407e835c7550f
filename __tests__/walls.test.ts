// Who may import what is said in .oxlintrc.json; here it is shown that those rules bite, and what imports cannot say.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';

const root = resolve(import.meta.dirname, '..');
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

test.each([
  ['fails the step', /\bsetFailed\b|process\.exit\b|process\.exitCode\s*=/, ['index.ts']],
  ['reads inputs from the runner', /\bcore\.getInput\b|['"`]INPUT_/, ['index.ts']],
  ['keeps state for the post step', /\bcore\.(saveState|getState)\b/, ['index.ts']],
  ['writes outputs and the summary', /\bcore\.(setOutput|summary)\b/, ['report.ts']],
  ['reads the environment', /\bprocess\.env\b|\benv\s*}\s*=\s*process\b/, ['index.ts']],
  ['listens to signals', /\bprocess\.on(ce)?\(/, ['index.ts']],
])('only one file %s', (_what, effect, owners) => {
  const found = sources.filter((name) =>
    effect.test(withoutComments(readFileSync(join(root, 'src', name), 'utf8'))),
  );
  expect(found.filter((name) => !owners.includes(name))).toEqual([]);
});

test('lint refuses an import that crosses a wall, and no other', () => {
  const files: Record<string, [source: string, allowed: boolean]> = {
    'src/create.ts': [`import '../simulator/index.ts';`, false],
    'src/remove.ts': [`import '../__tests__/harness.ts';`, false],
    'simulator/http/gateway.ts': [`import '../../src/failure.ts';`, false],
    'simulator/world/world.ts': [`import '../engine/clock.ts';`, true],
    'src/plan.ts': [
      `import { ComputeManagementClient } from '@azure/arm-compute'; void ComputeManagementClient;`,
      false,
    ],
    'src/judge.ts': [`import { gather } from './check.ts'; void gather;`, false],
    'src/explain.ts': [`import { session } from './session.ts'; void session;`, false],
    'src/inputs.ts': [`import type { Session } from './session.ts'; export type Mine = Session;`, true],
    'src/failure.ts': [
      `import type { RestError } from '@azure/core-rest-pipeline'; export type Mine = RestError;`,
      true,
    ],
    'src/network.ts': [`import { machine } from './machine.ts'; void machine;`, false],
    'src/guest.ts': [`import { plan } from './plan.ts'; void plan;`, true],
    'src/facts.ts': [
      `import { NetworkManagementClient } from '@azure/arm-network'; void NetworkManagementClient;`,
      false,
    ],
    'src/ledger.ts': [`import * as core from '@actions/core'; void core;`, false],
    'src/report.ts': [`import * as core from '@actions/core'; void core;`, true],
    'src/azure.ts': [
      `import { NetworkManagementClient } from '@azure/arm-network'; void NetworkManagementClient;`,
      true,
    ],
    'src/signin.ts': [`import { x } from '@azure/identity/dist/esm/index.js'; void x;`, false],
  };
  const folder = mkdtempSync(join(tmpdir(), 'walls-'));
  try {
    copyFileSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
    for (const [name, [source]] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), `${source}\n`);
    }
    const lint = join(root, 'node_modules/oxlint/bin/oxlint');
    const { stdout, stderr } = spawnSync(process.execPath, [lint, '--format', 'json'], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] };
    const refused = diagnostics
      .filter(({ code }) => code === 'eslint(no-restricted-imports)')
      .map(({ filename }) => filename);
    const expected = Object.keys(files).filter((name) => files[name]?.[1] === false);
    expect(refused.toSorted()).toEqual(expected.toSorted());
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}
