/** Managed Run Command: https://learn.microsoft.com/azure/virtual-machines/linux/run-command-managed */

import type { VirtualMachineRunCommand, VirtualMachineRunCommandInstanceView } from '@azure/arm-compute';
import { isNotFound } from '../azure/lookup.ts';
import { pollUntil, pollUntilDone } from '../azure/polling.ts';
import type { RunContext } from '../deployment/cleanup-state.ts';
import type { Plan } from '../deployment/resources.ts';
import { ActionError, AzureError, isClientError, withActivity } from '../errors/errors.ts';
import type { GuestScript } from '../inputs/inputs.ts';
import { clockSeconds } from '../lib/clock.ts';
import type { OutputValues } from '../runner/environment.ts';
import { createOutputStream, createRedactor, lastLines } from './script-output.ts';

interface ScriptEnd {
  readonly outcome: 'succeeded' | 'failed' | 'not started' | 'timed out' | 'not reported' | 'cancelled';
  /** Undefined if the script did not start or was ended. */
  readonly exitCode?: number;
  readonly message: string;
}

/** Undefined: it runs. The provisioning state only says whether the agent accepted the command. */
export function parseScriptEnd(view: VirtualMachineRunCommandInstanceView = {}): ScriptEnd | undefined {
  const { executionState = '', exitCode: reported = 0 }: { executionState?: string; exitCode?: unknown } = view;
  const state = executionState.toLowerCase();
  // Also from text: "0" is no failure.
  const exitCode = Number(reported);
  const agentMessage = view.executionMessage?.trim();
  const suffix = agentMessage ? ` The agent says: ${agentMessage}` : '';
  if (state === 'timedout')
    return { outcome: 'timed out', message: `The script was ended at its time limit.${suffix}` };
  if (state === 'canceled') return { outcome: 'cancelled', message: `The script was cancelled from outside.${suffix}` };
  if (state === 'succeeded' && exitCode === 0) {
    return { outcome: 'succeeded', exitCode: 0, message: 'The script ended with exit code 0.' };
  }
  if (state !== 'succeeded' && state !== 'failed') return undefined;
  // An agent that could not start the script reports Failed with the default of 0.
  return exitCode
    ? { outcome: 'failed', exitCode, message: `The script ended with exit code ${exitCode}.${suffix}` }
    : { outcome: 'not started', message: `The script failed without an exit code.${suffix}` };
}

/** Azure ends the script at its limit; if the end is never reported, the wait ends this much later. */
const graceMinutes = 10;

interface RunCommand {
  readonly id: string;
  /** The SDK's arguments. */
  readonly path: readonly [resourceGroup: string, vm: string, name: string];
}

/**
 * Deletes the run command, because it holds the script's text, readable with the VM; the text is never logged.
 * @throws ActionError if the script fails in any way; the run command is then left to the cleanup.
 */
export async function runScript(
  context: RunContext,
  plan: Plan,
  script: GuestScript,
  onOutputs: (outputs: OutputValues) => void,
): Promise<void> {
  const { cleanupState, log, run } = context;
  const { name: vm } = plan.vm;
  // Unique per attempt: an earlier attempt's run command may still exist or be in deletion.
  const name = ['cross-tenant-vm', run.runId, run.runAttempt].filter(Boolean).join('-');
  const id = `${plan.vm.id}/runCommands/${name}`;
  const command: RunCommand = { id, path: [plan.resourceGroup, vm, name] };
  log.info(`Running the script on ${vm}, for at most ${script.timeoutMinutes} min.`);
  cleanupState.addPending(id);
  const activity = `running the script on ${vm}`;
  const { end, stdout, stderr } = await withActivity(activity, () =>
    executeRunCommand(context, command, script, commandBody(plan, script)),
  );
  onOutputs({ 'script-exit-code': end.exitCode, 'script-stdout': stdout, 'script-stderr': stderr });
  log.info(end.message);
  if (end.outcome !== 'succeeded') {
    const lines = stderr.trim() === '' ? '' : ` Its last lines on stderr:\n${lastLines(stderr, 10)}`;
    const message = `${end.message}${lines}`;
    throw new ActionError(activity, { message, ...explainFailure(script.timeoutMinutes)[end.outcome] });
  }
  await deleteRunCommand(context, command);
}

async function executeRunCommand(
  { session, cleanupState, log }: RunContext,
  { id, path }: RunCommand,
  script: GuestScript,
  body: VirtualMachineRunCommand,
) {
  const { waiting, compute } = session;
  const commands = compute.virtualMachineRunCommands;
  const options = { abortSignal: waiting.signal };
  const redact = createRedactor(Object.values(script.secrets));
  const stdout = createOutputStream('stdout', log, redact);
  const stderr = createOutputStream('stderr', log, redact);
  const start = clockSeconds();
  const poller = commands.createOrUpdate(...path, body, options);
  let state = '';
  const readEnd = async (): Promise<ScriptEnd | undefined> => {
    const { instanceView } = await commands.getByVirtualMachine(...path, { expand: 'instanceView', ...options });
    stdout.update(instanceView?.output ?? '');
    stderr.update(instanceView?.error ?? '');
    const end = parseScriptEnd(instanceView);
    if (end) return end;
    const { executionState = 'Unknown' } = { ...instanceView };
    if (executionState !== state) log.info(`Script: ${executionState}.`);
    state = executionState;
    // The operation ends when the script has started, and fails if the agent does not accept the command.
    if (!poller.isDone) await poller.poll(options);
    if ((clockSeconds() - start) / 60 <= script.timeoutMinutes + graceMinutes) return undefined;
    return { outcome: 'not reported', message: 'The script is past its time limit, and Azure did not report its end.' };
  };
  try {
    await poller.submitted().catch((error: unknown) => {
      if (isClientError(error)) cleanupState.discard(id);
      throw error;
    });
    cleanupState.markAccepted(id);
    const end = await pollUntil('the script', 'guest', waiting, readEnd);
    return { end, stdout: stdout.text(), stderr: stderr.text() };
  } catch (error) {
    throw waiting.signal.aborted ? waiting.signal.reason : error;
  } finally {
    stdout.flush();
    stderr.flush();
  }
}

/** The script has succeeded by now: a run command that cannot be deleted draws a warning and stays for the post step. */
async function deleteRunCommand({ session, cleanupState, log }: RunContext, { id, path }: RunCommand): Promise<void> {
  const { waiting, compute } = session;
  try {
    const poller = compute.virtualMachineRunCommands.delete(...path, { abortSignal: waiting.signal });
    await pollUntilDone('the deletion of the run command', 'delete', waiting, poller);
  } catch (error) {
    if (waiting.signal.aborted || !(error instanceof AzureError)) throw error;
    if (!isNotFound(error)) {
      log.warning(
        `The run command of the script could not be deleted (${error.message}); the post step tries again: ${id}`,
      );
      return;
    }
  }
  cleanupState.markDeleted(id);
}

function commandBody(plan: Plan, script: GuestScript): VirtualMachineRunCommand {
  const pairs = (map: Readonly<Record<string, string>>) => {
    const list = Object.entries(map).map(([name, value]) => ({ name, value }));
    return list.length > 0 ? list : undefined;
  };
  return {
    location: plan.location,
    tags: { ...plan.tags },
    source: { script: normalizeScript(script.text, plan.vm.osType) },
    parameters: pairs(script.parameters),
    protectedParameters: pairs(script.secrets),
    asyncExecution: true,
    // Azure takes whole seconds. Decimal fractions are not exact: 4.15 minutes are a little more than 249 seconds.
    timeoutInSeconds: Math.max(1, Math.ceil(script.timeoutMinutes * 60 - 1e-6)),
  };
}

/** On Linux a carriage return would be part of the command, and of the interpreter's name in a `#!` line. */
export function normalizeScript(text: string, osType: 'Linux' | 'Windows'): string {
  const withoutBom = text.replace(/^\uFEFF/, '');
  return osType === 'Linux' ? withoutBom.replaceAll(/\r\n?/g, '\n') : withoutBom;
}

/** Who must act, by what the agent has reported of the end. */
function explainFailure(timeoutMinutes: number) {
  const author = "the script's author";
  const authorOrImage = `${author}, or the maintainer of the image`;
  const inspectVm = 'To inspect the VM, keep it with `cleanup: never`.';
  const limit = `\`run-script-timeout-minutes\` (${timeoutMinutes})`;
  return {
    'timed out': {
      reason: `The script ran longer than ${limit} allows.`,
      who: author,
      fix: ['Raise `run-script-timeout-minutes` (at most 90), or see in the log where the script hangs.'],
    },
    'not reported': {
      reason: `Azure reported no end of the script within ${graceMinutes} minutes after ${limit}. The VM or its agent may have stopped.`,
      who: authorOrImage,
      fix: [`See in the log how far the script got. ${inspectVm}`],
    },
    cancelled: {
      reason: 'Somebody cancelled the run command in Azure.',
      who: 'the person who cancelled it',
      fix: ['Run the job again. The activity log of the resource group names the caller.'],
    },
    'not started': {
      reason: 'The VM agent could not start the script, or something in the guest ended it.',
      who: authorOrImage,
      fix: [`Check in the image the interpreter of the script and the agent. ${inspectVm}`],
    },
    failed: {
      reason:
        'The script itself reported the failure. What it printed is in the log and in the outputs `script-stdout` and `script-stderr`.',
      who: author,
      fix: [`Fix the script or the problem that it found. ${inspectVm}`],
    },
  };
}
