import type { Session } from '../azure/arm-client.ts';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { subscriptionOwnerOf } from '../azure/subscriptions.ts';
import type { Plan } from '../deployment/resources.ts';
import { type ImageAccessProbe, AzureError, findAzureError } from '../errors/errors.ts';
import { raceAbort } from '../lib/abort.ts';
import type { LogWriter } from '../runner/log.ts';
import { logBootDiagnostics, readVm } from '../vm/vm-status.ts';
import type { DeployContext, PlannedDeployment } from './adopt-existing.ts';

const probeTimeoutMs = 8_000;

/** What can only be seen before the rollback. Takes a few seconds at most, sends no write, never throws. */
export async function diagnoseFailure(error: unknown, context: PlannedDeployment & DeployContext): Promise<void> {
  const fault = findAzureError(error);
  if (!fault) return;
  const codes = [fault.code, ...fault.details.map(({ code }) => code)];
  const messages = [fault, ...fault.details].map(({ message }) => message).join(' ');
  const timeout = AbortSignal.timeout(probeTimeoutMs);
  if (codes.includes('LinkedAuthorizationFailed') && /Microsoft\.Compute\/galleries\//i.test(messages)) {
    await undefinedOnFailure(probeImageAccess(context, timeout), timeout);
  }
  if (codes.some((code) => /^(?:OSProvisioning|VMAgentStatus)/.test(code))) {
    const { session, report, plan } = context;
    const onBootLog = (bootLog: string): void => report.addFacts({ bootLog });
    const guest = { session: session.withSignal(timeout), log: report.log, onBootLog };
    await undefinedOnFailure(logBootDiagnostics(guest, plan), timeout);
  }
}

async function probeImageAccess(
  { session, inputs, image: { version }, onContext }: PlannedDeployment & DeployContext,
  timeout: AbortSignal,
): Promise<void> {
  const { image } = inputs;
  // Shared and community galleries have no known subscription and need no token of another tenant.
  if (!('subscriptionId' in image)) return;
  const { subscriptionId, resourceGroup, gallery, definition } = image;
  const versionRead = session
    .imageCompute(subscriptionId)
    .galleryImageVersions.get(resourceGroup, gallery, definition, version, { abortSignal: timeout })
    .then(() => 'readable' as const, imageAccessFromError);
  const ownerRead = subscriptionOwnerOf(session.cloud.resourceManager, subscriptionId);
  const [owner, imageAccess] = await Promise.all([
    undefinedOnFailure(ownerRead, timeout),
    undefinedOnFailure(versionRead, timeout),
  ]);
  onContext({ link: { tokenTenant: session.imageTenantId, owner, image: imageAccess } });
}

function imageAccessFromError(error: unknown): ImageAccessProbe['image'] {
  const status = error instanceof AzureError ? error.fault.status : 0;
  return ({ 401: 'denied', 403: 'denied', 404: 'absent' } as const)[status];
}

function undefinedOnFailure<T>(work: Promise<T>, timeout: AbortSignal): Promise<T | undefined> {
  return raceAbort(work, timeout).catch(() => undefined);
}

/** After a replacement that got no further than the deletion of the old VM. */
export async function warnIfVmIsMissing(session: Session, plan: Plan, log: Pick<LogWriter, 'warning'>): Promise<void> {
  try {
    if (await undefinedIfNotFound(readVm(session, plan))) return;
    log.warning(
      `Deployment ${plan.deployment} has no VM now: the old one was deleted, and the new one was not created. Its network, addresses and identities are unchanged. Run the step again to create the VM.`,
    );
  } catch {
    log.warning(`It is unknown whether deployment ${plan.deployment} has a VM. Run the step again.`);
  }
}
