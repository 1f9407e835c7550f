import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

const root = resolve(import.meta.dirname, '../..');

const statements = (count: number) => Array.from({ length: count }, (_, n) => `export const v${n} = ${n};`);
const functionOf = (body: string) => `export function f(a: number): number {\n${body}\nreturn a;\n}`;
const branches = (count: number) => functionOf('if (a > 1) a -= 1;\n'.repeat(count));
const nested = (depth: number) => functionOf(`${'if (a > 1) {\n'.repeat(depth)}a -= 1;\n${'}\n'.repeat(depth)}`);
const longFunction = (lines: number) => functionOf('a += 1;\n'.repeat(lines));
const parameters = (count: number) =>
  `export const f = (${Array.from({ length: count }, (_, n) => `a${n}: number`).join(', ')}) => [${Array.from({ length: count }, (_, n) => `a${n}`).join(', ')}];`;
const value = (specifier: string) => `import { x } from '${specifier}'; void x;`;
const type = (specifier: string) => `import type { X } from '${specifier}'; export type Y = X;`;

const assertion = (statement: string) =>
  `import { expect, test } from '@jest/globals';\ntest('x', () => {\n  ${statement}\n});`;

const imports = 'eslint(no-restricted-imports)';
const properties = 'eslint(no-restricted-properties)';
const globals = 'eslint(no-restricted-globals)';

/** Every case is a file of one fixture project; `rule` is undefined where lint accepts the file. */
const cases: readonly { name: string; file: string; source: string; rule?: string }[] = [
  {
    name: 'a test that sleeps',
    file: '__tests__/e2e/a.test.ts',
    source: 'setTimeout(() => undefined, 1);',
    rule: globals,
  },
  {
    name: 'a test that awaits a sleep',
    file: '__tests__/e2e/b.test.ts',
    source: value('node:timers/promises'),
    rule: imports,
  },
  {
    name: 'an assertion about the wall clock',
    file: '__tests__/e2e/c.test.ts',
    source: 'expect(1 + Date.now()).toBe(1);',
    rule: 'project(no-clock-in-assertion)',
  },
  {
    name: 'an assertion about the duration of a run',
    file: '__tests__/e2e/d.test.ts',
    source: 'expect([run.wallMs]).toEqual([1]);',
    rule: 'project(no-clock-in-assertion)',
  },
  {
    name: 'a test that measures time',
    file: '__tests__/unit/lib/e.test.ts',
    source: 'export const took = performance.now() - start;',
    rule: 'project(no-clock-in-assertion)',
  },
  {
    name: 'a lifetime that starts now',
    file: '__tests__/unit/lib/f.test.ts',
    source: 'export const expires = Date.now() + 1;',
  },
  { name: 'an upward import', file: 'src/azure/up.ts', source: value('../check/facts.ts'), rule: imports },
  {
    name: 'an upward type import',
    file: 'src/azure/t.ts',
    source: type('../auth/session.ts'),
    rule: imports,
  },
  {
    name: 'an upward export',
    file: 'src/lib/e.ts',
    source: `export * from '../errors/x.ts';`,
    rule: imports,
  },
  {
    name: 'an upward dynamic import',
    file: 'src/vm/d.ts',
    source: `export const x = import('../plan/x.ts');`,
    rule: imports,
  },
  {
    name: 'an upward import from a nested folder',
    file: 'src/check/rules/up.ts',
    source: type('../../operations/create.ts'),
    rule: imports,
  },
  {
    name: 'an import of an entry file',
    file: 'src/operations/up.ts',
    source: value('../main.ts'),
    rule: imports,
  },
  {
    name: 'an upward import of an entry file',
    file: 'src/main.ts',
    source: type('./post-job.ts'),
    rule: imports,
  },
  { name: 'a sibling import', file: 'src/network/s.ts', source: type('../vm/x.ts'), rule: imports },
  { name: 'a downward import', file: 'src/operations/down.ts', source: value('../vm/sizes.ts') },
  { name: 'an import within a folder', file: 'src/check/rules/own.ts', source: type('../facts.ts') },
  {
    name: 'an import of an operation by main',
    file: 'src/post-job.ts',
    source: value('./operations/sweep.ts'),
  },
  {
    name: 'reading inputs in an operation',
    file: 'src/operations/read.ts',
    source: value('../inputs/read-inputs.ts'),
    rule: imports,
  },
  { name: 'reading inputs in main.ts', file: 'src/index.ts', source: value('./inputs/read-inputs.ts') },
  {
    name: 'an import of the simulator',
    file: 'src/lib/s.ts',
    source: value('../../simulator/x.ts'),
    rule: imports,
  },
  {
    name: 'an import of the action',
    file: 'simulator/engine/a.ts',
    source: type('../../src/lib/x.ts'),
    rule: imports,
  },
  {
    name: 'an upward import in the simulator',
    file: 'simulator/model/u.ts',
    source: type('../world/world.ts'),
    rule: imports,
  },
  {
    name: 'a sibling import in the simulator',
    file: 'simulator/entra/s.ts',
    source: type('../github/x.ts'),
    rule: imports,
  },
  {
    name: 'a downward import in the simulator',
    file: 'simulator/http/d.ts',
    source: value('../world/world.ts'),
  },

  {
    name: 'a cycle of types',
    file: 'src/image/cycle-a.ts',
    source: type('./cycle-b.ts'),
    rule: 'import(no-cycle)',
  },
  {
    name: 'the other half of the cycle',
    file: 'src/image/cycle-b.ts',
    source: type('./cycle-a.ts'),
    rule: 'import(no-cycle)',
  },

  {
    name: '@actions/core outside the runner layer',
    file: 'src/vm/core.ts',
    source: value('@actions/core'),
    rule: imports,
  },
  { name: '@actions/core in the runner layer', file: 'src/runner/core.ts', source: value('@actions/core') },
  {
    name: '@actions/github outside the sweep',
    file: 'src/operations/g.ts',
    source: value('@actions/github'),
    rule: imports,
  },
  { name: '@actions/github in the sweep', file: 'src/operations/sweep.ts', source: value('@actions/github') },
  {
    name: 'a management client outside arm-client.ts',
    file: 'src/azure/c.ts',
    source: value('@azure/arm-compute'),
    rule: imports,
  },
  {
    name: 'a lazy management client outside arm-client.ts',
    file: 'src/vm/c.ts',
    source: `export const x = import('@azure/arm-compute');`,
    rule: imports,
  },
  {
    name: 'a management client in arm-client.ts',
    file: 'src/azure/arm-client.ts',
    source: value('@azure/arm-network'),
  },
  { name: 'the type of a management client', file: 'src/vm/type.ts', source: type('@azure/arm-compute') },
  {
    name: '@azure/identity outside credential.ts',
    file: 'src/auth/i.ts',
    source: value('@azure/identity'),
    rule: imports,
  },
  {
    name: '@azure/identity in credential.ts',
    file: 'src/auth/credential.ts',
    source: value('@azure/identity'),
  },
  {
    name: 'the HTTP pipeline outside azure and auth',
    file: 'src/image/p.ts',
    source: value('@azure/core-rest-pipeline'),
    rule: imports,
  },
  {
    name: 'the HTTP pipeline in a policy',
    file: 'src/azure/policies/p.ts',
    source: value('@azure/core-rest-pipeline'),
  },
  {
    name: 'an internal file of a package',
    file: 'src/auth/deep.ts',
    source: type('@azure/identity/dist/x.js'),
    rule: imports,
  },
  {
    name: 'process.env outside the runner layer',
    file: 'src/access/env.ts',
    source: 'export const x = process.env.X;',
    rule: properties,
  },
  {
    name: 'a destructured process.env',
    file: 'src/access/env2.ts',
    source: 'export const { env } = process;',
    rule: properties,
  },
  {
    name: 'process.on outside the runner layer',
    file: 'src/access/on.ts',
    source: `process.on('exit', () => undefined);`,
    rule: properties,
  },
  {
    name: 'process.env in the runner layer',
    file: 'src/runner/env.ts',
    source: 'export const x = process.env.X;',
  },

  {
    name: 'the file system in a pure file',
    file: 'src/plan/fs.ts',
    source: `import { rm } from 'node:fs/promises'; void rm;`,
    rule: imports,
  },
  {
    name: 'the Azure client in a pure file',
    file: 'src/check/rules/c.ts',
    source: value('../../azure/arm-client.ts'),
    rule: imports,
  },
  {
    name: 'the clock in a pure file',
    file: 'src/plan/expiry.ts',
    source: 'export const x = Date.now();',
    rule: properties,
  },
  {
    name: 'a timer in a pure file',
    file: 'src/inputs/timer.ts',
    source: 'setTimeout(() => undefined, 1);',
    rule: globals,
  },

  {
    name: 'a file of 301 lines',
    file: 'src/lib/long.ts',
    source: statements(301).join('\n'),
    rule: 'eslint(max-lines)',
  },
  {
    name: 'a file of 300 lines and comments',
    file: 'src/lib/full.ts',
    source: `// x\n\n${statements(300).join('\n')}`,
  },
  { name: 'a catalogue of 400 lines', file: 'src/error-catalog/vm.ts', source: statements(400).join('\n') },
  {
    name: 'a catalogue of 401 lines',
    file: 'src/error-catalog/l.ts',
    source: statements(401).join('\n'),
    rule: 'eslint(max-lines)',
  },
  {
    name: 'a simulator file of 301 lines',
    file: 'simulator/world/long.ts',
    source: statements(301).join('\n'),
    rule: 'eslint(max-lines)',
  },
  {
    name: 'a long table of data',
    file: 'simulator/world/built-in-roles.ts',
    source: statements(401).join('\n'),
  },
  {
    name: 'a function of 61 lines',
    file: 'src/lib/f61.ts',
    source: longFunction(58),
    rule: 'eslint(max-lines-per-function)',
  },
  { name: 'a function of 60 lines', file: 'src/lib/f60.ts', source: longFunction(56) },
  { name: 'complexity 16', file: 'src/lib/c16.ts', source: branches(15), rule: 'eslint(complexity)' },
  { name: 'complexity 15', file: 'src/lib/c15.ts', source: branches(14) },
  { name: '5 parameters', file: 'src/lib/p5.ts', source: parameters(5), rule: 'eslint(max-params)' },
  { name: '4 parameters', file: 'src/lib/p4.ts', source: parameters(4) },
  { name: 'depth 4', file: 'src/lib/d4.ts', source: nested(4), rule: 'eslint(max-depth)' },
  { name: 'depth 3', file: 'src/lib/d3.ts', source: nested(3) },

  {
    name: 'an API version',
    file: 'src/access/api.ts',
    source: `export const api = '2022-04-01';`,
    rule: 'project(no-api-version)',
  },
  {
    name: 'an API version in a URL',
    file: 'src/access/url.ts',
    source: 'export const f = (id: string) => `${id}?api-version=2022-04-01`;',
    rule: 'project(no-api-version)',
  },
  {
    name: 'an API version in the table',
    file: 'src/azure/api-versions.ts',
    source: `export const api = '2022-04-01';`,
  },
  {
    name: 'an assertion about the clock',
    file: '__tests__/clock.test.ts',
    source: assertion('expect(Date.now()).toBe(0);'),
    rule: 'project(no-clock-in-assertion)',
  },
  {
    name: 'an assertion about a fixed date',
    file: '__tests__/date.test.ts',
    source: assertion('expect(new Date(0).getTime()).toBe(0);'),
  },
];

describe('npm run lint', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lint-'));
  const found = new Map<string, string[]>();

  beforeAll(() => {
    for (const name of ['oxlint.config.ts', 'scripts/lint'])
      cpSync(join(root, name), join(folder, name), { recursive: true });
    for (const { file, source } of cases) write(file, source);
    for (const { code, filename } of lint()) found.set(filename, [...(found.get(filename) ?? []), code]);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function write(name: string, source: string) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), `${source}\n`);
  }

  function lint() {
    const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [oxlint, '--format', 'json', 'src', 'simulator', '__tests__'],
      {
        cwd: folder,
        encoding: 'utf8',
      },
    );
    expect(stderr).toBe('');
    return (JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] }).diagnostics;
  }

  test.each(cases.filter(({ rule }) => rule !== undefined))('rejects $name', ({ file, rule }) => {
    expect(found.get(file)).toEqual([rule]);
  });

  test.each(cases.filter(({ rule }) => rule === undefined))('accepts $name', ({ file }) => {
    expect(found.get(file)).toBeUndefined();
  });
});
