import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';

const actionFile = resolve(import.meta.dirname, '../../action.yml');

/** The simulator, as far as the runner needs it. */
export interface SimulatedServices {
  readonly githubEndpoint: string;
  readonly certificateFile: string;
}

export interface JobOptions {
  readonly sim: SimulatedServices;
  /** As in `with:`. Missing inputs get their default from action.yml. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Overrides the runner's environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Factor for all waits of the action. Default 1: real time. */
  readonly timeScale?: number;
  /** Values of expressions in action.yml's defaults, by name: `strategy.job-index`. */
  readonly context?: Readonly<Record<string, string>>;
}

export interface JobFolders {
  readonly folder: string;
  /** RUNNER_TEMP */
  readonly temp: string;
  readonly workspaceFolder: string;
}

interface ActionDefinition {
  readonly inputs: Readonly<Record<string, { readonly default?: string | number | boolean } | null>>;
}

/** Returns the runner's environment, without any variable of this process. */
export function runnerEnvironment(
  { sim, env: overrides = {}, timeScale = 1 }: JobOptions,
  { folder, temp, workspaceFolder }: JobFolders,
): Record<string, string> {
  const env: Record<string, string | undefined> = {
    // A proxy, NODE_OPTIONS or a token of this process must not influence a test.
    PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
    HOME: join(folder, 'home'),
    LANG: 'C.UTF-8',
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTION: 'vm',
    GITHUB_ACTOR: 'octocat',
    GITHUB_API_URL: sim.githubEndpoint,
    GITHUB_EVENT_NAME: 'workflow_dispatch',
    GITHUB_EVENT_PATH: join(folder, 'event.json'),
    GITHUB_GRAPHQL_URL: `${sim.githubEndpoint}/graphql`,
    GITHUB_JOB: 'deploy',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REF_NAME: 'main',
    GITHUB_REPOSITORY: 'contoso/deploy',
    GITHUB_REPOSITORY_ID: '456789',
    GITHUB_REPOSITORY_OWNER: 'contoso',
    GITHUB_REPOSITORY_OWNER_ID: '123456',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: '9876543210',
    GITHUB_RUN_NUMBER: '42',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_SHA: '6dcb09b5b57875f334f61aebed695e2e4193db5e',
    GITHUB_WORKFLOW: 'Deploy',
    GITHUB_WORKFLOW_REF: 'contoso/deploy/.github/workflows/deploy.yml@refs/heads/main',
    GITHUB_WORKSPACE: workspaceFolder,
    RUNNER_ARCH: 'X64',
    RUNNER_ENVIRONMENT: 'github-hosted',
    RUNNER_NAME: 'runner',
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: temp,
    RUNNER_TOOL_CACHE: join(folder, 'tools'),
    NODE_EXTRA_CA_CERTS: sim.certificateFile,
    CROSS_TENANT_VM_TIME_SCALE: timeScale === 1 ? undefined : String(timeScale),
    ...overrides,
  };
  return Object.fromEntries(Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

/** Read once per process: parsing it takes a tenth of the CPU time that a test needs for a step. */
let definition: ActionDefinition | undefined;

/** Returns INPUT_* for every input of action.yml. As in the runner, hyphens stay in the names. */
export function inputVariables(options: JobOptions, env: Readonly<Record<string, string>>): Record<string, string> {
  definition ??= parse(readFileSync(actionFile, 'utf8')) as ActionDefinition;
  const { inputs } = definition;
  // The runner only warns about an unknown input; in a test it is a mistake.
  const unknown = Object.keys(options.inputs).filter((name) => !Object.hasOwn(inputs, name));
  if (unknown.length > 0) throw new Error(`action.yml has no input ${unknown.join(', ')}`);
  const context: Record<string, string> = {
    'github.job': env['GITHUB_JOB'] ?? '',
    'github.run_id': env['GITHUB_RUN_ID'] ?? '',
    'github.token': 'ghs_simulated',
    'strategy.job-index': '0',
    ...options.context,
  };
  const evaluate = (text: string): string =>
    text.replace(/\$\{\{\s*([\w.-]+)\s*\}\}/g, (expression, name: string) => {
      const value = context[name];
      if (value === undefined) throw new Error(`No value for ${expression} in action.yml`);
      return value;
    });
  return Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => [
      `INPUT_${name.replaceAll(' ', '_').toUpperCase()}`,
      options.inputs[name] ?? evaluate(String(input?.default ?? '')),
    ]),
  );
}
