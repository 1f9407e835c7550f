import { apiVersions } from './api-versions.ts';
import { ActionError, withActivity } from '../errors/errors.ts';
import { delay } from '../lib/abort.ts';
import { shellCommand } from '../lib/escape.ts';
import { type ArmRequest, listAllPages, type Session } from './arm-client.ts';
import { createHttpGet } from './http.ts';
import { undefinedIfDenied, undefinedIfNotFound } from './lookup.ts';
import { groupId, normaliseRegion } from './resource-id.ts';

export interface Subscription {
  readonly subscriptionId: string;
  readonly displayName: string;
  readonly state: string;
  /** Not every Resource Manager says it. */
  readonly tenantId?: string;
}

/** For the commands of explanations. */
type LookupContext = Readonly<Record<'clientId' | 'resourceGroup', string>>;

/** Seconds between reads, two minutes in total: a new role took up to 40 s to become effective in recorded runs. */
const newRoleRetryDelays = [1, 2, 4, 8, 15, 15, 15, 15, 15, 15, 15];

/**
 * The only enabled subscription of the tenant. If none is visible, it waits: the app may have been granted its first role
 * just now. A named one is not waited for, because every typing error would then take two minutes.
 */
export async function findSubscription(
  arm: ArmRequest,
  tenantId: string,
  about: LookupContext,
  { signal, onWaiting }: { readonly signal: AbortSignal; readonly onWaiting: (line: string) => void },
): Promise<string> {
  for (let reads = 0; ; reads++) {
    const visible = await listSubscriptions(arm, tenantId);
    const seconds = newRoleRetryDelays[reads];
    if (visible.length > 0 || seconds === undefined)
      return requireSingleSubscription(visible, tenantId, about).subscriptionId;
    onWaiting(
      reads === 0
        ? `App ${about.clientId} sees no subscription in tenant ${tenantId}. A new role assignment takes up to two minutes to become effective; checking again in ${seconds} s.`
        : `Still no subscription; checking again in ${seconds} s.`,
    );
    await delay(seconds, signal);
  }
}

/**
 * Rejects a subscription that belongs to another tenant, before anything is written. Resource Manager does so itself
 * unless the subscription is delegated to this tenant (Azure Lighthouse). An app with a role on the resource group alone
 * cannot read the subscription: then the input is trusted.
 */
export async function assertSubscriptionInTenant(arm: ArmRequest, named: string, tenantId: string): Promise<void> {
  const read = () => undefinedIfDenied(readNamedSubscription(arm, named, tenantId));
  await withActivity(`reading subscription ${named}`, read);
}

export async function readSubscription(
  arm: ArmRequest,
  { subscriptionId: named, ...about }: LookupContext & { readonly subscriptionId?: string },
  tenantId: string,
): Promise<Subscription> {
  return named
    ? readNamedSubscription(arm, named, tenantId)
    : requireSingleSubscription(await listSubscriptions(arm, tenantId), tenantId, about);
}

async function readNamedSubscription(arm: ArmRequest, named: string, tenantId: string): Promise<Subscription> {
  const answer = await arm<Partial<Subscription>>('GET', `/subscriptions/${named}`, apiVersions.subscriptions);
  const found = withDefaults({ subscriptionId: named, ...answer });
  if (!belongsToOtherTenant(found, tenantId)) return found;
  throw new ActionError(`reading subscription ${named}`, {
    message: `Subscription ${found.displayName} (${named}) belongs to tenant ${found.tenantId}, not to tenant ${tenantId}, to which it is only delegated.`,
    reason: '`subscription-id` and `tenant-id` do not belong together. Nothing was written.',
    fix: [
      `Set \`tenant-id\` to ${found.tenantId}, where the app needs a service principal; or use a subscription of tenant ${tenantId}.`,
    ],
  });
}

/** The tenant's subscriptions in any state: Azure's list also has delegated ones of other tenants (Azure Lighthouse). */
export async function listSubscriptions(arm: ArmRequest, tenantId: string): Promise<readonly Subscription[]> {
  const all = await listAllPages<Subscription>(arm, '/subscriptions', apiVersions.subscriptions);
  return all.filter((subscription) => !belongsToOtherTenant(subscription, tenantId)).map(withDefaults);
}

/** Not every Resource Manager returns more than the ID. */
function withDefaults(found: Pick<Subscription, 'subscriptionId'> & Partial<Subscription>): Subscription {
  return { displayName: 'Subscription', state: 'Enabled', ...found };
}

/** False where the tenant is not stated: Resource Manager then refuses tokens of the wrong tenant itself. */
function belongsToOtherTenant({ tenantId: owner }: Pick<Subscription, 'tenantId'>, tenantId: string): boolean {
  return owner ? owner.toLowerCase() !== tenantId : false;
}

function requireSingleSubscription(
  visible: readonly Subscription[],
  tenantId: string,
  { clientId, resourceGroup }: LookupContext,
): Subscription {
  const enabled = visible.filter(({ state }) => /^enabled$/i.test(state));
  if (enabled.length === 1 && enabled[0]) return enabled[0];
  const activity = 'choosing the subscription';
  const list = (all: readonly Subscription[]): string =>
    all.map(({ displayName, subscriptionId }) => `${displayName} (${subscriptionId})`).join(', ');
  if (visible.length === 0) {
    throw new ActionError(activity, {
      message: `App ${clientId} sees no subscription in tenant ${tenantId}.`,
      reason: 'It has no role there, or the role was assigned minutes ago and is not effective yet.',
      who: `an administrator of tenant ${tenantId}`,
      fix: [
        'Assign the role on the resource group; if that was just done, run the job again. Signed in to the subscription of the group:',
        shellCommand`az login --tenant ${tenantId}`,
        shellCommand`az role assignment create --assignee ${clientId} --role Contributor --scope "$(az group show --name ${resourceGroup} --query id --output tsv)"`,
        'Set `subscription-id`: then the job fails at once instead of waiting for a subscription to appear.',
      ],
    });
  }
  throw new ActionError(activity, {
    message:
      enabled.length === 0
        ? `App ${clientId} sees no enabled subscription in tenant ${tenantId}, only ${list(visible)}.`
        : `App ${clientId} sees ${enabled.length} enabled subscriptions in tenant ${tenantId}: ${list(enabled)}.`,
    reason: 'Without `subscription-id`, exactly one subscription must be enabled.',
    fix: ['Set `subscription-id`.'],
  });
}

export type ResourceGroup = Awaited<ReturnType<typeof readResourceGroup>>;

/** @throws ActionError when it does not exist and `location` is not set. */
export async function readResourceGroup(
  { arm, subscriptionId }: Pick<Session, 'arm' | 'subscriptionId'>,
  { resourceGroup, location }: { readonly resourceGroup: string; readonly location?: string },
) {
  const path = groupId(subscriptionId, resourceGroup);
  // A 403 means that the group is missing or that the app has no role on it: the error catalogue explains both.
  const group = await undefinedIfNotFound(
    arm<{ location: string; properties?: { provisioningState?: string } }>('GET', path, apiVersions.resourceGroups),
  );
  if (group?.properties?.provisioningState === 'Deleting') {
    throw new ActionError(`reading resource group ${resourceGroup}`, {
      message: `Resource group "${resourceGroup}" is being deleted.`,
      reason: 'Azure creates nothing in a resource group that is being deleted.',
      fix: ['Wait until the group is deleted, or use another `resource-group`.'],
    });
  }
  if (group) return { location: location ?? normaliseRegion(group.location), exists: true };
  if (location) return { location, exists: false };
  throw new ActionError(`reading resource group ${resourceGroup}`, {
    message: `Resource group "${resourceGroup}" does not exist in subscription ${subscriptionId}.`,
    reason: 'A missing group is created only if `location` is set.',
    fix: [
      'Set `location` and allow the app to create groups in the subscription; or create the group first:',
      shellCommand`az group create --name ${resourceGroup} --location ${'<region>'} --subscription ${subscriptionId}`,
    ],
  });
}

/** Reads the owning tenant, which Resource Manager names in its 401 to a request without a token. */
export async function subscriptionOwnerOf(
  resourceManager: string,
  subscriptionId: string,
): Promise<string | undefined> {
  const url = `${resourceManager}/subscriptions/${subscriptionId}?api-version=${apiVersions.subscriptions}`;
  const { header } = await createHttpGet()(url);
  return tenantFromChallenge(header('www-authenticate'));
}

/** The tenant in `Bearer authorization_uri="https://login.microsoftonline.com/<tenant>", error=…`. */
export function tenantFromChallenge(challenge: string | undefined): string | undefined {
  return /authorization_uri="https:\/\/[^"/]+\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?[^"]*"/i
    .exec(challenge ?? '')?.[1]
    ?.toLowerCase();
}
