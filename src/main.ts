import * as core from '@actions/core';
import { readFileSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isSignInError } from './auth/credential.ts';
import { type SessionOptions, openSession } from './auth/session.ts';
import { explain } from './error-catalog/explain.ts';
import { ActionError } from './errors/action-error.ts';
import type { ErrorContext } from './errors/error-context.ts';
import { formatError, toErrorReports } from './errors/format-error.ts';
import type { Inputs } from './inputs/inputs.ts';
import { readInputs } from './inputs/read-inputs.ts';
import { timeoutSignal } from './lib/clock.ts';
import { certificateExpiry, certificateExpiryNotice } from './lib/pem.ts';
import { checkDeployment } from './operations/check.ts';
import { create } from './operations/create.ts';
import { runDelete } from './operations/delete.ts';
import { createRunStatusReader, sweep } from './operations/sweep.ts';
import { actionReference, eventPayload, workflowRun } from './runner/github-context.ts';
import { cleanupStateKey, env, phaseKey } from './runner/outputs.ts';
import { stopAtTimeLimit, stopOnSignals } from './runner/signals.ts';
import { type Reporter, createReporter } from './summary/reporter.ts';

export async function main(): Promise<void> {
  core.saveState(phaseKey, 'main');
  const report = createReporter(env['GITHUB_STEP_SUMMARY']);
  const stop = new AbortController();
  stopOnSignals(stop);
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
    report.addFacts({ operation: inputs.operation, wanted: inputs, uses: actionReference() });
    warnBeforeCertificateExpiry(inputs, report);
    const timer = stopAtTimeLimit(stop, inputs.timeoutMinutes);
    const options = {
      ...sessionOptions(report, stop.signal),
      onContext: (known: Partial<ErrorContext>) => {
        situation = { ...situation, ...known };
        reportContext(known, report);
      },
    };
    await runOperation(inputs, report, options, () => situation);
    clearTimeout(timer);
  } catch (error) {
    failure = { error };
    reportFailure(error, situation, report);
    // What was asked beside what failed must not keep the step waiting, an image above all.
    stop.abort(error);
  } finally {
    report.writeResult();
    if (wantsSummary()) {
      report.writeSummary(failure ? toErrorReports(failure.error, explainError(situation)) : []);
    }
  }
}

async function runOperation(
  inputs: Inputs,
  report: Reporter,
  options: SessionOptions,
  situation: () => ErrorContext,
): Promise<void> {
  switch (inputs.operation) {
    case 'create':
      return create(inputs, {
        ...options,
        report,
        run: workflowRun(),
        temporaryFolder: env['RUNNER_TEMP'] || tmpdir(),
        saveCleanupState: (entries) => core.saveState(cleanupStateKey, entries),
        cleanupSignal: () => timeoutSignal(15 * 60),
      });
    case 'delete': {
      const session = await report.stage('Sign in', () => openSession(inputs, options));
      return report.stage('Delete', () => runDelete(session, inputs, report));
    }
    case 'sweep': {
      const session = await report.stage('Sign in', () => openSession(inputs, options));
      const { githubToken } = inputs;
      return report.stage('Sweep', () =>
        sweep(inputs, {
          session,
          report,
          run: workflowRun(),
          ...(githubToken
            ? { runState: createRunStatusReader(githubToken, workflowRun().repository, report) }
            : {}),
        }),
      );
    }
    case 'check':
      return checkDeployment(inputs, { ...options, report, run: workflowRun(), situation });
  }
}

/**
 * The SDK refreshes tokens in the background and awaits that nowhere; Node would end the process over a refusal, and with
 * it clean-up. Whoever needs the token next asks again and fails with the reason. Anything else is a bug: it is told, and
 * the run stops in order.
 */
export function logStrayRejection({ log }: Reporter, onBug: (bug: unknown) => void): void {
  process.on('unhandledRejection', (reason) => {
    if (isSignInError(reason)) log.info(`A token could not be renewed yet. ${formatError(reason).join(' ')}`);
    else onBug(reason);
  });
}

function warnBeforeCertificateExpiry({ credential }: Inputs, { log }: Reporter): void {
  if (credential.kind !== 'certificate') return;
  const { soon, text } = certificateExpiryNotice(certificateExpiry(credential.pem), new Date());
  if (soon) log.warning(text);
  else log.info(text);
}

function reportFailure(error: unknown, situation: ErrorContext, report: Reporter): void {
  const lines = formatError(error, explainError(situation)).join('\n');
  // One annotation tells of a run; whatever else comes of the same failure is for the log.
  if (process.exitCode === core.ExitCode.Failure) {
    report.log.info(lines);
    return;
  }
  const title =
    error instanceof ActionError ? `cross-tenant-vm: ${error.activity} failed` : 'cross-tenant-vm failed';
  core.error(lines, { title });
  process.exitCode = core.ExitCode.Failure;
}

export const explainError = (situation: ErrorContext) => (fault: Parameters<typeof explain>[0]) =>
  explain(fault, situation);

export function errorContextFrom(inputs: Inputs): ErrorContext {
  const { clientId, tenantId, subscriptionId, resourceGroup } = inputs;
  return {
    clientId,
    tenantId,
    resourceGroup,
    ...(subscriptionId ? { subscriptionId } : {}),
    ...(inputs.operation === 'create' || inputs.operation === 'check'
      ? {
          imageTenantId: inputs.imageTenantId,
          auxiliaryTenantIds: inputs.auxiliaryTenantIds,
          imageId: inputs.image.id,
          vmName: inputs.vmName,
          ...(inputs.location ? { location: inputs.location } : {}),
        }
      : {}),
  };
}

export function sessionOptions(report: Reporter, signal: AbortSignal): SessionOptions {
  return {
    log: report.log,
    signal,
    env,
    event: eventPayload(),
    mask: report.mask,
    onContext: (known) => reportContext(known, report),
  };
}

export function rawInput(name: string): string {
  return core.getInput(name, { trimWhitespace: false });
}

export function createRunnerValues(report: Reporter): Parameters<typeof readInputs>[1] {
  const orNothing = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch {
      return undefined;
    }
  };
  return {
    env,
    readFile: (path) => orNothing(() => readFileSync(path)),
    realPath: (path) => orNothing(() => realpathSync(path)),
    mask: report.mask,
  };
}

/** What is learned for explaining a failure, the summary tells too. */
function reportContext({ portal, subscriptionId }: Partial<ErrorContext>, report: Reporter): void {
  report.addFacts({ ...(portal ? { portal } : {}), ...(subscriptionId ? { subscriptionId } : {}) });
}

/** What the summary calls a run whose inputs turn out to be wrong. */
function parseOperation(given: string): Inputs['operation'] {
  const operations = ['create', 'check', 'delete', 'sweep'] as const;
  return operations.find((one) => one === given.trim().toLowerCase()) ?? 'create';
}

/** Asked of the raw input, for the summary also tells what is wrong with the inputs. */
export function wantsSummary(): boolean {
  return rawInput('summary').trim().toLowerCase() !== 'false';
}
