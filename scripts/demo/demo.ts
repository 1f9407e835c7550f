/**
 * Runs the bundled action against the simulator, without an Azure account: streams the log, then prints the outputs, the
 * existing resources and the paths of the files.
 *
 *     npm run demo -- [--windows | --specialized] [--check | --delete] [--summary] [--fail [NAME]] [--cleanup never|on-failure|always]
 *                     [--real-time] [--keep]
 */
import { parseArgs, styleText } from 'node:util';
import { applyFailure, defaults, failureDescriptions, type Simulator, startSimulator } from '../../simulator/index.ts';
import { type Run, runAsRunner } from '../action-runner/action-runner.ts';
import type { LogLine } from '../action-runner/log.ts';

const usage = `npm run demo -- [options]
  --windows, --specialized   use a Windows or a specialized image (default: generalized Linux)
  --check                    run the preflight checks only
  --delete                   create a deployment, then show how it is deleted
  --summary                  print the job summary too
  --fail [NAME]              choose a failure (default: size-not-available); --fail list prints all names
  --cleanup POLICY           never, on-failure, always (default)
  --real-time                use recorded durations (about a minute) instead of a tenth of them
  --keep                     keep the simulator running, to inspect the resources`;

// parseArgs has no options with an optional value.
const args = process.argv.slice(2).flatMap((arg, index, all) => {
  const hasNoValue = arg === '--fail' && (all[index + 1] ?? '--').startsWith('--');
  return hasNoValue ? [arg, 'size-not-available'] : [arg];
});
const { values: options } = parseArgs({
  args,
  options: {
    windows: { type: 'boolean', default: false },
    specialized: { type: 'boolean', default: false },
    fail: { type: 'string' },
    cleanup: { type: 'string', default: 'always' },
    check: { type: 'boolean', default: false },
    delete: { type: 'boolean', default: false },
    summary: { type: 'boolean', default: false },
    'real-time': { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Without these, the failure would not be met. */
const inputsOfFailure: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'script-fails': { 'run-script': 'systemctl is-active web' },
  'agent-not-ready': { 'wait-for': 'agent', 'timeout-minutes': '5' },
};

if (options.help) console.log(usage);
else if (options.fail === 'list') {
  for (const [name, description] of failureDescriptions) console.log(`${name.padEnd(26)}${description}`);
} else if (options.fail !== undefined && !failureDescriptions.has(options.fail)) {
  console.error(`Unknown failure ${options.fail}; --fail list prints the names.`);
  process.exitCode = 2;
} else process.exitCode = await demo();

async function demo(): Promise<number> {
  const sim = await startSimulator({ timeScale: options['real-time'] ? 1 : 0.1 });
  const inputs = createInputs(sim);
  if (options.fail !== undefined) applyFailure(sim.world, options.fail);

  await chooseOperation(sim, inputs);
  title('Inputs');
  for (const [name, value] of Object.entries(inputs)) {
    console.log(`  ${name}: ${name === 'client-secret' ? '***' : value}`);
  }
  title('Log');
  const run = await runAsRunner({
    sim,
    inputs,
    onLine: printLine,
    between: () => title('Log of the post step'),
  });
  if (options.summary) {
    title('Job summary');
    console.log(indented(`${run.summary}${run.post?.summary ?? ''}`));
  }
  printResult(run, sim);
  if (options.keep) await waitForInterrupt(sim);
  await sim.close();
  // Some failures are retried and some fail the step; both are what was asked for.
  return options.fail === undefined && run.exitCode !== 0 ? 1 : 0;
}

function createInputs(sim: Simulator): Record<string, string> {
  const image = `${options.windows ? 'windows' : 'linux'}${options.specialized ? '-specialized' : ''}`;
  return {
    environment: sim.armEndpoint,
    'client-id': defaults.clientId,
    'client-secret': defaults.clientSecret,
    'tenant-id': defaults.tenantId,
    'image-tenant-id': defaults.imageTenantId,
    'resource-group': defaults.resourceGroup,
    'image-id': defaults.imageId(image),
    'allow-inbound': `${options.windows ? 3389 : 22} from 203.0.113.0/24`,
    cleanup: options.cleanup,
    ...inputsOfFailure[options.fail ?? ''],
  };
}

async function chooseOperation(sim: Simulator, inputs: Record<string, string>): Promise<void> {
  if (options.delete) {
    inputs['vm-name'] = 'vm1';
    await runAsRunner({ sim, inputs, phases: ['main'] });
  }
  if (options.check || options.delete) inputs['operation'] = options.check ? 'check' : 'delete';
}

async function waitForInterrupt(sim: Simulator): Promise<void> {
  console.log(`\nThe simulator is running; press Ctrl-C to stop it. Resource Manager: ${sim.armEndpoint}`);
  console.log(`To use other Node clients, set NODE_EXTRA_CA_CERTS=${sim.certificateFile}`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
  });
}

function printResult(run: Run, sim: Simulator): void {
  title('Outputs');
  for (const [name, value] of Object.entries(run.outputs)) {
    if (name !== 'result') console.log(`  ${styleText('cyan', name)}: ${value}`);
  }
  title('Existing resources');
  const groupId = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
  const ids = [...sim.world.resources.under(groupId)].map(({ id }) => id.slice(groupId.length + '/providers/'.length));
  console.log(ids.length > 0 ? ids.map((id) => `  ${id}`).join('\n') : '  none');

  title('Files');
  for (const [kind, prefix] of [
    ['outputs', 'set_output'],
    ['state', 'save_state'],
    ['summary', 'step_summary'],
  ] as const) {
    const names = Object.keys(run.files()).filter((name) => name.includes(`/${prefix}_`));
    for (const name of names.filter((file) => run.files()[file] !== '')) console.log(`  ${kind}: ${run.temp}/${name}`);
  }
  const seconds = (run.wallMs / 1000).toFixed(1);
  const requests = sim.journal.length;
  console.log(
    `\nExit code ${run.exitCode} after ${seconds} s; ${requests} requests; peak memory ${Math.round(run.peakRssBytes / 1e6)} MB.`,
  );
}

function title(text: string): void {
  console.log(`\n${styleText('bold', text)}`);
}

/** Prints a line in the way of GitHub's log page. */
function printLine({ command, text, properties }: LogLine): void {
  switch (command) {
    case 'group':
      console.log(`  ${styleText('blue', `▾ ${text}`)}`);
      return;
    case 'error':
    case 'warning':
    case 'notice': {
      const heading = properties['title'] ? `${properties['title']}: ` : '';
      const colour = { error: 'red', warning: 'yellow', notice: 'cyan' } as const;
      console.log(indented(styleText(colour[command], `${command}: ${heading}${text}`)));
      return;
    }
    case undefined:
      console.log(indented(text));
      return;
  }
  // Masks, ends of groups and debug lines are not shown.
}

function indented(text: string): string {
  return text.replace(/^/gm, '    ');
}
