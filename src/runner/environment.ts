/** What the runner gives to a step and takes from it: environment, workflow context, outputs, state. */
import { readFileSync } from 'node:fs';
import * as core from '@actions/core';
import { ActionError } from '../errors/errors.ts';

/** The workflow run that this step belongs to. `action`: ID of the step, or the name that the runner gives to it. */
const runVariables = {
  serverUrl: 'GITHUB_SERVER_URL',
  repository: 'GITHUB_REPOSITORY',
  runId: 'GITHUB_RUN_ID',
  runAttempt: 'GITHUB_RUN_ATTEMPT',
  job: 'GITHUB_JOB',
  action: 'GITHUB_ACTION',
  workflow: 'GITHUB_WORKFLOW',
  sha: 'GITHUB_SHA',
  actor: 'GITHUB_ACTOR',
} as const;

export type WorkflowRun = Readonly<Record<keyof typeof runVariables, string>>;

function mapRunVariables(valueOf: (name: string) => string): WorkflowRun {
  const entries = Object.entries(runVariables).map(([field, name]) => [field, valueOf(name)]);
  return Object.fromEntries(entries) as WorkflowRun;
}

/** The tags that record the run on what it creates: `github-run-id` for GITHUB_RUN_ID. */
export const runTags = mapRunVariables((name) => name.toLowerCase().replaceAll('_', '-'));

export const workflowRun = (): WorkflowRun => mapRunVariables((name) => env[name] ?? '');

/** How `uses` named this action. Where it is a folder of the workspace, GitHub does not tell. */
export function actionReference(): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env;
  return repository && ref ? `${repository}@${ref}` : 'OWNER/cross-tenant-vm@v1';
}

export function eventPayload(): unknown {
  try {
    return JSON.parse(readFileSync(env['GITHUB_EVENT_PATH'] ?? '', 'utf8'));
  } catch {
    return undefined;
  }
}

/** Saved state cannot tell: it leaks into nested actions, and a main step that was killed early has saved none. */
export const isPost = Reflect.get(globalThis, Symbol.for('cross-tenant-vm.post')) === true;

/** The action's outputs, in the order of the README. */
export const outputNames = [
  'vm-id',
  'vm-name',
  'vm-instance-id',
  'vm-size',
  'subscription-id',
  'resource-group',
  'location',
  'zone',
  'spot',
  'image-version-id',
  'image-version',
  'nic-id',
  'nsg-id',
  'vnet-id',
  'subnet-id',
  'public-ip-id',
  'public-ip-address',
  'private-ip-address',
  'fqdn',
  'os-disk-id',
  'principal-id',
  'admin-username',
  'ssh-private-key-path',
  'ssh-command',
  'ssh-known-hosts',
  'script-exit-code',
  'script-stdout',
  'script-stderr',
  'outcome',
  'created',
  'deleted',
  'findings',
  'deployments',
  'result',
] as const;

export type OutputName = (typeof outputNames)[number];

export type PlainOutput = Exclude<OutputName, 'created' | 'deleted' | 'findings' | 'deployments' | 'result'>;

export type OutputValues = Partial<Record<PlainOutput, string | number | undefined>>;

export const writeOutput = (name: OutputName, value: string): void => core.setOutput(name, value);

export const { env } = process;

export const cleanupStateKey = 'cleanup';

export const saveCleanupState = (state: object | string): void => core.saveState(cleanupStateKey, state);

/**
 * Writes to the files that later steps and the post step read, so that an unusable one shows before anything is created.
 * @throws ActionError that names the variable.
 */
export function assertRunnerFiles(savesState: boolean): void {
  const probe = (variable: string, write: () => void): void => {
    try {
      if (!env[variable]) throw new Error('the environment variable is not set.');
      write();
    } catch (error) {
      throw runnerFileError(variable, error);
    }
  };
  probe('GITHUB_OUTPUT', () => writeOutput('outcome', ''));
  if (savesState) probe('GITHUB_STATE', () => saveCleanupState(''));
}

export function runnerFileError(variable: string, error: unknown, fix: readonly string[] = []): ActionError {
  return new ActionError(`writing to ${variable}`, {
    message: `${variable} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
    reason: `The runner provides a place for ${variable}. It is missing, may not be written, or its disk is full.`,
    who: 'the operator of the runner',
    fix: ['Free space on the disk of the runner, or repair its work folder; then run the job again.', ...fix],
  });
}
