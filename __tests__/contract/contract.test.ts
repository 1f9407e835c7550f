// action.yml, the code and README.md name the same inputs and outputs; dist is whole.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { inputNames } from '../../src/inputs/inputs.ts';
import { outputNames } from '../../src/runner/environment.ts';
import { copyOfBundle } from '../support/harness.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const action = parse(read('action.yml')) as {
  readonly inputs: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly outputs: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly runs: Readonly<Record<string, unknown>>;
  readonly branding: Readonly<Record<string, unknown>>;
} & Readonly<Record<string, unknown>>;

describe('action.yml', () => {
  // https://docs.github.com/actions/reference/workflows-and-actions/metadata-syntax
  test('has only the keys that GitHub documents', () => {
    expect(Object.keys(action)).toEqual(['name', 'description', 'author', 'branding', 'runs', 'inputs', 'outputs']);
    expect(action.branding).toEqual({ icon: expect.stringMatching(/^[a-z-]+$/), color: expect.any(String) });
    expect(['white', 'black', 'yellow', 'blue', 'green', 'orange', 'red', 'purple', 'gray-dark']).toContain(
      action.branding['color'],
    );
    expect(action.runs).toEqual({
      using: 'node24',
      main: 'dist/index.js',
      post: 'dist/post.js',
      'post-if': 'always()',
    });
    expect(String(action['description']).length).toBeLessThanOrEqual(125); // the Marketplace's limit
  });

  test.each(Object.entries(action.inputs))('input %s is complete', (name, input) => {
    expect(name).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    expect(Object.keys(input).filter((key) => !['description', 'required', 'default'].includes(key))).toEqual([]);
    expectSentence(input['description']);
    expect(typeof input['required']).toBe('boolean');
    // Anything but a string is one only after the runner's own conversion; an empty one is the same as none.
    if ('default' in input) expect(input['default']).toEqual(expect.stringMatching(/./));
    if (input['required'] === true) expect(input).not.toHaveProperty('default');
  });

  test.each(Object.entries(action.outputs))('output %s is complete', (name, output) => {
    expect(name).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    expect(Object.keys(output)).toEqual(['description']);
    expectSentence(output['description']);
  });

  test('names the inputs that the code reads', () => {
    expect(Object.keys(action.inputs)).toEqual([...inputNames]);
  });

  test('names the outputs that the code sets', () => {
    expect(Object.keys(action.outputs)).toEqual([...outputNames]);
  });
});

// In a process: in Jest, the simulation of fleets takes five times the CPU time.
test('the generated documents are those that `npm run readme` writes', () => {
  const run = spawnSync(process.execPath, ['scripts/docs/generate.ts', '--check'], { cwd: root, encoding: 'utf8' });
  expect([run.stderr, run.status]).toEqual(['', 0]);
});

describe('dist', () => {
  test('holds the bundle, its chunks, its licences, and nothing else', () => {
    const files = readdirSync(join(root, 'dist')).filter((name) => !/^\d+\.index\.js$/.test(name));
    expect(files.toSorted()).toEqual(['index.js', 'licenses.txt', 'package.json', 'post.js']);
    const size = readdirSync(join(root, 'dist'))
      .map((name) => statSync(join(root, 'dist', name)).size)
      .reduce((sum, each) => sum + each, 0);
    expect(size).toBeLessThan(3_700_000);
    expect(read('dist/licenses.txt')).toContain('@azure/identity ');
  });

  test('runs in a folder without node_modules', () => {
    const entry = copyOfBundle();
    const run = spawnSync(process.execPath, [entry], {
      cwd: dirname(entry),
      env: { PATH: process.env['PATH'] ?? '' },
      encoding: 'utf8',
    });
    // It starts, reads its inputs, and finds them all missing.
    expect(run.stderr).toBe('');
    expect(run.stdout).toContain('client-id');
    expect(run.status).toBe(1);
  });

  test('loads every chunk in a folder without node_modules', () => {
    const folder = dirname(copyOfBundle());
    const chunks = readdirSync(folder).filter((name) => /^\d+\.index\.js$/.test(name));
    const script = chunks.map((name) => `await import('./${name}');`).join('');
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    expect(run.status).toBe(0);
  });
});

/** Starts with a capital or a literal value and has no full stop at the end. */
function expectSentence(text: unknown): void {
  expect(text).toEqual(expect.stringMatching(/^\S[\s\S]{8,}[^\s.,;:]$/));
}
