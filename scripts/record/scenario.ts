/** The run that is recorded: check, create, create again, delete, with the shipped bundle. */
import { readFileSync } from 'node:fs';
import { defaults, startSimulator } from '../../simulator/index.ts';
import { runAsRunner } from '../action-runner/action-runner.ts';
import type { LogLine } from '../action-runner/log.ts';
import { note, type Recorder, startRecorder } from './recorder.ts';
import type { Recording } from './recording.ts';
import type { PrivateValues } from './sanitize.ts';

type Inputs = Readonly<Record<string, string>>;

interface Step {
  readonly name: string;
  readonly inputs: Inputs;
  /** Runs after a failure too. */
  readonly always?: boolean;
}

export interface ScenarioResult {
  readonly recording: Recording;
  /** Names of the steps that failed. */
  readonly failed: readonly string[];
}

export interface ScenarioOptions {
  readonly inputs: Inputs;
  /** GITHUB_* and ACTIONS_* of the job, if there is one. */
  readonly env?: Readonly<Record<string, string>>;
  readonly source: string;
  readonly onLine?: (line: LogLine) => void;
  /** Aborted: only the steps that always run are still started. */
  readonly signal?: AbortSignal;
}

const create: Inputs = { operation: 'create', cleanup: 'never', 'expires-after': 'PT2H' };
const steps: readonly Step[] = [
  { name: 'check', inputs: { operation: 'check' } },
  { name: 'create', inputs: { ...create, 'run-script': 'exit 0' } },
  { name: 'create again', inputs: create },
  { name: 'delete', inputs: { operation: 'delete' }, always: true },
];

/** Records Azure itself. */
export async function recordAzure(options: ScenarioOptions): Promise<ScenarioResult> {
  const recorder = await startRecorder({ privateValues: privateValuesOf(options) });
  const githubEndpoint = options.env?.['GITHUB_API_URL'] ?? 'https://api.github.com';
  return record(recorder, { ...options, kind: 'recorded', githubEndpoint, timeScale: 1 });
}

/** Records the simulator. `image` is the name of a definition in its default gallery. */
export async function recordSimulator(
  options: Partial<ScenarioOptions> & { readonly image?: string } = {},
): Promise<ScenarioResult> {
  const timeScale = 0.02;
  const sim = await startSimulator({ timeScale });
  try {
    const inputs = {
      environment: sim.armEndpoint,
      'client-id': defaults.clientId,
      'client-secret': defaults.clientSecret,
      'tenant-id': defaults.tenantId,
      'image-tenant-id': defaults.imageTenantId,
      'resource-group': defaults.resourceGroup,
      'image-id': defaults.imageId(options.image ?? 'linux'),
      ...options.inputs,
    };
    const recorder = await startRecorder({
      trust: readFileSync(sim.certificateFile, 'utf8'),
      publicHosts: {
        [sim.armEndpoint]: 'management.azure.com',
        [sim.loginEndpoint]: 'login.microsoftonline.com',
        [sim.githubEndpoint]: 'api.github.com',
      },
      privateValues: privateValuesOf({ inputs }),
    });
    return await record(recorder, {
      source: 'simulator',
      ...options,
      inputs,
      kind: 'simulated',
      githubEndpoint: sim.githubEndpoint,
      timeScale,
    });
  } finally {
    await sim.close();
  }
}

async function record(
  recorder: Recorder,
  options: ScenarioOptions & {
    readonly kind: string;
    readonly githubEndpoint: string;
    readonly timeScale: number;
  },
): Promise<ScenarioResult> {
  const { inputs, env = {}, signal, onLine, timeScale } = options;
  const failed: string[] = [];
  try {
    for (const step of steps) {
      if (!step.always && (failed.includes('create') || signal?.aborted)) continue;
      const run = await runAsRunner({
        sim: { githubEndpoint: options.githubEndpoint, certificateFile: recorder.certificateFile },
        inputs: { ...inputs, ...step.inputs },
        env: { ...env, HTTPS_PROXY: recorder.proxyUrl },
        timeScale,
        // The post step has nothing to do: cleanup is never, and the delete step always runs.
        phases: ['main'],
        limitMs: 3_600_000,
        ...(onLine === undefined ? {} : { onLine }),
      });
      if (run.exitCode !== 0) failed.push(step.name);
      run.dispose();
    }
    const exchanges = await recorder.exchanges();
    const recording: Recording = {
      title: `${steps.map(({ name }) => name).join(', ')} of a VM`,
      source: options.source,
      kind: options.kind,
      interactionIndexes: exchanges.map((_, index) => index),
      note,
      exchanges,
    };
    return { recording, failed };
  } finally {
    await recorder.close();
  }
}

/** What the exchanges may repeat without a path or member name that gives it away. */
function privateValuesOf({ inputs, env = {} }: Pick<ScenarioOptions, 'inputs' | 'env'>): PrivateValues {
  const [owner = '', repository = ''] = (env['GITHUB_REPOSITORY'] ?? '').split('/');
  return {
    secret: inputs['client-secret'] ?? '',
    virtualMachine: inputs['vm-name'] ?? '',
    owner,
    repository,
    actor: env['GITHUB_ACTOR'] ?? '',
    runId: env['GITHUB_RUN_ID'] ?? '',
  };
}
