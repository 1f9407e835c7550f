import * as core from '@actions/core';
import { lstat, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { openSession } from './auth/session.ts';
import { abortSignInRequests } from './azure/http.ts';
import { type CleanupStateData, parseCleanupState } from './deployment/cleanup-state.ts';
import { type ErrorContext, ActionError } from './errors/errors.ts';
import { formatError } from './errors/format-error.ts';
import type { ClientCredential, DeleteInputs } from './inputs/inputs.ts';
import { maskSecrets } from './inputs/mask-secrets.ts';
import { timeoutSignal } from './lib/clock.ts';
import { countOf } from './lib/escape.ts';
import { needsCleanup, resourcesToDelete, runPostJobCleanup } from './operations/delete.ts';
import { actionReference, cleanupStateKey, env } from './runner/environment.ts';
import { errorContextFrom, explainError, logStrayRejection, rawInput, sessionOptions, wantsSummary } from './step.ts';
import { deleteStepYaml } from './summary/render-details.ts';
import { type Reporter, createReporter } from './summary/reporter.ts';
import { resetCommand } from './summary/status.ts';

/** Cleans up after the main step. Only warns and never fails: the result of the job is decided by the main step. */
export async function post(): Promise<void> {
  const report = createReporter(env['GITHUB_STEP_SUMMARY']);
  logStrayRejection(report, (bug) => report.log.warning(formatError(bug).join('\n')));
  const text = core.getState(cleanupStateKey);
  if (text === '') {
    report.log.info('Nothing to clean up.');
    return;
  }
  const parsed = parseCleanupState(text);
  if (parsed.damaged) {
    await removePrivateKey(parsed.privateKeyPath, report.log.info);
    report.log.warning(damagedStateWarning(text, parsed.damaged));
    return;
  }
  const { state } = parsed;
  if (await removePrivateKey(state.privateKeyPath, report.log.warning)) warnAboutRemovedKey(state, report);
  if (needsCleanup(state)) await cleanUp(state, report);
  else logNothingToDo(state, report);
}

async function cleanUp(state: CleanupStateData, report: Reporter): Promise<void> {
  report.addFacts({ operation: 'clean-up', requested: requestedFrom(state), uses: actionReference() });
  let context: ErrorContext = {};
  try {
    maskSecrets(rawInput, report.mask);
    const inputs = inputsFrom(state);
    context = errorContextFrom(inputs);
    const options = sessionOptions(report, timeoutSignal(20 * 60), (known) => {
      context = { ...context, ...known };
    });
    const session = await report.stage('Sign in', () => openSession(inputs, options));
    await report.stage('Clean up', () => runPostJobCleanup(session, state, report));
  } catch (error) {
    const left = resourcesToDelete(state);
    const isDeploymentKept = state.operation === 'create' && state.cleanup !== 'always' && state.completed;
    report.addLeftovers(left.map((id) => ({ id, why: 'clean-up failed' })));
    report.log.warning(
      [
        'Cleanup after the job failed.',
        ...formatError(error, explainError(context)),
        ...(left.length > 0 ? ['Resources that may be left:', ...left] : []),
        ...(isDeploymentKept
          ? []
          : ['This step deletes what is left:', deleteStepYaml(requestedFrom(state), actionReference())]),
      ].join('\n'),
    );
  }
  if (wantsSummary()) report.writeSummary();
  abortSignInRequests();
}

/** Everything but the secret comes from the state, because the runner may give other inputs to the post step. */
function inputsFrom(state: CleanupStateData): DeleteInputs {
  const { signIn, subscriptionId, resourceGroup, deployment } = state;
  const { clientId, tenantId, environment, changeReference } = signIn;
  return {
    operation: 'delete',
    clientId,
    tenantId,
    environment,
    changeReference,
    credential: credentialFor(signIn),
    subscriptionId,
    resourceGroup,
    vmName: deployment,
    timeoutMinutes: 20,
    summary: wantsSummary(),
  };
}

function credentialFor({ credential, audience }: CleanupStateData['signIn']): ClientCredential {
  if (credential === 'oidc') return { kind: 'oidc', audience };
  const input = credential === 'secret' ? 'client-secret' : 'client-certificate';
  const value = rawInput(input);
  if (value.trim() === '') {
    throw new ActionError('signing in', {
      message: `The main step signed in with \`${input}\`, which the runner did not pass to the post step.`,
      reason:
        'In nested composite actions, a post step can get the inputs of another step: https://github.com/actions/runner/issues/3514',
      fix: ['Sign in with the OIDC token of the job, or run the step below in a job with `if: always()`.'],
    });
  }
  return credential === 'secret' ? { kind: 'secret', secret: value.trim() } : { kind: 'certificate', pem: value };
}

function requestedFrom({ signIn, deployment, ...target }: CleanupStateData) {
  return { ...signIn, ...target, vmName: deployment, credential: { ...signIn, kind: signIn.credential } };
}

function logNothingToDo({ operation, cleanup, completed, created }: CleanupStateData, report: Reporter): void {
  const isKept = operation === 'create' && cleanup === 'never' && !completed && created.length > 0;
  report.log.info(
    isKept
      ? `Keeping ${countOf(created.length, 'resource')} (\`cleanup: never\`):\n${created.join('\n')}`
      : operation === 'delete'
        ? 'Nothing to do after a deletion that has ended.'
        : 'Nothing to clean up.',
  );
}

function damagedStateWarning(text: string, damaged: readonly string[]): string {
  const ids = [...new Set(text.match(/\/subscriptions\/[^"\\\s]+/g) ?? [])];
  return [
    `Cleanup after the job was skipped: the state that the main step saved is damaged (${damaged.join(', ')}).`,
    'Something in the job has changed it. Nothing was deleted.',
    ...(ids.length > 0 ? ['Resource IDs in the state, which may be left:', ...ids] : []),
    'Run `operation: delete` with the `vm-name` of this step to delete its resources.',
  ].join('\n');
}

/** Removes the folder of the generated key. Any step could have changed the path, so it must be one that `create` makes. */
async function removePrivateKey(path: string | undefined, warn: (line: string) => void): Promise<boolean> {
  if (path === undefined) return false;
  const folder = dirname(path);
  const isOurs =
    resolve(folder) === folder &&
    dirname(folder) === resolve(env['RUNNER_TEMP'] || tmpdir()) &&
    /^cross-tenant-vm-[A-Za-z0-9]{6}$/.test(basename(folder));
  try {
    if (!isOurs) throw new Error(`${JSON.stringify(path)} is not a path that this action creates.`);
    // rm follows no symbolic link below the folder; the folder itself must not be one.
    if ((await lstat(folder)).isDirectory()) await rm(folder, { recursive: true });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    // The VM that the key opens must be deleted all the same.
    warn(`The generated private key could not be removed: ${formatError(error).join(' ')}`);
    return false;
  }
}

function warnAboutRemovedKey(state: CleanupStateData, report: Reporter): void {
  const { completed, cleanup, deployment: vmName, resourceGroup, subscriptionId = '' } = state;
  if (!completed || cleanup === 'always') return;
  const user = rawInput('admin-username').trim() || 'azureuser';
  const command = resetCommand({ subscriptionId, resourceGroup, vmName, osType: 'Linux', user });
  report.log.warning(
    `The generated SSH key was deleted with the job; the VM ${vmName} stays. To set a key of your own:\n${command}`,
  );
}
