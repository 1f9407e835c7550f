/**
 * What happens inside the machine: the VM agent reports ready, a script runs through managed Run Command
 * (https://learn.microsoft.com/azure/virtual-machines/linux/run-command-managed).
 *
 * On Linux the agent saves the script as a file and executes it through bash: a `#!` line is heeded, without one bash
 * runs it; parameters and secrets are environment variables. On Windows PowerShell runs it, and both are its named
 * parameters (`param(...)`).
 */
import type {
  VirtualMachineInstanceView,
  VirtualMachineRunCommand,
  VirtualMachineRunCommandInstanceView,
} from '@azure/arm-compute';
import { sharedHttpClient, isNotFound, type Session } from './azure.ts';
import { clockSeconds } from './clock.ts';
import { AzureError, ActionError, isClientError } from './failure.ts';
import type { GuestScript } from './inputs.ts';
import type { CleanupState, WorkflowRun } from './ledger.ts';
import type { Plan } from './plan.ts';
import { resourceId } from './resource-id.ts';
import { createHttpGet } from './signin.ts';
import { pollUntilDone, pollUntil } from './waiting.ts';

export interface GuestContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly log: { info(line: string): void; warning(line: string): void };
}

type RunCommandScope = Pick<Plan, 'resourceGroup' | 'vm'>;

// The agent

/** What the machine says of its agent. */
export interface AgentState {
  readonly ready: boolean;
  /** In Azure's words, for the log. */
  readonly message: string;
  /** Set when the machine does not run, so that no agent will ever report: `VM deallocated`. */
  readonly stopped?: string;
}

/** Reads the agent's state from an instance view. "Not Ready" with a code of its own stands there until it reports. */
export function parseAgentState({ vmAgent, statuses = [] }: VirtualMachineInstanceView): AgentState {
  const reported = vmAgent?.statuses ?? [];
  const ready = reported.some(
    ({ code, displayStatus }) =>
      /^ProvisioningState\/succeeded$/i.test(code ?? '') && /^ready$/i.test(displayStatus ?? 'Ready'),
  );
  const last = reported.at(-1);
  const power = statuses.find(({ code }) => /^PowerState\/(?:stopped|deallocat)/i.test(code ?? ''));
  return {
    ready,
    message: last ? [last.displayStatus, last.message].filter(Boolean).join(': ') : 'has not reported yet',
    ...(power ? { stopped: power.displayStatus ?? power.code ?? 'stopped' } : {}),
  };
}

const maxBootMinutes = 15;

/**
 * Waits until the VM agent reports ready. An image without an agent, or one that cannot boot or reach its host, never
 * does: then the tail of the boot log is shown.
 * @throws Failure after `limitMinutes`, or at once when the machine has stopped.
 */
export async function waitForAgent(
  { session, log, onBootLog }: BootDiagnosticsContext,
  where: RunCommandScope,
  limitMinutes = maxBootMinutes,
): Promise<void> {
  const { name } = where.vm;
  const start = clockSeconds();
  let said = '';
  await pollUntil(`the VM agent of ${name}`, 'guest', session.waiting, async () => {
    const view = await session.compute.virtualMachines.instanceView(where.resourceGroup, name, {
      abortSignal: session.waiting.signal,
    });
    const { ready, message, stopped } = parseAgentState(view);
    if (message !== said) log.info(`VM agent of ${name}: ${message}`);
    said = message;
    if (ready) return true;
    const late = (clockSeconds() - start) / 60 > limitMinutes;
    if (stopped || late) {
      await logBootDiagnostics({ session, log, onBootLog }, where);
      throw agentNotReadyError(
        where,
        stopped ? `The machine does not run: ${stopped}.` : undefined,
        message,
        limitMinutes,
      );
    }
    return undefined;
  });
}

function agentNotReadyError(
  { vm }: RunCommandScope,
  stopped: string | undefined,
  says: string,
  limitMinutes: number,
): ActionError {
  const { name, osType } = vm;
  return new ActionError(`waiting for the VM agent of ${name}`, {
    message:
      stopped ??
      `The VM agent did not report ready within ${limitMinutes} minutes. The last that was heard of it: ${says}`,
    explanation: {
      cause: stopped
        ? 'It was shut down, evicted or deallocated meanwhile, from inside or by someone else.'
        : 'The image has no VM agent, the guest does not come up, or it cannot reach 168.63.129.16, through which the agent reports.',
      who: 'whoever makes the image',
      fix: [
        'Read the boot log above, if there is one.',
        osType === 'Linux'
          ? 'https://learn.microsoft.com/troubleshoot/azure/virtual-machines/linux/linux-azure-guest-agent'
          : 'https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/windows-azure-guest-agent',
        'To look inside, keep the machine with `cleanup: never`.',
      ],
    },
  });
}

const bootLogLines = 40;

interface BootDiagnosticsContext extends Pick<GuestContext, 'session' | 'log'> {
  /** Takes the same lines for the summary. */
  readonly onBootLog?: ((lines: string) => void) | undefined;
}

/** Shows the end of the serial console's log, if it can be had; that it cannot is no failure of its own. Never throws. */
export async function logBootDiagnostics(
  { session, log, onBootLog }: BootDiagnosticsContext,
  { resourceGroup, vm }: RunCommandScope,
): Promise<void> {
  try {
    const { serialConsoleLogBlobUri } = await session.compute.virtualMachines.retrieveBootDiagnosticsData(
      resourceGroup,
      vm.name,
      { sasUriExpirationTimeInMinutes: 5, abortSignal: session.waiting.signal },
    );
    if (!serialConsoleLogBlobUri) return;
    // Whoever has this URL can read the log: it goes to no log and into no error.
    const { status, body } = await createHttpGet({ httpClient: sharedHttpClient() })(serialConsoleLogBlobUri);
    if (status !== 200 || body === '') return;
    const end = lastLines(body, bootLogLines);
    log.info(`The end of the boot log (serial console) of ${vm.name}:`);
    for (const line of guestOutputLines('boot', end)) log.info(line);
    onBootLog?.(end);
  } catch {
    log.info('The boot log cannot be had.');
  }
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/**
 * Text from the guest as lines for the log. Each gets a prefix, and the old command marker is torn apart, so that no line
 * can be a workflow command to the runner (`::set-env`, `##[command]`); control characters, such as colours, go.
 */
export function guestOutputLines(label: string, text: string): string[] {
  return text.split(/\r?\n/).map((line) => {
    const plain = line
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/\u001B\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000B-\u001F\u007F]/g, '')
      .replaceAll('##[', '## [');
    return `${label} | ${plain}`;
  });
}

// The script

/** What became of a script. */
export interface ScriptResult {
  /** Absent where Azure tells none: the script did not get as far, or was ended. */
  readonly exitCode?: number;
  /** The last 4,096 bytes of each stream; that is all that Azure keeps. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a script stands. */
export type ScriptStatus =
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

/**
 * What has come to a stream since the last look. Azure shows only its last 4,096 bytes, so the window may have moved on:
 * then the overlap of both is looked for. `gap`: something went by unseen.
 */
export function appendedText(before: string, now: string): { readonly text: string; readonly gap: boolean } {
  if (now.startsWith(before)) return { text: now.slice(before.length), gap: false };
  // The window may begin in the middle of a character.
  const whole = now.replace(/^\uFFFD+/, '');
  for (let from = Math.max(0, before.length - whole.length); before.length - from >= minOverlap; from++) {
    if (whole.startsWith(before.slice(from))) return { text: whole.slice(before.length - from), gap: false };
  }
  return { text: whole, gap: true };
}

/** Shorter ones, such as a line's end, come about by chance. */
const minOverlap = 8;

/** Ends at which a text was cut: a secret may be cut there too. */
interface Cut {
  readonly front?: boolean;
  readonly back?: boolean;
}

/** The fewest characters of a secret that are redacted: fewer would redact ordinary text. */
const shortestSecret = 4;

/**
 * Redacts secrets, and at a cut end of the text also the part of a secret that is left there.
 * @param secrets values as they were handed to the script
 */
export function createRedactor(secrets: readonly string[]): (text: string, cut?: Cut) => string {
  const parts = [...new Set(secrets.flatMap((secret) => [secret, ...secret.split(/\r?\n/)]))]
    .map((part) => part.trim())
    .filter((part) => part.length >= shortestSecret)
    .toSorted((a, b) => b.length - a.length);
  return (text, { front = false, back = false } = {}) => {
    let rest = text;
    let [before, after] = ['', ''];
    // Before the search for whole secrets: replacing a short one would hide the rest of a longer one that contains it.
    const fromFront = front ? longest(parts, (part, length) => startOf(rest, part.slice(-length))) : 0;
    if (fromFront > 0) [before, rest] = ['***', rest.slice(fromFront)];
    const fromBack = back
      ? longest(parts, (part, length) => (rest.endsWith(part.slice(0, length)) ? length : 0))
      : 0;
    if (fromBack > 0) [rest, after] = [rest.slice(0, -fromBack), '***'];
    for (const part of parts) rest = rest.replaceAll(part, '***');
    return before + rest + after;
  };
}

/** The most characters that `match` finds for any part of any length; 0: none. */
function longest(parts: readonly string[], match: (part: string, length: number) => number): number {
  let most = 0;
  for (const part of parts) {
    for (let length = part.length; length >= shortestSecret; length--) {
      most = Math.max(most, match(part, length));
    }
  }
  return most;
}

/** Length of the beginning that is `start`, including a character that Azure's window cut in two; 0: it begins otherwise. */
function startOf(text: string, start: string): number {
  const broken = /^\uFFFD*/.exec(text)?.[0].length ?? 0;
  return text.startsWith(start, broken) ? broken + start.length : 0;
}

/** Azure ends the script at its limit; if even that is not heard of, the wait ends some minutes later. */
const graceMinutes = 10;
/** What Azure keeps of a stream. */
const tailBytes = 4096;

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

interface OutputStream {
  /** Takes the tail as Azure shows it; prints the whole lines that are new. */
  update(tail: string): void;
  /** Prints what is left of an unfinished line. */
  flush(): void;
  /** The last tail, without secrets. */
  text(): string;
}

function createOutputStream(
  label: string,
  log: GuestContext['log'],
  blot: ReturnType<typeof createRedactor>,
): OutputStream {
  let seen = '';
  let unfinished = '';
  // Whether `unfinished` begins where Azure's window does, perhaps inside a secret.
  let isCut = false;
  const print = (text: string, cut: Cut): void => {
    for (const line of guestOutputLines(label, blot(text, cut))) log.info(line);
  };
  return {
    update(tail) {
      const { text, gap } = appendedText(seen, tail);
      if (gap) {
        if (unfinished !== '') print(unfinished, { front: isCut, back: true });
        log.info(`${label} | … (Azure keeps the last 4 KB only)`);
        unfinished = '';
      }
      if (gap || (seen === '' && isFull(tail))) isCut = true;
      seen = tail;
      unfinished += text;
      const end = unfinished.lastIndexOf('\n');
      if (end < 0) return;
      print(unfinished.slice(0, end), { front: isCut });
      unfinished = unfinished.slice(end + 1);
      isCut = false;
    },
    flush() {
      // The wait may have been given up while the script was writing.
      if (unfinished !== '') print(unfinished, { front: isCut, back: true });
      unfinished = '';
    },
    text: () => blot(seen, { front: isFull(seen) }),
  };
}

/** Whether Azure may have dropped text before this one. */
function isFull(tail: string): boolean {
  return Buffer.byteLength(tail) >= tailBytes;
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
