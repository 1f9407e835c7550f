/** Starts the simulator alone: `npm run simulator -- [options]`; `--help` lists them. */
import { parseArgs } from 'node:util';
import { redactSecrets } from './engine/journal.ts';
import { applyFailure, failureDescriptions } from './failures.ts';
import { idTokenEnvironment } from './github/github.ts';
import { defaults, type Simulator, type SimulatorOptions, startSimulator } from './index.ts';

const usage = `Usage: npm run simulator -- [options]

Simulates Entra, Azure Resource Manager and GitHub on localhost, until Ctrl-C.

  --fail NAME            inject a failure; may be repeated. \`--fail list\` lists the names
  --time-scale N         wall-clock seconds per simulated second (default 1)
  --port N               port of Resource Manager (default: any free one)
  --login-port N         port of Entra
  --github-port N        port of GitHub
  --latency PROFILE      p25, median (default), p90 or drawn
  --retry-after PROFILE  short, recorded (default) or recorded50
  --seed N               makes random values repeatable
  --journal              print all requests at the end
  --help                 print this text`;

/** Reports a mistake in the command line and ends the process. */
function fail(message: string): never {
  process.stderr.write(`simulator: ${message}\n\n${usage}\n`);
  process.exit(2);
}

function parseOptions() {
  try {
    return parseArgs({
      options: {
        fail: { type: 'string', multiple: true, default: [] },
        'time-scale': { type: 'string', default: '1' },
        port: { type: 'string', default: '0' },
        'login-port': { type: 'string', default: '0' },
        'github-port': { type: 'string', default: '0' },
        latency: { type: 'string', default: 'median' },
        'retry-after': { type: 'string', default: 'recorded' },
        seed: { type: 'string' },
        journal: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

const options = parseOptions();

type OptionName = 'time-scale' | 'port' | 'login-port' | 'github-port' | 'latency' | 'retry-after';

function numberFrom(name: OptionName | 'seed', { min = 0 }: { min?: number } = {}): number {
  const value = Number(options[name]);
  if (Number.isNaN(value) || value < min) fail(`--${name} must be a number of at least ${min}`);
  return value;
}

function oneOf<const T extends string>(name: OptionName, allowed: readonly T[]): T {
  const value = allowed.find((candidate) => candidate === options[name]);
  return value ?? fail(`--${name} must be one of ${allowed.join(', ')}`);
}

function simulatorOptions(): SimulatorOptions {
  const unknown = options.fail.find((name) => !failureDescriptions.has(name));
  if (unknown !== undefined) fail(`unknown failure '${unknown}'; --fail list lists the names`);
  return {
    timeScale: numberFrom('time-scale', { min: 0.000_001 }),
    ports: { arm: numberFrom('port'), login: numberFrom('login-port'), github: numberFrom('github-port') },
    latencyProfile: oneOf('latency', ['p25', 'median', 'p90', 'drawn']),
    retryAfterProfile: oneOf('retry-after', ['short', 'recorded', 'recorded50']),
    ...(options.seed === undefined ? {} : { seed: numberFrom('seed') }),
    world: (world) => {
      for (const name of options.fail) applyFailure(world, name);
    },
  };
}

/** The workflow test reads the certificate and the inputs from these lines. */
function startMessage(simulator: Simulator): string {
  return [
    `Resource Manager   ${simulator.armEndpoint}`,
    `Entra              ${simulator.loginEndpoint}`,
    `GitHub             ${simulator.githubEndpoint}`,
    `Certificate        NODE_EXTRA_CA_CERTS=${simulator.certificateFile}`,
    ...options.fail.map((name) => `Failure            ${name}: ${failureDescriptions.get(name)}`),
    '',
    'Inputs for the action:',
    `  environment: ${simulator.armEndpoint}`,
    `  client-id: ${defaults.clientId}`,
    `  client-secret: ${defaults.clientSecret}`,
    `  tenant-id: ${defaults.tenantId}`,
    `  image-tenant-id: ${defaults.imageTenantId}`,
    `  subscription-id: ${defaults.subscriptionId}`,
    `  resource-group: ${defaults.resourceGroup}`,
    `  image-id: ${defaults.imageId('linux')}`,
    '',
    "Environment for sign-in with the job's ID token (without client-secret):",
    ...Object.entries(idTokenEnvironment(simulator.world, simulator.githubEndpoint)).map(
      ([name, value]) => `  ${name}=${value}`,
    ),
    '',
    'Press Ctrl-C to stop.',
  ].join('\n');
}

if (options.help) {
  process.stdout.write(`${usage}\n`);
} else if (options.fail.includes('list')) {
  const width = Math.max(...[...failureDescriptions.keys()].map((name) => name.length));
  for (const [name, description] of failureDescriptions) {
    process.stdout.write(`${name.padEnd(width)}  ${description}\n`);
  }
} else {
  const simulator = await startSimulator(simulatorOptions());
  process.stdout.write(`${startMessage(simulator)}\n`);
  const stop = async (): Promise<void> => {
    if (options.journal) {
      for (const exchange of simulator.journal) process.stdout.write(`${JSON.stringify(redactSecrets(exchange))}\n`);
    }
    await simulator.close();
  };
  process.once('SIGINT', () => void stop());
  process.once('SIGTERM', () => void stop());
}
