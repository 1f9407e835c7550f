/**
 * What happens inside the machine: the VM agent reports ready, a script runs through managed Run Command
 * (https://learn.microsoft.com/azure/virtual-machines/linux/run-command-managed).
 *
 * On Linux the agent saves the script as a file and executes it through bash: a `#!` line is heeded, without one bash
 * runs it; parameters and secrets are environment variables. On Windows PowerShell runs it, and both are its named
 * parameters (`param(...)`).
 */

import type { VirtualMachineRunCommand, VirtualMachineRunCommandInstanceView } from '@azure/arm-compute';
import { isNotFound } from '../azure/lookup.ts';
import { pollUntil, pollUntilDone } from '../azure/polling.ts';
import { resourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import type { Plan } from '../deployment/plan.ts';
import { ActionError } from '../errors/action-error.ts';
import { AzureError, isClientError } from '../errors/azure-error.ts';
import type { GuestScript } from '../inputs/inputs.ts';
import { clockSeconds } from '../lib/clock.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import { createOutputStream, createRedactor, lastLines } from './script-output.ts';

export interface GuestContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly log: { info(line: string): void; warning(line: string): void };
}

export type RunCommandScope = Pick<Plan, 'resourceGroup' | 'vm'>;

// The script

/** What became of a script. */
interface ScriptResult {
  /** Absent where Azure tells none: the script did not get as far, or was ended. */
  readonly exitCode?: number;
  /** The last 4,096 bytes of each stream; that is all that Azure keeps. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a script stands. */
type ScriptStatus =
  | { readonly done: false; readonly state: string }
  | {
      readonly done: true;
      readonly outcome: 'succeeded' | 'failed' | 'timed out' | 'cancelled';
      readonly exitCode?: number;
      readonly message: string;
    };

type ScriptEnd = Extract<ScriptStatus, { done: true }>;

/**
 * The verdict of a run command's instance view: execution state and exit code. The provisioning state would only tell
 * whether the agent took the command.
 */
export function parseScriptStatus(view: VirtualMachineRunCommandInstanceView | undefined): ScriptStatus {
  const state = view?.executionState ?? 'Unknown';
  const message = view?.executionMessage?.trim() ?? '';
  const told = message === '' ? '' : ` The agent says: ${message}`;
  switch (state) {
    case 'Succeeded':
    case 'Failed': {
      const exitCode = view?.exitCode ?? (state === 'Succeeded' ? 0 : undefined);
      if (state === 'Succeeded' && exitCode === 0)
        return { done: true, outcome: 'succeeded', exitCode, message: 'The script ended with exit code 0.' };
      // An agent that could not even start the script reports Failed with the default of 0.
      if (exitCode === undefined || exitCode === 0)
        return { done: true, outcome: 'failed', message: `The script failed without an exit code.${told}` };
      return {
        done: true,
        outcome: 'failed',
        exitCode,
        message: `The script ended with exit code ${exitCode}.${told}`,
      };
    }
    case 'TimedOut':
      return { done: true, outcome: 'timed out', message: `The script was ended at its time limit.${told}` };
    case 'Canceled':
      return { done: true, outcome: 'cancelled', message: `The script was cancelled from outside.${told}` };
    default:
      return { done: false, state };
  }
}

/** Azure ends the script at its limit; if even that is not heard of, the wait ends some minutes later. */
const graceMinutes = 10;

/**
 * Runs the script, shows what it prints as it goes, and removes the command again: it holds the script's text, readable
 * to whoever may read the machine. The text itself is never logged.
 * @throws Failure when the script fails in any way; the command is then left to the ledger.
 */
export async function runScript(
  context: GuestContext,
  plan: Plan,
  script: GuestScript,
  onResult: (result: ScriptResult) => void,
): Promise<void> {
  const { session, cleanupState, log } = context;
  const { waiting } = session;
  const commands = session.compute.virtualMachineRunCommands;
  const vm = plan.vm.name;
  const name = commandName(context.run);
  const id = resourceId(
    plan.subscriptionId,
    plan.resourceGroup,
    'Microsoft.Compute/virtualMachines/runCommands',
    vm,
    name,
  );
  const options = { abortSignal: waiting.signal };
  const doing = `running the script on ${vm}`;
  const blot = createRedactor(Object.values(script.secrets));

  log.info(`Running the script on ${vm}, for at most ${script.timeoutMinutes} minutes.`);
  cleanupState.addPending(id);
  const start = clockSeconds();
  const poller = commands.createOrUpdate(plan.resourceGroup, vm, name, commandBody(plan, script), options);
  const streams = [createOutputStream('stdout', log, blot), createOutputStream('stderr', log, blot)] as const;
  let state = '';
  const look = async (): Promise<ScriptEnd | undefined> => {
    const { instanceView } = await commands.getByVirtualMachine(plan.resourceGroup, vm, name, {
      expand: 'instanceView',
      ...options,
    });
    streams[0].update(instanceView?.output ?? '');
    streams[1].update(instanceView?.error ?? '');
    const verdict = parseScriptStatus(instanceView);
    if (verdict.done) return verdict;
    if (verdict.state !== state) log.info(`Script: ${verdict.state}.`);
    state = verdict.state;
    // The operation ends when the script has started. It tells if the agent never takes the command.
    if (!poller.isDone) await poller.poll(options);
    if ((clockSeconds() - start) / 60 <= script.timeoutMinutes + graceMinutes) return undefined;
    return {
      done: true,
      outcome: 'timed out',
      message: 'The script is past its time limit, and its end was not heard of.',
    };
  };
  let ending: ScriptEnd;
  try {
    await submitRunCommand(poller, cleanupState, id);
    ending = await pollUntil('the script', 'guest', waiting, look);
  } catch (error) {
    if (waiting.signal.aborted) throw waiting.signal.reason;
    throw error instanceof AzureError ? new ActionError(doing, { cause: error }) : error;
  } finally {
    for (const stream of streams) stream.flush();
  }
  const [stdout, stderr] = [streams[0].text(), streams[1].text()];
  const { exitCode } = ending;
  onResult({ ...(exitCode === undefined ? {} : { exitCode }), stdout, stderr });
  log.info(ending.message);
  if (ending.outcome !== 'succeeded') throw scriptFailedError(doing, ending, stderr, script.timeoutMinutes);
  await deleteRunCommand(context, plan, name, id);
}

/** The script has had its say: a run command that cannot be removed now fails nothing, and stays for the post step. */
async function deleteRunCommand(
  { session, cleanupState, log }: GuestContext,
  { resourceGroup, vm }: Plan,
  name: string,
  id: string,
): Promise<void> {
  const { waiting, compute } = session;
  try {
    const removing = compute.virtualMachineRunCommands.delete(resourceGroup, vm.name, name, {
      abortSignal: waiting.signal,
    });
    await pollUntilDone('the removal of the run command', 'delete', waiting, removing);
  } catch (error) {
    if (waiting.signal.aborted || !(error instanceof AzureError)) throw error;
    if (!isNotFound(error)) {
      log.warning(
        `The script's run command could not be removed yet (${error.message}); the end of the job tries again: ${id}`,
      );
      return;
    }
  }
  cleanupState.markDeleted(id);
}

async function submitRunCommand(
  poller: { submitted(): Promise<void> },
  cleanupState: CleanupState,
  id: string,
): Promise<void> {
  try {
    await poller.submitted();
    cleanupState.markAccepted(id);
  } catch (error) {
    if (isClientError(error)) cleanupState.discard(id);
    throw error;
  }
}

/** A name of its own for each run: an earlier run's command may still be there or going. */
function commandName({ runId, runAttempt }: WorkflowRun): string {
  return ['cross-tenant-vm', runId, runAttempt].filter(Boolean).join('-');
}

function commandBody(plan: Plan, script: GuestScript): VirtualMachineRunCommand {
  const pairs = (map: Readonly<Record<string, string>>) =>
    Object.entries(map).map(([name, value]) => ({ name, value }));
  return {
    location: plan.location,
    tags: { ...plan.tags },
    source: { script: normalizeScript(script.text, plan.vm.osType) },
    parameters: pairs(script.parameters),
    protectedParameters: pairs(script.secrets),
    asyncExecution: true,
    // An integer in the API. Decimal fractions are not exact: 4.15 minutes come out a trace above 249 seconds.
    timeoutInSeconds: Math.max(1, Math.ceil(script.timeoutMinutes * 60 - 1e-6)),
    treatFailureAsDeploymentFailure: false,
  };
}

/** On Linux a carriage return would be part of the command, and of the interpreter's name in a `#!` line. */
export function normalizeScript(text: string, osType: 'Linux' | 'Windows'): string {
  const plain = text.replace(/^\uFEFF/, '');
  return osType === 'Linux' ? plain.replaceAll(/\r\n?/g, '\n') : plain;
}

function scriptFailedError(
  doing: string,
  { outcome, message }: ScriptEnd,
  stderr: string,
  timeoutMinutes: number,
): ActionError {
  const timedOut = outcome === 'timed out';
  return new ActionError(doing, {
    message:
      stderr.trim() === '' ? message : `${message} The last it wrote to stderr:\n${lastLines(stderr, 10)}`,
    explanation: {
      cause: timedOut
        ? `It ran longer than \`run-script-timeout-minutes\` (${timeoutMinutes}) allows.`
        : "The verdict is the script's own; what it printed is above and in the outputs `script-stdout` and `script-stderr`.",
      who: "the script's author",
      fix: timedOut
        ? ['Raise `run-script-timeout-minutes` (at most 90), or find out from the output where it hangs.']
        : [
            'Mend the script or what it found wrong. To look inside the machine, keep it with `cleanup: never`.',
          ],
    },
  });
}
