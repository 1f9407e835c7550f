import * as core from '@actions/core';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openSession } from './auth/session.ts';
import type { CleanupStateData } from './deployment/cleanup-state.ts';
import type { ErrorContext } from './errors/action-error.ts';
import { formatError } from './errors/format-error.ts';
import { readInputs } from './inputs/read-inputs.ts';
import { timeoutSignal } from './lib/clock.ts';
import {
  createRunnerValues,
  errorContextFrom,
  explainError,
  logStrayRejection,
  rawInput,
  sessionOptions,
  wantsSummary,
} from './step.ts';
import { needsCleanup, resourcesToDelete, runPostJobCleanup } from './operations/post-job-cleanup.ts';
import { actionReference, workflowRun } from './runner/github-context.ts';
import { cleanupStateKey, env } from './runner/outputs.ts';
import { type Reporter, createReporter } from './summary/reporter.ts';

/** Undoes what the main step left to undo. It warns and never fails a job: the job's verdict is the main step's. */
export async function post(): Promise<void> {
  const report = createReporter(env['GITHUB_STEP_SUMMARY']);
  logStrayRejection(report, (bug) => report.log.warning(formatError(bug).join('\n')));
  const entries = JSON.parse(core.getState(cleanupStateKey) || 'null') as CleanupStateData | null;
  let situation: ErrorContext = {};
  try {
    await removePrivateKey(entries, report);
    if (!entries || !needsCleanup(entries)) {
      const stays = entries && !entries.completed ? entries.created : [];
      report.log.info(
        stays.length > 0
          ? `\`cleanup: never\`: left as they are:\n${stays.join('\n')}`
          : 'Nothing to clean up.',
      );
      return;
    }
    report.addFacts({ operation: 'clean-up' });
    // Only what signing in needs is read again: a file or context of the other inputs may be gone by now.
    const inputs = readInputs(
      (name) => (name === 'operation' ? 'delete' : rawInput(name)),
      createRunnerValues(report),
    );
    situation = errorContextFrom(inputs);
    const options = {
      ...sessionOptions(report, timeoutSignal(20 * 60)),
      onContext: (known: Partial<ErrorContext>) => {
        situation = { ...situation, ...known };
      },
    };
    const session = await report.stage('Sign in', () =>
      openSession({ ...inputs, subscriptionId: entries.subscriptionId }, options),
    );
    report.addFacts({ requested: { ...inputs, vmName: entries.deployment }, uses: actionReference() });
    await report.stage('Clean up', () => runPostJobCleanup(session, entries, workflowRun(), report));
  } catch (error) {
    const going = entries ? resourcesToDelete(entries) : [];
    report.addLeftovers(going.map((id) => ({ id, why: 'clean-up failed' })));
    const left = going.length > 0 ? `\nLeft behind, as far as is known:\n${going.join('\n')}` : '';
    report.log.warning(
      `Clean-up after the job failed.\n${formatError(error, explainError(situation)).join('\n')}${left}`,
    );
  }
  if (wantsSummary()) report.writeSummary();
}

async function removePrivateKey(entries: CleanupStateData | null, report: Reporter): Promise<void> {
  const { privateKeyPath, completed, cleanup } = { ...entries };
  if (!privateKeyPath) return;
  try {
    await rm(dirname(privateKeyPath), { recursive: true, force: true });
  } catch (error) {
    // The machine that it opens must go all the same.
    report.log.warning(`The generated private key could not be removed: ${formatError(error).join(' ')}`);
    return;
  }
  if (completed && cleanup !== 'always') {
    report.log.warning(
      'The generated private key was removed with the job, but the machine stays: nobody can sign in with that key any more. Give `ssh-public-key` to keep access.',
    );
  }
}
