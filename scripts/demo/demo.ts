/**
 * Shows the action at work without an Azure account: starts the simulator, runs the shipped dist/index.js against it as
 * a runner does, prints the log as it comes, then the outputs and where the files are.
 *
 *     npm run demo -- [--windows | --specialized] [--fail [CODE]] [--cleanup never|on-failure|always]
 *                     [--real-time] [--keep]
 */
import { readFileSync } from 'node:fs';
import { parseArgs, styleText } from 'node:util';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { type LogLine, type Run, runAsRunner } from '../runner.ts';

/** One answer of Azure, as it was recorded or documented. */
interface KnownError {
  readonly code: string;
  readonly httpStatus: number;
  readonly when: string;
  readonly body?: { readonly error?: string | { readonly code: string; readonly message: string } };
}

const usage = `npm run demo -- [options]
  --windows, --specialized   another image than a generalized Linux one
  --fail [CODE]              let Azure refuse, with SkuNotAvailable or CODE; --fail list shows all codes
  --cleanup POLICY           never, on-failure (default), always
  --real-time                at Azure's own pace (about a minute) instead of ten times as fast
  --keep                     let the simulator run on, to look at what exists then`;

// parseArgs has no options whose value may be left out.
const args = process.argv.slice(2).flatMap((arg, at, all) => {
  const bare = arg === '--fail' && (all[at + 1] ?? '--').startsWith('--');
  return bare ? [arg, 'SkuNotAvailable'] : [arg];
});
const { values: options } = parseArgs({
  args,
  options: {
    windows: { type: 'boolean', default: false },
    specialized: { type: 'boolean', default: false },
    fail: { type: 'string' },
    cleanup: { type: 'string', default: 'on-failure' },
    'real-time': { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(usage);
else if (options.fail === 'list') console.log(failures().join('\n'));
else process.exitCode = await demo();

async function demo(): Promise<number> {
  const sim = await startSimulator({ timeScale: options['real-time'] ? 1 : 0.1 });
  const image = `${options.windows ? 'windows' : 'linux'}${options.specialized ? '-specialized' : ''}`;
  const inputs: Record<string, string> = {
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
  if (options.fail !== undefined) arrange(options.fail, sim, inputs);

  title('The step');
  for (const [name, value] of Object.entries(inputs)) {
    console.log(`  ${name}: ${name === 'client-secret' ? '***' : value}`);
  }
  title('Its log');
  const run = await runAsRunner({
    sim,
    inputs,
    onLine: print,
    between: () => title('End of the job (post step)'),
  });
  conclude(run, sim);
  if (options.keep) {
    console.log(`\nThe simulator runs on, Ctrl-C ends it. Resource Manager: ${sim.armEndpoint}`);
    console.log(`For other clients: NODE_EXTRA_CA_CERTS=${sim.certificateFile}`);
    await new Promise<void>((resolve) => {
      process.once('SIGINT', () => resolve());
    });
  }
  await sim.close();
  const asExpected = options.fail === undefined ? run.exitCode === 0 : run.exitCode !== 0;
  return asExpected ? 0 : 1;
}

function conclude(run: Run, sim: Simulator): void {
  title('Outputs');
  for (const [name, value] of Object.entries(run.outputs)) {
    if (name !== 'result') console.log(`  ${styleText('cyan', name)}: ${value}`);
  }
  title('In the resource group now');
  const here = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
  const ids = [...sim.world.resources.under(here)].map(({ id }) =>
    id.slice(here.length + '/providers/'.length),
  );
  console.log(ids.length > 0 ? ids.map((id) => `  ${id}`).join('\n') : '  nothing');

  title('Files');
  for (const [what, path] of [
    ['outputs', 'set_output'],
    ['state', 'save_state'],
    ['summary', 'step_summary'],
  ] as const) {
    const names = Object.keys(run.files()).filter((name) => name.includes(`/${path}_`));
    for (const name of names.filter((each) => run.files()[each] !== ''))
      console.log(`  ${what}: ${run.temp}/${name}`);
  }
  const seconds = (run.wallMs / 1000).toFixed(1);
  const requests = sim.journal.length;
  console.log(
    `\nExit code ${run.exitCode} after ${seconds} s; ${requests} requests; peak memory ${Math.round(run.peakRssBytes / 1e6)} MB.`,
  );
}

/** Makes the run fail with one of Azure's codes: by what is wrong in the world where it can be, else by a recorded answer. */
function arrange(code: string, sim: Simulator, inputs: Record<string, string>): void {
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
  const known = knownErrors().find((one) => codeOf(one) === code);
  if (!known?.body) throw new Error(`No way to fail with ${code}. Known: ${failures().join(', ')}`);
  const { body, httpStatus, when } = known;
  if (when.startsWith('POST')) {
    sim.faults.add({
      match: { host: 'entra', method: 'POST', times: Infinity },
      effect: { status: httpStatus, body },
    });
    return;
  }
  const path = when.includes('publicIPAddresses') ? /\/publicIPAddresses\//i : /\/virtualMachines\//i;
  const match = { host: 'arm', method: 'PUT', path, times: Infinity } as const;
  const failed = httpStatus === 200 && typeof body.error === 'object' ? body.error : undefined;
  sim.faults.add({ match, effect: failed ? { operationFails: failed } : { status: httpStatus, body } });
}

/** Those that a create meets. */
function knownErrors(): readonly KnownError[] {
  const file = new URL('../../__tests__/fixtures/errors.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as KnownError[]).filter(
    ({ body, when }) =>
      body &&
      /^(POST .*\/token$|PUT$|PUT (virtualMachines|publicIPAddresses|that)|any management|poll of the VM)/.test(
        when,
      ),
  );
}

function codeOf({ code }: KnownError): string {
  return code.split(' ')[0] ?? code;
}

function failures(): readonly string[] {
  return [...new Set(knownErrors().map(codeOf))].toSorted();
}

function title(text: string): void {
  console.log(`\n${styleText('bold', text)}`);
}

/** As GitHub's log page shows a line. */
function print({ command, text, properties }: LogLine): void {
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
  // The rest is for the runner: masks, the ends of groups, debug lines.
}

function indented(text: string): string {
  return text.replace(/^/gm, '    ');
}
