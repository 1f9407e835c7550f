/**
 * A closer look at a failure, before what was made is deleted again: what can only be seen now. It reads and never writes,
 * takes a few seconds at most, and never throws: the failure itself is what has to be told.
 */

import type { DeploySession } from '../auth/session.ts';
import { subscriptionOwnerOf } from '../azure/subscriptions.ts';
import type { Plan } from '../deployment/plan.ts';
import { AzureError, findAzureError } from '../errors/azure-error.ts';
import type { ErrorContext, ImageAccessProbe } from '../errors/action-error.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import type { Reporter } from '../summary/reporter.ts';
import { logBootDiagnostics } from '../vm/agent.ts';

interface DiagnosticsContext {
  readonly session: DeploySession;
  readonly inputs: Pick<DeployInputs, 'image'>;
  readonly plan: Plan;
  readonly report: Pick<Reporter, 'log' | 'addFacts'>;
  readonly onContext: (known: Partial<ErrorContext>) => void;
}

const probeTimeoutMs = 8_000;

/** Looks at what the failure points to, and tells it to the log, the summary and the explanation. */
export async function diagnoseFailure(error: unknown, context: DiagnosticsContext): Promise<void> {
  const fault = findAzureError(error);
  if (!fault) return;
  const codes = new Set([fault.code, ...fault.details.map(({ code }) => code)]);
  const words = [fault, ...fault.details].map(({ message }) => message).join(' ');
  const late = AbortSignal.timeout(probeTimeoutMs);
  if (codes.has('LinkedAuthorizationFailed') && /Microsoft\.Compute\/galleries\//i.test(words)) {
    await undefinedIfAborted(probeImageAccess(context, late), late);
  }
  if ([...codes].some((code) => code.startsWith('OSProvisioning'))) {
    const { session, report, plan } = context;
    const onBootLog = (bootLog: string): void => report.addFacts({ bootLog });
    await undefinedIfAborted(
      logBootDiagnostics({ session: session.withSignal(late), log: report.log, onBootLog }, plan),
      late,
    );
  }
}

/** Whose is the image's subscription, and does the image tenant's token open the image? Asked side by side. */
async function probeImageAccess(
  { session, inputs, plan, onContext }: DiagnosticsContext,
  late: AbortSignal,
): Promise<void> {
  const { image } = inputs;
  // Of shared and community galleries no subscription is known, and they need no token of another tenant.
  if (!('subscriptionId' in image)) return;
  const { subscriptionId, resourceGroup, gallery, definition } = image;
  const version = plan.vm.imageReferenceId.split('/').at(-1) ?? '';
  const reading = session
    .imageCompute(subscriptionId)
    .galleryImageVersions.get(resourceGroup, gallery, definition, version, { abortSignal: late })
    .then(() => 'readable' as const, errorOf);
  const [owner, read] = await Promise.all([
    undefinedIfAborted(subscriptionOwnerOf(session.cloud.resourceManager, subscriptionId), late),
    undefinedIfAborted(reading, late),
  ]);
  onContext({
    link: {
      tokenTenant: session.imageTenantId,
      ...(owner ? { owner } : {}),
      ...(read ? { image: read } : {}),
    },
  });
}

function errorOf(error: unknown): ImageAccessProbe['image'] {
  const status = error instanceof AzureError ? error.fault.status : 0;
  return ({ 401: 'denied', 403: 'denied', 404: 'absent' } as const)[status];
}

/** What `work` gives, if it gives anything before the time is over. */
async function undefinedIfAborted<T>(work: Promise<T>, late: AbortSignal): Promise<T | undefined> {
  let stop = (): void => undefined;
  const over = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
    late.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work.catch(() => undefined), over]);
  } finally {
    late.removeEventListener('abort', stop);
  }
}
