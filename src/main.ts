import * as core from '@actions/core';
import { tmpdir } from 'node:os';
import { type SessionOptions, openSession } from './auth/session.ts';
import { abortSignInRequests } from './azure/http.ts';
import { createCleanupState } from './deployment/cleanup-state.ts';
import type { ErrorContext } from './errors/errors.ts';
import { errorTitle, formatError, toErrorReports } from './errors/format-error.ts';
import type { DeleteInputs, Inputs } from './inputs/inputs.ts';
import { readInputs } from './inputs/read-inputs.ts';
import { omitUndefined } from './lib/json.ts';
import { certificateExpiry, certificateExpiryNotice } from './lib/pem.ts';
import { checkDeployment } from './operations/check.ts';
import { create } from './operations/create.ts';
import { runDelete } from './operations/delete.ts';
import { listDeployments } from './operations/list.ts';
import { sweep } from './operations/sweep.ts';
import { actionReference, assertRunnerFiles, workflowRun, env } from './runner/environment.ts';
import { annotate } from './runner/log.ts';
import { cleanupSignal, stopAtTimeLimit, stopOnSignals } from './runner/signals.ts';
import {
  createRunnerValues,
  errorContextFrom,
  explainError,
  logStrayRejection,
  rawInput,
  sessionOptions,
  wantsSummary,
} from './step.ts';
import { type Reporter, createReporter } from './summary/reporter.ts';

export async function main(): Promise<void> {
  const report = createReporter(env['GITHUB_STEP_SUMMARY']);
  const stop = new AbortController();
  stopOnSignals(stop, report.activity);
  let situation: ErrorContext = {};
  logStrayRejection(report, (bug) => {
    reportFailure(bug, situation, report);
    stop.abort(bug);
  });
  let failure: { readonly error: unknown } | undefined;
  try {
    report.addFacts({ operation: parseOperation(rawInput('operation')) });
    const inputs = readInputs(rawInput, createRunnerValues(report));
    situation = errorContextFrom(inputs);
    assertRunnerFiles(inputs.operation === 'create' || inputs.operation === 'delete');
    report.addFacts({ operation: inputs.operation, requested: inputs, uses: actionReference() });
    report.logRequest(inputs);
    warnBeforeCertificateExpiry(inputs, report);
    const timer = stopAtTimeLimit(stop, inputs.timeoutMinutes, report.activity);
    const options = sessionOptions(report, stop.signal, (known) => {
      situation = { ...situation, ...known };
      const { portal, subscriptionId } = known;
      report.addFacts(omitUndefined({ portal, subscriptionId }));
    });
    report.output('outcome', await runOperation(inputs, report, options, () => situation));
    clearTimeout(timer);
    report.logResult();
  } catch (thrown) {
    // An abort of the SDK or of a sign-in does not say who cancelled.
    const isAbort = stop.signal.aborted && thrown instanceof Error && thrown.name === 'AbortError';
    const error: unknown = isAbort ? stop.signal.reason : thrown;
    failure = { error };
    reportFailure(error, situation, report);
    // What was asked beside what failed must not keep the step waiting, an image above all.
    stop.abort(error);
  } finally {
    const errors = failure ? toErrorReports(failure.error, explainError(situation)) : [];
    report.writeResult(errors);
    if (wantsSummary()) report.writeSummary(errors);
    abortSignInRequests();
  }
}

async function runOperation(
  inputs: Inputs,
  report: Reporter,
  options: SessionOptions,
  situation: () => ErrorContext,
): Promise<string> {
  switch (inputs.operation) {
    case 'create':
      return create(inputs, {
        ...options,
        report,
        run: workflowRun(),
        temporaryFolder: env['RUNNER_TEMP'] || tmpdir(),
        saveCleanupState: report.saveState,
        cleanupSignal,
      });
    case 'delete':
      await deleteOrContinueInPost(inputs, report, options);
      return 'deleted';
    case 'sweep': {
      const session = await report.stage('Sign in', () => openSession(inputs, options));
      await report.stage('Sweep', () => sweep(inputs, { session, report, run: workflowRun() }));
      return 'swept';
    }
    case 'list': {
      const session = await report.stage('Sign in', () => openSession(inputs, options));
      await report.stage('List', () => listDeployments(session, inputs, report));
      return 'listed';
    }
    default:
      await checkDeployment(inputs, { ...options, report, run: workflowRun(), errorContext: situation });
      return 'checked';
  }
}

function warnBeforeCertificateExpiry({ credential }: Inputs, { log }: Reporter): void {
  if (credential.kind !== 'certificate') return;
  const { soon, text } = certificateExpiryNotice(certificateExpiry(credential.pem), new Date());
  if (soon) log.warning(text);
  else log.info(text);
}

function reportFailure(error: unknown, situation: ErrorContext, report: Reporter): void {
  const explain = explainError(situation);
  const lines = formatError(error, explain).join('\n');
  // One annotation per run; further errors of the same failure go to the log.
  if (process.exitCode === core.ExitCode.Failure) {
    report.log.info(lines);
    return;
  }
  annotate(lines, (text) => core.error(text, { title: errorTitle(error, explain) }));
  process.exitCode = core.ExitCode.Failure;
}

/** Saves what the post step needs to finish a deletion that was cancelled or killed; any other end is final. */
async function deleteOrContinueInPost(inputs: DeleteInputs, report: Reporter, options: SessionOptions): Promise<void> {
  const run = workflowRun();
  const state = createCleanupState({ ...inputs, cleanup: 'on-failure' }, run, report.saveState);
  try {
    const session = await report.stage('Sign in', () => openSession(inputs, options));
    await report.stage('Delete', () => runDelete(session, inputs, run, report));
  } finally {
    if (!options.signal.aborted) state.markCompleted();
  }
}

/** What the summary calls a run whose inputs turn out to be wrong. */
function parseOperation(given: string): Inputs['operation'] {
  const operations = ['create', 'check', 'delete', 'sweep', 'list'] as const;
  return operations.find((one) => one === given.trim().toLowerCase()) ?? 'create';
}
