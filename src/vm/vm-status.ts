import type { VirtualMachine, VirtualMachineInstanceView } from '@azure/arm-compute';
import type { Session } from '../azure/arm-client.ts';
import { createHttpGet } from '../azure/http.ts';
import { settle, undefinedIfNotFound, hasSucceeded, isTerminalState } from '../azure/lookup.ts';
import { pollUntil } from '../azure/polling.ts';
import type { Plan } from '../deployment/resources.ts';
import { ActionError, AzureError } from '../errors/errors.ts';
import { clockSeconds } from '../lib/clock.ts';
import type { LogWriter } from '../runner/log.ts';
import { guestOutputLines, lastLines } from './script-output.ts';

type VmLocation = Pick<Plan, 'resourceGroup'> & { readonly vm: Pick<Plan['vm'], 'name'> };

export function readVm({ compute }: Session, { resourceGroup, vm }: VmLocation): Promise<VirtualMachine> {
  return compute.virtualMachines.get(resourceGroup, vm.name);
}

export function isFailedState(resource: { readonly provisioningState?: string }): boolean {
  return isTerminalState(resource) && !hasSucceeded(resource);
}

/** For a create whose response was lost, or another run's. @returns undefined if the VM was deleted. */
export async function waitForTerminalState(session: Session, location: VmLocation) {
  const what = `virtual machine ${location.vm.name}`;
  const found = await pollUntil(what, 'guest', session.waiting, async () => {
    const vm = await undefinedIfNotFound(readVm(session, location));
    return vm && !isTerminalState(vm) ? undefined : { vm };
  });
  return found.vm;
}

export type ProvisioningFailure = Awaited<ReturnType<typeof readProvisioningFailure>>;

export async function readProvisioningFailure(session: Session, { resourceGroup, vm }: VmLocation) {
  const found = await session.compute.virtualMachines.get(resourceGroup, vm.name, { expand: 'instanceView' });
  const { id = '', instanceView, provisioningState = 'Failed' } = found;
  const statuses = instanceView?.statuses ?? [];
  // ProvisioningState/failed/AllocationFailed
  const failed = statuses.find(({ code }) => /^ProvisioningState\/failed/i.test(code ?? ''));
  const code = failed?.code?.split('/')[2] ?? 'ProvisioningFailed';
  const state = (failed?.displayStatus ?? provisioningState).toLowerCase();
  const message = failed?.message ?? `The virtual machine ended in state ${state}.`;
  const fault = new AzureError({
    status: 200,
    code,
    message,
    details: [],
    method: 'GET',
    url: id,
    correlationId: session.correlationId,
    body: JSON.stringify({ error: { code, message } }),
  });
  // Once the guest has run, the disk may hold data.
  return { fault, hasRun: statuses.some((status) => /^PowerState\//i.test(status.code ?? '')) };
}

/** The reason in the VM's instance view, or `known` if it cannot be read. */
export async function failureReason(session: Session, plan: Plan, known: AzureError): Promise<AzureError> {
  const read = await settle(() => readProvisioningFailure(session, plan));
  if ('value' in read) return read.value.fault;
  if (read.error instanceof AzureError) return known;
  throw read.error;
}

/** Until the agent first reports, the instance view has a "Not Ready" status with a code of another form. */
export function parseAgentState({ vmAgent, statuses = [] }: VirtualMachineInstanceView) {
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
    // No agent will report: `VM deallocated`.
    stopped: power && (power.displayStatus ?? power.code ?? 'stopped'),
  };
}

interface GuestContext {
  readonly session: Session;
  readonly log: Pick<LogWriter, 'info'>;
  /** Receives the end of the boot log for the summary. */
  readonly onBootLog?: (lines: string) => void;
}

type GuestLocation = VmLocation & { readonly vm: Pick<Plan['vm'], 'osType'> };

/** @throws ActionError after `limitMinutes`, or at once if the VM has stopped; the boot log is logged before. */
export async function waitForAgent(context: GuestContext, location: GuestLocation, limitMinutes = 15): Promise<void> {
  const { session, log } = context;
  const { name } = location.vm;
  const start = clockSeconds();
  let lastMessage = '';
  await pollUntil(`the VM agent of ${name}`, 'guest', session.waiting, async () => {
    const view = await session.compute.virtualMachines.instanceView(location.resourceGroup, name, {
      abortSignal: session.waiting.signal,
    });
    const state = parseAgentState(view);
    if (state.message !== lastMessage) log.info(`VM agent of ${name}: ${state.message}`);
    lastMessage = state.message;
    if (state.ready) return true;
    const isLate = (clockSeconds() - start) / 60 > limitMinutes;
    if (!state.stopped && !isLate) return undefined;
    await logBootDiagnostics(context, location);
    throw agentNotReadyError(location, state, limitMinutes);
  });
}

function agentNotReadyError(
  { vm: { name, osType } }: GuestLocation,
  { stopped, message }: ReturnType<typeof parseAgentState>,
  limitMinutes: number,
): ActionError {
  const guide = `https://learn.microsoft.com/troubleshoot/azure/virtual-machines/${osType === 'Linux' ? 'linux/linux' : 'windows/windows'}-azure-guest-agent`;
  return new ActionError(`waiting for the VM agent of ${name}`, {
    message: stopped
      ? `The VM is not running: ${stopped}.`
      : `The VM agent did not report ready within ${limitMinutes} minutes. Its last status: ${message}`,
    reason: stopped
      ? 'The VM was shut down, evicted or deallocated during the wait, by the guest or by someone else.'
      : 'The image has no VM agent, the guest does not boot, or it cannot reach 168.63.129.16, through which the agent reports.',
    who: 'the maintainer of the image',
    fix: [
      'The boot log, if Azure returned it, is in the log of this step.',
      guide,
      'To inspect the VM, keep it with `cleanup: never`.',
    ],
  });
}

/** Logs the end of the serial console log, if there is one. Never throws. */
export async function logBootDiagnostics(
  { session, log, onBootLog }: GuestContext,
  location: VmLocation,
): Promise<void> {
  try {
    const body = await readSerialLog(session, location);
    if (body === '') return;
    const end = lastLines(body, 40);
    log.info(`The end of the boot log (serial console) of ${location.vm.name}:`);
    for (const line of guestOutputLines('boot', end)) log.info(line);
    onBootLog?.(end);
  } catch {
    log.info('The boot log could not be read.');
  }
}

/** Empty if there is no log. */
export async function readSerialLog(session: Session, { resourceGroup, vm }: VmLocation): Promise<string> {
  const { serialConsoleLogBlobUri } = await session.compute.virtualMachines.retrieveBootDiagnosticsData(
    resourceGroup,
    vm.name,
    { sasUriExpirationTimeInMinutes: 5, abortSignal: session.waiting.signal },
  );
  if (!serialConsoleLogBlobUri) return '';
  // The URL grants access to the log: it must not appear in a log or an error.
  // Bounded: neither a failure nor the end of a create may wait for the retries of an unreachable host.
  const signal = AbortSignal.any([session.waiting.signal, AbortSignal.timeout(10_000)]);
  const { status, body } = await createHttpGet({ acceptsText: true })(serialConsoleLogBlobUri, signal);
  return status === 200 ? body : '';
}
