import { apiVersions } from './api-versions.ts';
import { ActionError, withActivity } from '../errors/action-error.ts';
import { AzureError } from '../errors/azure-error.ts';
import type { DeployInputs, Inputs } from '../inputs/inputs.ts';
import { delay } from '../lib/abort.ts';
import { type ArmRequest, listAllPages, sharedHttpClient, type Session } from './arm-client.ts';
import { createHttpGet } from './http.ts';
import { undefinedIfNotFound } from './lookup.ts';
import { normaliseRegion } from './resource-id.ts';

export interface Subscription {
  readonly subscriptionId: string;
  readonly displayName: string;
  readonly state: string;
  /** Not every Resource Manager says it. */
  readonly tenantId?: string;
}

/** Seconds between looks for a subscription: some two minutes in all. 40 s after a grant have been seen. */
const newRoleRetryDelays = [1, 2, 4, 8, 15, 15, 15, 15, 15, 15, 15];

/**
 * The only enabled subscription of the tenant. Where none at all is visible, the app may have got its first role a moment
 * ago: that is waited for. A named subscription is not: whether a right is missing or only new, Azure says the same, and
 * waiting would hold up every mistake.
 * @throws Failure when there is none, or more than one to choose from (it lists them); the signal's reason.
 */
export async function findSubscription(
  arm: ArmRequest,
  tenantId: string,
  about: Pick<Inputs, 'clientId' | 'resourceGroup'>,
  { signal, onWaiting }: { readonly signal: AbortSignal; readonly onWaiting: (line: string) => void },
): Promise<string> {
  for (let looks = 0; ; looks++) {
    const seen = await listSubscriptions(arm, tenantId);
    const seconds = newRoleRetryDelays[looks];
    if (seen.length > 0 || seconds === undefined)
      return requireSingleSubscription(seen, tenantId, about).subscriptionId;
    onWaiting(
      `App ${about.clientId} sees no subscription in tenant ${tenantId}. After a first grant that passes within two minutes; looking again in ${seconds} s.`,
    );
    await delay(seconds, signal);
  }
}

/**
 * Refuses a subscription of another tenant than the one that was named, before anything is written there. Resource
 * Manager does so itself, except where that subscription is delegated to this tenant (Azure Lighthouse).
 * Who may not look at the subscription, having rights on a group alone, is taken at their word.
 */
export async function assertSubscriptionInTenant(
  arm: ArmRequest,
  named: string,
  tenantId: string,
): Promise<void> {
  try {
    await withActivity(`looking at subscription ${named}`, () => readNamedSubscription(arm, named, tenantId));
  } catch (error) {
    const refused = error instanceof ActionError && error.cause instanceof AzureError;
    if (!refused || (error.cause as AzureError).fault.status !== 403) throw error;
  }
}

/** The subscription with its state: the one that is named, or the only enabled one as it is visible now. */
export async function readSubscription(
  arm: ArmRequest,
  { subscriptionId: named, ...about }: Pick<Inputs, 'subscriptionId' | 'clientId' | 'resourceGroup'>,
  tenantId: string,
): Promise<Subscription> {
  return named
    ? readNamedSubscription(arm, named, tenantId)
    : requireSingleSubscription(await listSubscriptions(arm, tenantId), tenantId, about);
}

async function readNamedSubscription(
  arm: ArmRequest,
  named: string,
  tenantId: string,
): Promise<Subscription> {
  const found = await arm<Subscription>('GET', `/subscriptions/${named}`, apiVersions.subscriptions);
  if (!belongsToOtherTenant(found, tenantId)) return found;
  throw new ActionError(`looking at subscription ${named}`, {
    message: `Subscription ${found.displayName} (${named}) belongs to tenant ${found.tenantId}, not to tenant ${tenantId}, to which it is only delegated.`,
    explanation: {
      cause: '`subscription-id` and `tenant-id` do not belong together. Nothing was written.',
      who: "the workflow's author",
      fix: [
        `Set \`tenant-id\` to ${found.tenantId}, where the app needs a service principal; or give a subscription of tenant ${tenantId}.`,
      ],
    },
  });
}

/** Those of this tenant, in whatever state: the list also shows delegated ones of other tenants (Azure Lighthouse). */
async function listSubscriptions(arm: ArmRequest, tenantId: string): Promise<readonly Subscription[]> {
  const all = await listAllPages<Subscription>(arm, '/subscriptions', apiVersions.subscriptions);
  return all.filter((one) => !belongsToOtherTenant(one, tenantId));
}

/** Whether it is known to be another tenant's. Where nothing is said, Resource Manager itself refuses a token of the wrong one. */
function belongsToOtherTenant(
  { tenantId: owner }: Pick<Subscription, 'tenantId'>,
  tenantId: string,
): boolean {
  return owner ? owner.toLowerCase() !== tenantId : false;
}

function requireSingleSubscription(
  seen: readonly Subscription[],
  tenantId: string,
  { clientId, resourceGroup }: Pick<Inputs, 'clientId' | 'resourceGroup'>,
): Subscription {
  const enabled = seen.filter(({ state }) => state === 'Enabled');
  if (enabled.length === 1 && enabled[0]) return enabled[0];
  const doing = 'choosing the subscription';
  const list = (all: readonly Subscription[]): string =>
    all.map(({ displayName, subscriptionId }) => `${displayName} (${subscriptionId})`).join(', ');
  if (seen.length === 0) {
    throw new ActionError(doing, {
      message: `App ${clientId} sees no subscription in tenant ${tenantId}.`,
      explanation: {
        cause:
          'It has no role on anything there, or the role was granted minutes ago and is not known everywhere yet.',
        who: `an administrator of tenant ${tenantId}`,
        fix: [
          'Grant the role on the resource group; if that was just done, run the job again:',
          `az role assignment create --assignee ${clientId} --role Contributor --scope /subscriptions/<subscription-id>/resourceGroups/${resourceGroup}`,
        ],
      },
    });
  }
  throw new ActionError(doing, {
    message:
      enabled.length === 0
        ? `App ${clientId} sees no enabled subscription in tenant ${tenantId}, only ${list(seen)}.`
        : `App ${clientId} sees ${enabled.length} enabled subscriptions in tenant ${tenantId}: ${list(enabled)}.`,
    explanation: {
      cause: 'Without `subscription-id` there has to be exactly one that is enabled.',
      who: "the workflow's author",
      fix: ['Give `subscription-id`.'],
    },
  });
}

export interface ResourceGroup {
  readonly location: string;
  /** False: it has to be created first. */
  readonly exists: boolean;
}

/**
 * The group and the deployment's region.
 * @throws Failure when it does not exist and no `location` says where to create it; AzureError when Azure will not say.
 */
export async function readResourceGroup(
  { arm, subscriptionId }: Pick<Session, 'arm' | 'subscriptionId'>,
  { resourceGroup, location }: Pick<DeployInputs, 'resourceGroup' | 'location'>,
): Promise<ResourceGroup> {
  const path = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
  // A 403 says either that the group is missing or that the app has no role on it; the catalogue of errors tells both.
  const group = await undefinedIfNotFound(arm<{ location: string }>('GET', path, apiVersions.resourceGroups));
  if (group) return { location: location ?? normaliseRegion(group.location), exists: true };
  if (location) return { location, exists: false };
  throw new ActionError(`reading resource group ${resourceGroup}`, {
    message: `Resource group "${resourceGroup}" does not exist in subscription ${subscriptionId}.`,
    explanation: {
      cause: 'A missing group is created only if `location` says where.',
      who: "the workflow's author",
      fix: [
        'Give `location`, and the app the right to create groups in the subscription; or create it beforehand:',
        `az group create --name ${resourceGroup} --location <region> --subscription ${subscriptionId}`,
      ],
    },
  });
}

/** Resource Manager names the owning tenant to anybody: in its refusal of a request without a token. */
export async function subscriptionOwnerOf(
  resourceManager: string,
  subscriptionId: string,
): Promise<string | undefined> {
  const ask = createHttpGet({ httpClient: sharedHttpClient() });
  const { header } = await ask(
    `${resourceManager}/subscriptions/${subscriptionId}?api-version=${apiVersions.subscriptions}`,
  );
  return tenantFromChallenge(header('www-authenticate'));
}

/** The tenant in `Bearer authorization_uri="https://login.microsoftonline.com/<tenant>", error=…`. */
export function tenantFromChallenge(challenge: string | undefined): string | undefined {
  return /authorization_uri="https:\/\/[^"/]+\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?[^"]*"/i
    .exec(challenge ?? '')?.[1]
    ?.toLowerCase();
}
