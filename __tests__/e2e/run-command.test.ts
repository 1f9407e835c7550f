/** Agent and script, as the shipped action waits for the one and judges the other. */
import { afterEach, expect, test } from '@jest/globals';
import { type ScriptCall, settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { assertNoSecrets, defaultInputs, runAction, runJob } from '../support/harness.ts';

let sim: Simulator;
afterEach(() => sim.close());

async function start(
  world: (world: World) => void = () => undefined,
  inputs: Record<string, string> = {},
): Promise<Record<string, string>> {
  sim = await startSimulator({ timeScale: 0.002, world });
  return { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs };
}

const sent = (kind: string) => sim.journal.filter((exchange) => exchange.kind === kind);
const errors = (run: Awaited<ReturnType<typeof runAction>>) =>
  run.annotations
    .filter(({ level }) => level === 'error')
    .map(({ message }) => message)
    .join('\n');
const left = () =>
  [...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)].map(({ id }) => id.split('/').at(-1));
const commands = () => [...sim.world.resources.ofType('Microsoft.Compute/virtualMachines/runCommands')];

const failing = (world: World): void => {
  settings(world).runScript = () => ({
    exitCode: 3,
    output: 'looking around\n',
    error: 'smoke test: nothing listens on port 80\n',
    seconds: 6,
  });
};

test('fails, prints stdout and stderr, and deletes the VM when the script exits with 3', async () => {
  const inputs = await start(failing, { 'run-script': 'exit 3' });
  const run = await runJob({ sim, inputs });
  expect(run.exitCode).toBe(1);
  expect(run.outputs['script-exit-code']).toBe('3');
  expect(run.outputs['script-stdout']).toBe('looking around\n');
  expect(run.outputs['script-stderr']).toBe('smoke test: nothing listens on port 80\n');
  expect(run.stdout).toContain('stdout | looking around');
  expect(run.stdout).toContain('stderr | smoke test: nothing listens on port 80');
  expect(errors(run)).toMatch(/exit code 3[\s\S]*nothing listens on port 80/);
  expect(left()).toEqual([]);
  // Azure refuses empty lists of parameters, and would end the operation as failed where the output is wanted.
  const body: any = sent('runCommand.put')[0]?.requestBody;
  expect(Object.keys(body.properties).toSorted()).toEqual(['asyncExecution', 'source', 'timeoutInSeconds']);
  // The post step has nothing left to do.
  expect(JSON.parse(run.state['cleanup'] ?? '{}')).toMatchObject({ created: [] });
  expect(run.post?.stdout).toContain('Nothing to clean up.');
  expect(run.post?.summary).toBe('');
});

test('keeps the VM and deletes the run command when the script fails with `cleanup: never`, or on an existing VM', async () => {
  const inputs = await start(failing, { 'run-script': 'exit 3', cleanup: 'never' });
  const run = await runJob({ sim, inputs });
  expect(run.exitCode).toBe(1);
  expect(left()).toContain('vm1');
  expect(commands()).toEqual([]);
  expect(run.post?.stdout).toContain('(`cleanup: never`)');

  const rerun = await runAction({ sim, inputs: { ...inputs, cleanup: 'on-failure' }, env: { GITHUB_RUN_ID: '2' } });
  expect(rerun.exitCode).toBe(1);
  expect(rerun.outputs['script-exit-code']).toBe('3');
  expect(sent('runCommand.put')).toHaveLength(2);
  // Only what the failing run created goes: the command.
  expect(left()).toContain('vm1');
  expect(commands()).toEqual([]);
});

test('sends script, parameters and secrets to the guest only', async () => {
  const seen: ScriptCall[] = [];
  const secret = 'correct-horse-battery';
  const inputs = await start(
    (world) => {
      settings(world).runScript = (call) => {
        seen.push(call);
        return {
          exitCode: 0,
          output: `signing in with ${secret}\n::set-output name=vm-id::forged\n##[error]forged\nready\n`,
          error: '',
          progress: [
            { at: 50, output: 'signing in' },
            { at: 200, output: `signing in with ${secret}\n` },
          ],
          seconds: 300,
        };
      };
    },
    {
      'run-script': '#!/bin/bash\r\n# very private script text\r\necho "$GREETING"\r\n',
      'run-script-parameters': 'GREETING: hello',
      'run-script-secrets': JSON.stringify({ TOKEN: secret }),
    },
  );
  const run = await runAction({ sim, inputs });
  expect(errors(run)).toBe('');
  expect(run.exitCode).toBe(0);
  expect(seen).toHaveLength(1);
  expect(seen[0]?.script).toBe('#!/bin/bash\n# very private script text\necho "$GREETING"\n');
  expect(seen[0]?.parameters).toEqual({ GREETING: 'hello' });
  expect(seen[0]?.protectedParameters).toEqual({ TOKEN: secret });
  const [put] = sent('runCommand.put');
  expect(put?.requestBody).toMatchObject({
    tags: { 'cross-tenant-vm': 'vm1' },
    properties: { asyncExecution: true, timeoutInSeconds: 1800 },
  });

  expect(run.outputs['script-stdout']).toBe(
    'signing in with ***\n::set-output name=vm-id::forged\n##[error]forged\nready\n',
  );
  expect(run.outputs['vm-id']).not.toBe('forged');
  const log = run.lines.filter(({ command }) => command === undefined).map(({ text }) => text);
  expect(log).toContain('Script: Running.');
  // Output is logged once, and only in complete lines.
  expect(log.filter((line) => line.startsWith('stdout | '))).toEqual([
    'stdout | signing in with ***',
    'stdout | ::set-output name=vm-id::forged',
    'stdout | ## [error]forged',
    'stdout | ready',
  ]);
  assertNoSecrets(run, [secret]);
  expect(run.stdout).not.toContain('very private');
  expect(commands()).toEqual([]);
  expect(run.outputs['created']).not.toContain('runCommands');
  expect(run.state['cleanup']).not.toContain('runCommands');
});

test('runs a file, and redacts the rest of a secret when the 4 KB that Azure keeps begin inside it', async () => {
  const secret = 'hunter2-supersecretvalue-98765';
  const seen: string[] = [];
  const inputs = await start(
    (world) => {
      settings(world).runScript = ({ script }) => {
        seen.push(script);
        return { exitCode: 0, output: `${secret}${'x'.repeat(4096 - 18)}`, error: '', seconds: 6 };
      };
    },
    { 'run-script-file': 'scripts/test.sh', 'run-script-secrets': JSON.stringify({ S: secret }) },
  );
  const run = await runAction({ sim, inputs, workspace: { 'scripts/test.sh': 'echo from a file\n' } });
  expect(run.exitCode).toBe(0);
  expect(seen).toEqual(['echo from a file\n']);
  expect(run.outputs['script-stdout']).toMatch(/^\*\*\*x+$/);
  const printed = run.lines.filter(({ text }) => text.startsWith('stdout | ')).map(({ text }) => text);
  expect(printed).toEqual([expect.stringMatching(/^stdout \| \*\*\*x+$/)]);
});

test('a script past its minutes fails the step and says which input to raise', async () => {
  const inputs = await start(
    (world) => {
      settings(world).runScript = () => ({ exitCode: 0, output: 'hanging\n', seconds: 100_000 });
    },
    { 'run-script': 'sleep infinity', 'run-script-timeout-minutes': '4.15' },
  );
  const run = await runAction({ sim, inputs });
  // Whole seconds, rounded up; what the fraction lacks in exactness is no second more.
  expect(sent('runCommand.put')[0]?.requestBody).toMatchObject({ properties: { timeoutInSeconds: 249 } });
  expect(run.exitCode).toBe(1);
  expect(errors(run)).toMatch(/ended at its time limit[\s\S]*run-script-timeout-minutes/);
  expect(run.outputs['script-exit-code']).toBeUndefined();
  expect(left()).toEqual([]);
});

test('deletes everything when the run is cancelled while the script runs', async () => {
  const inputs = await start(
    (world) => {
      settings(world).runScript = () => ({ exitCode: 0, seconds: 100_000 });
    },
    { 'run-script': 'sleep infinity' },
  );
  const run = await runJob({ sim, inputs, signal: { name: 'SIGINT', whenLog: /Script: Running/ } });
  expect(run.exitCode).toBe(1);
  expect(errors(run)).toContain('cancelled');
  expect(left()).toEqual([]);
});

test('`wait-for: agent` ends when the agent is ready, within the budget of reads', async () => {
  const inputs = await start(
    (world) => {
      settings(world).agentDelay = 200;
    },
    { 'wait-for': 'agent' },
  );
  const run = await runAction({ sim, inputs, phases: ['main'] });
  expect(errors(run)).toBe('');
  expect(run.stdout).toMatch(/VM agent of vm1: Ready/);
  expect(sent('runCommand.put')).toEqual([]);
  expect(sim.journal.filter(({ status }) => status === 429)).toEqual([]);
});

test('fails with the boot log when the VM stops, without the URL of the log', async () => {
  const inputs = await start(
    (world) => {
      settings(world).agentDelay = Infinity;
      settings(world).serialLog = `${'[ 1.0] booting\n'.repeat(100)}[ 9.9] Kernel panic - not syncing\n`;
    },
    { 'wait-for': 'agent', cleanup: 'never' },
  );
  const stop = ({ text }: { readonly text: string }): void => {
    const [machine] = sim.world.resources.ofType('Microsoft.Compute/virtualMachines');
    if (machine && text.startsWith('VM agent of')) machine.internal['powerState'] = 'stopped';
  };
  const run = await runAction({ sim, inputs, phases: ['main'], onLine: stop });
  expect(run.exitCode).toBe(1);
  expect(errors(run)).toMatch(/not running/);
  expect(run.stdout).toContain('boot | [ 9.9] Kernel panic - not syncing');
  expect(run.stdout).not.toContain('sig=');
});

test.each([
  ['Canceled', 0, 'Who must act: the person who cancelled it'],
  ['Failed', 0, "Who must act: the script's author, or the maintainer of the image"],
  ['Failed', 7, 'Cause: The script itself reported the failure.'],
])('names who must act when the script ends as %s with exit code %i', async (executionState, exitCode, words) => {
  const inputs = await start(undefined, { 'run-script': 'true', cleanup: 'never' });
  sim.faults.add({
    match: { method: 'GET', path: /\/runCommands\/.*instanceView/, times: Number.POSITIVE_INFINITY },
    effect: {
      changeAnswer: ({ properties }) => Object.assign(properties.instanceView, { executionState, exitCode }),
    },
  });
  const run = await runAction({ sim, inputs });
  expect(errors(run)).toContain(words);
  expect(errors(run).includes('itself reported the failure')).toBe(exitCode !== 0);
  expect(`${errors(run)}${run.summary}`).not.toMatch(/\babove\b/);
});
