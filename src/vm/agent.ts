import type { VirtualMachineInstanceView } from '@azure/arm-compute';
import { sharedHttpClient } from '../azure/arm-client.ts';
import { createHttpGet } from '../azure/http.ts';
import { pollUntil } from '../azure/polling.ts';
import { ActionError } from '../errors/action-error.ts';
import { clockSeconds } from '../lib/clock.ts';
import type { GuestContext, RunCommandScope } from './run-command.ts';
import { guestOutputLines, lastLines } from './script-output.ts';

// The agent

/** What the machine says of its agent. */
interface AgentState {
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
