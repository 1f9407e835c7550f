import { readFileSync, realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import * as core from '@actions/core';
import { certificateExpiry, certificateExpiryNotice } from './certificate.ts';
import { checkDeployment } from './check.ts';
import { setTimeScale, startTimer, timeoutSignal } from './clock.ts';
import { create } from './create.ts';
import { explain, type ErrorContext } from './explain.ts';
import { toErrorReports, formatError, ActionError } from './failure.ts';
import { type Inputs, readInputs } from './inputs.ts';
import type { CleanupStateData, WorkflowRun } from './ledger.ts';
import { runPostJobCleanup, runDelete, resourcesToDelete, needsCleanup } from './remove.ts';
import { createReporter, type Reporter } from './report.ts';
import { createRunStatusReader, sweep } from './sweep.ts';
import { openSession, type SessionOptions } from './session.ts';
import { isSignInError } from './signin.ts';

const { env } = process;
/** State of the main step; where the bundle itself is the post step's entry, it knows itself by finding it. */
const phaseKey = 'phase';
/** Set by post.ts. */
const postMark = Symbol.for('cross-tenant-vm.post');
const cleanupStateKey = 'ledger';

async function main(): Promise<void> {
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

/** Undoes what the main step left to undo. It warns and never fails a job: the job's verdict is the main step's. */
async function post(): Promise<void> {
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
    report.addFacts({ wanted: { ...inputs, vmName: entries.deployment }, uses: actionReference() });
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

/**
 * The SDK refreshes tokens in the background and awaits that nowhere; Node would end the process over a refusal, and with
 * it clean-up. Whoever needs the token next asks again and fails with the reason. Anything else is a bug: it is told, and
 * the run stops in order.
 */
function logStrayRejection({ log }: Reporter, onBug: (bug: unknown) => void): void {
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

const explainError = (situation: ErrorContext) => (fault: Parameters<typeof explain>[0]) =>
  explain(fault, situation);

function errorContextFrom(inputs: Inputs): ErrorContext {
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

/**
 * A cancel comes as SIGINT, 7.5 s later as SIGTERM, 2.5 s later as the end
 * (https://docs.github.com/actions/reference/workflows-and-actions/workflow-cancellation). The first one stops all
 * waiting; what has to be deleted is told to Azure right away, and the post step sees to the rest. Windows runners send
 * Ctrl-C and Ctrl-Break.
 */
function stopOnSignals(stop: AbortController): void {
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) return;
    core.info(`Received ${signal}: stopping.`);
    stop.abort(
      new ActionError('waiting for Azure', {
        message: `The workflow run was cancelled (${signal}).`,
        explanation: {
          cause: 'Someone cancelled the run, a newer run replaced it, or the job reached its own time limit.',
          who: "nobody, or the workflow's author",
          fix: [
            'What was created by then is deleted unless `cleanup` is `never`; run the job again when wanted.',
          ],
        },
      }),
    );
  };
  for (const signal of [
    'SIGINT',
    'SIGTERM',
    ...(process.platform === 'win32' ? (['SIGBREAK'] as const) : []),
  ] as const) {
    process.on(signal, onSignal);
  }
}

function stopAtTimeLimit(stop: AbortController, minutes: number): NodeJS.Timeout {
  return startTimer(minutes * 60, () => {
    stop.abort(
      new ActionError('waiting for Azure', {
        message: `The time limit of ${minutes} minutes was reached.`,
        explanation: {
          cause:
            'Azure takes longer than `timeout-minutes` allows; the last line of the log above says for what.',
          who: "the workflow's author",
          fix: ['Raise `timeout-minutes`, or look in the portal at what hangs.'],
        },
      }),
    );
  }).unref();
}

function sessionOptions(report: Reporter, signal: AbortSignal): SessionOptions {
  return {
    log: report.log,
    signal,
    env,
    event: eventPayload(),
    mask: report.mask,
    onContext: (known) => reportContext(known, report),
  };
}

function rawInput(name: string): string {
  return core.getInput(name, { trimWhitespace: false });
}

function createRunnerValues(report: Reporter): Parameters<typeof readInputs>[1] {
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
function wantsSummary(): boolean {
  return rawInput('summary').trim().toLowerCase() !== 'false';
}

/** How `uses` named this action. Where it is a folder of the workspace, GitHub does not tell. */
function actionReference(): string {
  const { GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env;
  return repository && ref ? `${repository}@${ref}` : 'OWNER/cross-tenant-vm@v1';
}

function eventPayload(): unknown {
  try {
    return JSON.parse(readFileSync(env['GITHUB_EVENT_PATH'] ?? '', 'utf8'));
  } catch {
    return undefined;
  }
}

function workflowRun(): WorkflowRun {
  const of = (name: string): string => env[`GITHUB_${name}`] ?? '';
  return {
    serverUrl: of('SERVER_URL'),
    repository: of('REPOSITORY'),
    runId: of('RUN_ID'),
    runAttempt: of('RUN_ATTEMPT'),
    job: of('JOB'),
    workflow: of('WORKFLOW'),
    sha: of('SHA'),
    actor: of('ACTOR'),
  };
}

const isPost = Reflect.get(globalThis, postMark) === true || core.getState(phaseKey) !== '';
setTimeScale(env['CROSS_TENANT_VM_TIME_SCALE']);
// Not awaited: a top-level await in the entry costs start time in the bundle.
void (isPost ? post() : main());
