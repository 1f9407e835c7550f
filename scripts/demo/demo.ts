/**
 * Runs the bundled action against the simulator, without an Azure account: streams the log, then prints the outputs, the
 * existing resources and the paths of the files.
 *
 *     npm run demo -- [--windows | --specialized] [--check | --delete] [--summary] [--fail [CODE]] [--cleanup never|on-failure|always]
 *                     [--real-time] [--keep]
 */
import { readFileSync } from 'node:fs';
import { parseArgs, styleText } from 'node:util';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { type Run, runAsRunner } from '../action-runner/action-runner.ts';
import type { LogLine } from '../action-runner/log.ts';

/** An entry of errors.json: a recorded or documented response of Azure. */
interface RecordedError {
  readonly code: string;
  readonly httpStatus: number;
  readonly when: string;
  readonly body?: { readonly error?: string | { readonly code: string; readonly message: string } };
}

const usage = `npm run demo -- [options]
  --windows, --specialized   use a Windows or a specialized image (default: generalized Linux)
  --check                    run the preflight checks only
  --delete                   create a deployment, then show how it is deleted
  --summary                  print the job summary too
  --fail [CODE]              make Azure return an error (default: SkuNotAvailable); --fail list prints all codes
  --cleanup POLICY           never, on-failure (default), always
  --real-time                use recorded durations (about a minute) instead of a tenth of them
  --keep                     keep the simulator running, to inspect the resources`;

// parseArgs has no options with an optional value.
const args = process.argv.slice(2).flatMap((arg, index, all) => {
  const hasNoValue = arg === '--fail' && (all[index + 1] ?? '--').startsWith('--');
  return hasNoValue ? [arg, 'SkuNotAvailable'] : [arg];
});
const { values: options } = parseArgs({
  args,
  options: {
    windows: { type: 'boolean', default: false },
    specialized: { type: 'boolean', default: false },
    fail: { type: 'string' },
    cleanup: { type: 'string', default: 'on-failure' },
    check: { type: 'boolean', default: false },
    delete: { type: 'boolean', default: false },
    summary: { type: 'boolean', default: false },
    'real-time': { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(usage);
else if (options.fail === 'list') console.log(errorCodes().join('\n'));
else process.exitCode = await demo();

async function demo(): Promise<number> {
  const sim = await startSimulator({ timeScale: options['real-time'] ? 1 : 0.1 });
  const inputs = createInputs(sim);
  if (options.fail !== undefined) injectError(options.fail, sim, inputs);

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
  const asExpected = options.fail === undefined ? run.exitCode === 0 : run.exitCode !== 0;
  return asExpected ? 0 : 1;
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

/** Makes the run fail with an Azure error code: through the simulated tenants if possible, else with a recorded response. */
function injectError(code: string, sim: Simulator, inputs: Record<string, string>): void {
  switch (code) {
    case 'AADSTS7000215':
      inputs['client-secret'] = 'not-the-secret';
      return;
    case 'AADSTS7000222':
      inputs['client-secret'] = defaults.expiredSecret;
      return;
    case 'AADSTS700016':
      inputs['tenant-id'] = defaults.otherTenantId;
      return;
    case 'AuthorizationFailed':
      sim.world.revoke(
        defaults.clientId,
        `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`,
      );
      return;
  }
  const recorded = createErrors().find((error) => codeOf(error) === code);
  if (!recorded?.body) throw new Error(`Unknown error code ${code}. Known codes: ${errorCodes().join(', ')}`);
  const { body, httpStatus, when } = recorded;
  if (when.startsWith('POST')) {
    sim.faults.add({
      match: { host: 'entra', method: 'POST', times: Infinity },
      effect: { status: httpStatus, body },
    });
    return;
  }
  const path = when.includes('publicIPAddresses') ? /\/publicIPAddresses\//i : /\/virtualMachines\//i;
  const match = { host: 'arm', method: 'PUT', path, times: Infinity } as const;
  const operationError = httpStatus === 200 && typeof body.error === 'object' ? body.error : undefined;
  sim.faults.add({
    match,
    effect: operationError ? { operationFails: operationError } : { status: httpStatus, body },
  });
}

/** Returns the recorded errors that `create` can receive. */
function createErrors(): readonly RecordedError[] {
  const file = new URL('../../__tests__/fixtures/errors.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as RecordedError[]).filter(
    ({ body, when }) =>
      body &&
      /^(POST .*\/token$|PUT$|PUT (virtualMachines|publicIPAddresses|that)|any management|poll of the VM)/.test(when),
  );
}

function codeOf({ code }: RecordedError): string {
  return code.split(' ')[0] ?? code;
}

function errorCodes(): readonly string[] {
  return [...new Set(createErrors().map(codeOf))].toSorted();
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
