// The emulated runner against a stand-in for the action: what it hands over, what it reads back.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { assertNoSecrets } from '../support/harness.ts';
import { type Run, type RunOptions, runAsRunner } from '../../scripts/action-runner/action-runner.ts';
import { parseFileCommands } from '../../scripts/action-runner/file-commands.ts';

const folder = mkdtempSync(join(tmpdir(), 'stand-in-'));
const runs: Run[] = [];
afterAll(() => {
  for (const run of runs) run.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function runScript(script: string, options: Partial<RunOptions> = {}): Promise<Run> {
  const bundle = join(folder, 'index.mjs');
  writeFileSync(bundle, `import { appendFileSync } from 'node:fs';\nconst { env } = process;\n${script}`);
  const sim = { githubEndpoint: 'https://localhost:1', certificateFile: join(folder, 'none.pem') };
  const run = await runAsRunner({ sim, inputs: {}, phases: ['main'], ...options, bundle });
  runs.push(run);
  return run;
}

test('inputs arrive upper-cased with their hyphens, defaults filled in, expressions evaluated', async () => {
  const run = await runScript(
    `console.log(JSON.stringify(Object.fromEntries(Object.entries(env).filter(([name]) => /^INPUT_|^GITHUB_TOKEN/.test(name)))));`,
    {
      inputs: { 'client-id': ' as is ' },
      env: { GITHUB_RUN_ID: '7', GITHUB_JOB: 'build' },
      context: { 'strategy.job-index': '3' },
    },
  );
  const inputs = JSON.parse(run.stdout.split('\n').find((line) => line.startsWith('{')) ?? '');
  expect(inputs).toMatchObject({
    'INPUT_CLIENT-ID': ' as is ',
    'INPUT_CLIENT-SECRET': '',
    INPUT_OPERATION: 'create',
    'INPUT_VM-NAME': 'vm-7-build-3*',
    'INPUT_GITHUB-TOKEN': 'ghs_simulated',
  });
});

test('an input that action.yml lacks is refused', async () => {
  await expect(runScript('', { inputs: { clientid: 'x' } })).rejects.toThrow('action.yml has no input clientid');
});

test('nothing of our own environment reaches the action', async () => {
  process.env['LEAK'] = 'yes';
  const run = await runScript(`console.log([env.LEAK, env.NODE_OPTIONS, env.GITHUB_ACTIONS].join());`);
  delete process.env['LEAK'];
  expect(run.stdout).toContain(',,true\n');
});

test('state goes from main to post, outputs and summary come back, the last value wins', async () => {
  const run = await runScript(
    `appendFileSync(env.GITHUB_OUTPUT, 'a=1\\nb<<EOF\\ntwo\\nlines=x\\nEOF\\na=2\\n');
     appendFileSync(env.GITHUB_STATE, 'camelCase=kept\\n');
     appendFileSync(env.GITHUB_ENV, 'LATER=set\\n');
     appendFileSync(env.GITHUB_STEP_SUMMARY, '# Done');
     console.log('state', env.STATE_camelCase, env.LATER);`,
    { phases: ['main', 'post'] },
  );
  expect(run.outputs).toEqual({ a: '2', b: 'two\nlines=x' });
  expect(run.state).toEqual({ camelCase: 'kept' });
  expect(run.summary).toBe('# Done');
  expect(run.stdout).toContain('state undefined undefined');
  expect(run.post?.stdout).toContain('state kept set');
});

test('workflow commands become annotations; masks hide later lines and drop outputs', async () => {
  const seen: string[] = [];
  const run = await runScript(
    `console.log('::error title=A%3A b%2C c,file=x::one%0Atwo 100%25');
     console.log('::add-mask::first%0Asecond');
     console.error('says second');
     appendFileSync(env.GITHUB_OUTPUT, 'open=x\\nhidden=a first b\\n');`,
    { onLine: ({ text }) => seen.push(text) },
  );
  expect(run.annotations).toEqual([{ level: 'error', title: 'A: b, c', message: 'one\ntwo 100%' }]);
  expect(run.masks).toEqual(['first\nsecond']);
  expect(seen).toContain('says ***');
  expect(run.stdout).toContain('says second');
  expect(run.droppedOutputs).toEqual(['hidden']);
});

test.each([
  ['the log', `console.log('see secret/1!');`],
  ['an annotation', `console.log('::warning title=secret/1!::x');`],
  ['a URL in the log', `console.log(encodeURIComponent('secret/1!'));`],
  ['an output', `appendFileSync(env.GITHUB_OUTPUT, 'a=secret/1!\\n');`],
  ['the state', `appendFileSync(env.GITHUB_STATE, 'a=secret/1!\\n');`],
  ['the summary', `appendFileSync(env.GITHUB_STEP_SUMMARY, 'secret/1!');`],
  ['a file', `appendFileSync(env.RUNNER_TEMP + '/x', Buffer.from('secret/1!').toString('base64'));`],
])('a secret in %s is found; its mask is none', async (_where, leak) => {
  const mask = `console.log('::add-mask::secret/1!');`;
  assertNoSecrets(await runScript(mask), ['secret/1!']);
  const run = await runScript(`${mask}\n${leak}`);
  expect(() => assertNoSecrets(run, ['secret/1!'])).toThrow('toEqual');
});

test('a signal strikes when the log says so', async () => {
  const run = await runScript(
    `process.on('SIGINT', () => { console.log('interrupted'); process.exit(3); });
     setInterval(() => {}, 1000); console.log('ready');`,
    { signal: { name: 'SIGINT', whenLog: /ready/ }, limitMs: 10_000 },
  );
  expect(run.stdout).toContain('interrupted');
  expect(run.exitCode).toBe(3);
});

test('a phase that hangs is killed and its log is reported', async () => {
  const isStuck = Promise.withResolvers<void>();
  await expect(
    runScript(`console.log('stuck'); setInterval(() => {}, 1000);`, {
      limit: isStuck.promise,
      onLine: () => isStuck.resolve(),
    }),
  ).rejects.toThrow(/did not end within its limit[\s\S]*stuck/);
});

test('reports memory, time and files of a run', async () => {
  const run = await runScript(
    `import { writeFileSync } from 'node:fs';
     writeFileSync(env.RUNNER_TEMP + '/left', 'behind');`,
  );
  expect(run).toMatchObject({ wallMs: expect.any(Number), cpuMs: expect.any(Number) });
  expect(run.peakRssBytes).toBeGreaterThan(20e6);
  expect(run.files()).toMatchObject({ left: 'behind' });
});

test.each([
  ['a<<E\nno end', /delimiter/],
  ['no equals sign', /Invalid format/],
])('a malformed file command is an error: %j', (text, message) => {
  expect(() => parseFileCommands(text)).toThrow(message);
});
