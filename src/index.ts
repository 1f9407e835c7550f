import { readFileSync, realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import * as core from '@actions/core';
import { certificateExpiry, expiryNotice } from './certificate.ts';
import { checkDeployment } from './check.ts';
import { setTimeScale, startTimer, timeoutSignal } from './clock.ts';
import { create } from './create.ts';
import { explain, type Situation } from './explain.ts';
import { accountsOf, describe, Failure } from './failure.ts';
import { type Inputs, readInputs } from './inputs.ts';
import type { LedgerEntries, Run } from './ledger.ts';
import { cleanUpAfterJob, deleteDeployment, goingAfterJob, isLeftOver } from './remove.ts';
import { openReport, type Report } from './report.ts';
import { runStateReader, sweep } from './sweep.ts';
import { openSession, type SessionOptions } from './session.ts';
import { cameFromSignIn } from './signin.ts';

const { env } = process;
/** State of the main step; where the bundle itself is the post step's entry, it knows itself by finding it. */
const phaseState = 'phase';
/** Set by post.ts. */
const postMark = Symbol.for('cross-tenant-vm.post');
const ledgerState = 'ledger';

async function main(): Promise<void> {
  core.saveState(phaseState, 'main');
  const report = openReport(env['GITHUB_STEP_SUMMARY']);
  const stop = new AbortController();
  stopOnSignals(stop);
  let situation: Situation = {};
  onStrayRejection(report, (bug) => {
    fail(bug, situation, report);
    stop.abort(bug);
  });
  let failure: { readonly error: unknown } | undefined;
  try {
    report.know({ operation: operationOf(rawInput('operation')) });
    const inputs = readInputs(rawInput, runner(report));
    situation = situationOf(inputs);
    report.know({ operation: inputs.operation, wanted: inputs, uses: usesOf() });
    tellExpiry(inputs, report);
    const timer = stopAtTimeLimit(stop, inputs.timeoutMinutes);
    const options = {
      ...sessionOptions(report, stop.signal),
      learn: (known: Partial<Situation>) => {
        situation = { ...situation, ...known };
        tellOf(known, report);
      },
    };
    await carryOut(inputs, report, options, () => situation);
    clearTimeout(timer);
  } catch (error) {
    failure = { error };
    fail(error, situation, report);
    // What was asked beside what failed must not keep the step waiting, an image above all.
    stop.abort(error);
  } finally {
    report.conclude();
    if (wantsSummary()) {
      report.summarize(failure ? accountsOf(failure.error, explainIn(situation)) : []);
    }
  }
}

async function carryOut(
  inputs: Inputs,
  report: Report,
  options: SessionOptions,
  situation: () => Situation,
): Promise<void> {
  switch (inputs.operation) {
    case 'create':
      return create(inputs, {
        ...options,
        report,
        run: run(),
        temporaryFolder: env['RUNNER_TEMP'] || tmpdir(),
        saveLedger: (entries) => core.saveState(ledgerState, entries),
        cleanupSignal: () => timeoutSignal(15 * 60),
      });
    case 'delete': {
      const session = await report.stage('Sign in', () => openSession(inputs, options));
      return report.stage('Delete', () => deleteDeployment(session, inputs, report));
    }
    case 'sweep': {
      const session = await report.stage('Sign in', () => openSession(inputs, options));
      const { githubToken } = inputs;
      return report.stage('Sweep', () =>
        sweep(inputs, {
          session,
          report,
          run: run(),
          ...(githubToken ? { runState: runStateReader(githubToken, run().repository, report) } : {}),
        }),
      );
    }
    case 'check':
      return checkDeployment(inputs, { ...options, report, run: run(), situation });
  }
}

/** Undoes what the main step left to undo. It warns and never fails a job: the job's verdict is the main step's. */
async function post(): Promise<void> {
  const report = openReport(env['GITHUB_STEP_SUMMARY']);
  onStrayRejection(report, (bug) => report.log.warning(describe(bug).join('\n')));
  const entries = JSON.parse(core.getState(ledgerState) || 'null') as LedgerEntries | null;
  let situation: Situation = {};
  try {
    await removePrivateKey(entries, report);
    if (!entries || !isLeftOver(entries)) {
      const stays = entries && !entries.completed ? entries.created : [];
      report.log.info(
        stays.length > 0
          ? `\`cleanup: never\`: left as they are:\n${stays.join('\n')}`
          : 'Nothing to clean up.',
      );
      return;
    }
    report.know({ operation: 'clean-up' });
    // Only what signing in needs is read again: a file or context of the other inputs may be gone by now.
    const inputs = readInputs((name) => (name === 'operation' ? 'delete' : rawInput(name)), runner(report));
    situation = situationOf(inputs);
    const options = {
      ...sessionOptions(report, timeoutSignal(20 * 60)),
      learn: (known: Partial<Situation>) => {
        situation = { ...situation, ...known };
      },
    };
    const session = await report.stage('Sign in', () =>
      openSession({ ...inputs, subscriptionId: entries.subscriptionId }, options),
    );
    report.know({ wanted: { ...inputs, vmName: entries.deployment }, uses: usesOf() });
    await report.stage('Clean up', () => cleanUpAfterJob(session, entries, run(), report));
  } catch (error) {
    const going = entries ? goingAfterJob(entries) : [];
    report.leave(going.map((id) => ({ id, why: 'clean-up failed' })));
    const left = going.length > 0 ? `\nLeft behind, as far as is known:\n${going.join('\n')}` : '';
    report.log.warning(
      `Clean-up after the job failed.\n${describe(error, explainIn(situation)).join('\n')}${left}`,
    );
  }
  if (wantsSummary()) report.summarize();
}

async function removePrivateKey(entries: LedgerEntries | null, report: Report): Promise<void> {
  const { privateKeyPath, completed, cleanup } = { ...entries };
  if (!privateKeyPath) return;
  try {
    await rm(dirname(privateKeyPath), { recursive: true, force: true });
  } catch (error) {
    // The machine that it opens must go all the same.
    report.log.warning(`The generated private key could not be removed: ${describe(error).join(' ')}`);
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
function onStrayRejection({ log }: Report, onBug: (bug: unknown) => void): void {
  process.on('unhandledRejection', (reason) => {
    if (cameFromSignIn(reason)) log.info(`A token could not be renewed yet. ${describe(reason).join(' ')}`);
    else onBug(reason);
  });
}

function tellExpiry({ proof }: Inputs, { log }: Report): void {
  if (proof.kind !== 'certificate') return;
  const { soon, text } = expiryNotice(certificateExpiry(proof.pem), new Date());
  if (soon) log.warning(text);
  else log.info(text);
}

function fail(error: unknown, situation: Situation, report: Report): void {
  const lines = describe(error, explainIn(situation)).join('\n');
  // One annotation tells of a run; whatever else comes of the same failure is for the log.
  if (process.exitCode === core.ExitCode.Failure) {
    report.log.info(lines);
    return;
  }
  const title =
    error instanceof Failure ? `cross-tenant-vm: ${error.doing} failed` : 'cross-tenant-vm failed';
  core.error(lines, { title });
  process.exitCode = core.ExitCode.Failure;
}

const explainIn = (situation: Situation) => (fault: Parameters<typeof explain>[0]) =>
  explain(fault, situation);

function situationOf(inputs: Inputs): Situation {
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
      new Failure('waiting for Azure', {
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
      new Failure('waiting for Azure', {
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

function sessionOptions(report: Report, signal: AbortSignal): SessionOptions {
  return {
    log: report.log,
    signal,
    env,
    event: eventPayload(),
    mask: report.mask,
    learn: (known) => tellOf(known, report),
  };
}

function rawInput(name: string): string {
  return core.getInput(name, { trimWhitespace: false });
}

function runner(report: Report): Parameters<typeof readInputs>[1] {
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
function tellOf({ portal, subscriptionId }: Partial<Situation>, report: Report): void {
  report.know({ ...(portal ? { portal } : {}), ...(subscriptionId ? { subscriptionId } : {}) });
}

/** What the summary calls a run whose inputs turn out to be wrong. */
function operationOf(given: string): Inputs['operation'] {
  const operations = ['create', 'check', 'delete', 'sweep'] as const;
  return operations.find((one) => one === given.trim().toLowerCase()) ?? 'create';
}

/** Asked of the raw input, for the summary also tells what is wrong with the inputs. */
function wantsSummary(): boolean {
  return rawInput('summary').trim().toLowerCase() !== 'false';
}

/** How `uses` named this action. Where it is a folder of the workspace, GitHub does not tell. */
function usesOf(): string {
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

function run(): Run {
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

const isPost = Reflect.get(globalThis, postMark) === true || core.getState(phaseState) !== '';
setTimeScale(env['CROSS_TENANT_VM_TIME_SCALE']);
// Not awaited: a top-level await in the entry costs start time in the bundle.
void (isPost ? post() : main());
