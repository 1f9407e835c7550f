/**
 * A closer look at a failure, before what was made is deleted again: what can only be seen now. It reads and never writes,
 * takes a few seconds at most, and never throws: the failure itself is what has to be told.
 */
import { connections } from './azure.ts';
import type { LinkLook, Situation } from './explain.ts';
import { AzureError, faultIn } from './failure.ts';
import { showBootLog } from './guest.ts';
import type { DeployInputs } from './inputs.ts';
import type { Plan } from './plan.ts';
import type { Report } from './report.ts';
import type { DeploySession } from './session.ts';
import { plainHttp } from './signin.ts';

export interface LookDesk {
  readonly session: DeploySession;
  readonly inputs: Pick<DeployInputs, 'image'>;
  readonly plan: Plan;
  readonly report: Pick<Report, 'log' | 'know'>;
  readonly learn: (known: Partial<Situation>) => void;
}

const longestLookMs = 8_000;

/** Looks at what the failure points to, and tells it to the log, the summary and the explanation. */
export async function lookCloser(error: unknown, desk: LookDesk): Promise<void> {
  const fault = faultIn(error);
  if (!fault) return;
  const codes = new Set([fault.code, ...fault.details.map(({ code }) => code)]);
  const words = [fault, ...fault.details].map(({ message }) => message).join(' ');
  const late = AbortSignal.timeout(longestLookMs);
  if (codes.has('LinkedAuthorizationFailed') && /Microsoft\.Compute\/galleries\//i.test(words)) {
    await orNothing(lookAtLink(desk, late), late);
  }
  if ([...codes].some((code) => code.startsWith('OSProvisioning'))) {
    const { session, report, plan } = desk;
    const onBootLog = (bootLog: string): void => report.know({ bootLog });
    await orNothing(showBootLog({ session: session.under(late), log: report.log, onBootLog }, plan), late);
  }
}

/** Whose is the image's subscription, and does the image tenant's token open the image? Asked side by side. */
async function lookAtLink({ session, inputs, plan, learn }: LookDesk, late: AbortSignal): Promise<void> {
  const { image } = inputs;
  // Of shared and community galleries no subscription is known, and they need no token of another tenant.
  if (!('subscriptionId' in image)) return;
  const { subscriptionId, resourceGroup, gallery, definition } = image;
  const version = plan.machine.imageReferenceId.split('/').at(-1) ?? '';
  const reading = session
    .imageCompute(subscriptionId)
    .galleryImageVersions.get(resourceGroup, gallery, definition, version, { abortSignal: late })
    .then(() => 'readable' as const, refusalOf);
  const [owner, read] = await Promise.all([
    orNothing(ownerOf(session.cloud.resourceManager, subscriptionId), late),
    orNothing(reading, late),
  ]);
  learn({
    link: {
      tokenTenant: session.imageTenantId,
      ...(owner ? { owner } : {}),
      ...(read ? { image: read } : {}),
    },
  });
}

function refusalOf(error: unknown): LinkLook['image'] {
  const status = error instanceof AzureError ? error.fault.status : 0;
  return ({ 401: 'denied', 403: 'denied', 404: 'absent' } as const)[status];
}

/** Resource Manager names the owning tenant to anybody: in its refusal of a request without a token. */
async function ownerOf(resourceManager: string, subscriptionId: string): Promise<string | undefined> {
  const ask = plainHttp({ httpClient: connections() });
  const { header } = await ask(`${resourceManager}/subscriptions/${subscriptionId}?api-version=2022-12-01`);
  return tenantIn(header('www-authenticate'));
}

/** The tenant in `Bearer authorization_uri="https://login.microsoftonline.com/<tenant>", error=…`. */
export function tenantIn(challenge: string | undefined): string | undefined {
  return /authorization_uri="https:\/\/[^"/]+\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?[^"]*"/i
    .exec(challenge ?? '')?.[1]
    ?.toLowerCase();
}

/** What `work` gives, if it gives anything before the time is over. */
async function orNothing<T>(work: Promise<T>, late: AbortSignal): Promise<T | undefined> {
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
