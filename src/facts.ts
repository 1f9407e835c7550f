import type { VirtualMachine } from '@azure/arm-compute';
import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  VirtualNetwork,
} from '@azure/arm-network';
import { type Arm, listAll, orUndefined, type Session } from './azure.ts';
import { Failure } from './failure.ts';
import type { DeployInputs } from './inputs.ts';
import type { Names } from './plan.ts';
import { normaliseRegion } from './resource-id.ts';

/** What exists under the names of a deployment. Undefined: nothing, or not looked for because it will not be made. */
export interface Survey {
  readonly machine?: VirtualMachine;
  readonly nsg?: NetworkSecurityGroup;
  readonly vnet?: VirtualNetwork;
  readonly publicIp?: PublicIPAddress;
  readonly nic?: NetworkInterface;
}

/** One look-up for each part that the deployment would make. */
export type LookUps = { readonly [Part in keyof Survey]?: () => Promise<Survey[Part]> };

/** What `survey` asks, part by part. */
export function lookUps(
  { compute, network }: Pick<Session, 'compute' | 'network'>,
  { resourceGroup, network: choice }: Pick<DeployInputs, 'resourceGroup' | 'network'>,
  names: Names,
): LookUps {
  const at = [resourceGroup] as const;
  const makes = choice.kind === 'new-nic' ? choice : undefined;
  return {
    machine: () => orUndefined(compute.virtualMachines.get(...at, names.machine)),
    ...(makes?.nsg.kind === 'new'
      ? { nsg: () => orUndefined(network.networkSecurityGroups.get(...at, names.nsg)) }
      : {}),
    ...(makes?.subnet.kind === 'new'
      ? { vnet: () => orUndefined(network.virtualNetworks.get(...at, names.vnet)) }
      : {}),
    ...(makes?.publicIp.kind === 'new'
      ? { publicIp: () => orUndefined(network.publicIPAddresses.get(...at, names.publicIp)) }
      : {}),
    ...(makes ? { nic: () => orUndefined(network.networkInterfaces.get(...at, names.nic)) } : {}),
  };
}

/** Looks up, side by side, everything that a deployment of these names would make. Sends no write. */
export async function survey(...about: Parameters<typeof lookUps>): Promise<Survey> {
  const found = await Promise.all(
    Object.entries(lookUps(...about)).map(async ([part, lookUp]) => [part, await lookUp()] as const),
  );
  return Object.fromEntries(found.filter(([, resource]) => resource !== undefined));
}

export interface Subscription {
  readonly subscriptionId: string;
  readonly displayName: string;
  readonly state: string;
  readonly tenantId: string;
}

/**
 * The subscription to deploy to: the one that is named, or the only enabled one of this tenant.
 * @throws Failure when there is none or more than one to choose from (it lists them).
 */
export async function chooseSubscription(
  arm: Arm,
  named: string | undefined,
  tenantId: string,
): Promise<string> {
  return named ?? (await onlySubscription(arm, tenantId)).subscriptionId;
}

/** The same with its state, which costs a request of its own where the subscription is named. */
export async function readSubscription(
  arm: Arm,
  named: string | undefined,
  tenantId: string,
): Promise<Subscription> {
  return named ? arm('GET', `/subscriptions/${named}`, '2022-12-01') : onlySubscription(arm, tenantId);
}

async function onlySubscription(arm: Arm, tenantId: string): Promise<Subscription> {
  const all = await listAll<Subscription>(arm, '/subscriptions', '2022-12-01');
  // The list also shows subscriptions of other tenants that are delegated to this one (Azure Lighthouse).
  const own = all.filter(
    ({ state, tenantId: owner }) => state === 'Enabled' && owner.toLowerCase() === tenantId,
  );
  if (own.length === 1 && own[0]) return own[0];
  throw new Failure('choosing the subscription', {
    message:
      own.length === 0
        ? `The app sees no enabled subscription in tenant ${tenantId}.`
        : `The app sees ${own.length} enabled subscriptions in tenant ${tenantId}: ${own.map(({ displayName, subscriptionId }) => `${displayName} (${subscriptionId})`).join(', ')}.`,
    explanation:
      own.length === 0
        ? {
            cause:
              'It has no role on anything there, or the role was granted a moment ago and is not known everywhere yet.',
            who: `an administrator of tenant ${tenantId}`,
            fix: [
              'az role assignment create --assignee <client-id> --role Contributor --scope /subscriptions/<subscription-id>/resourceGroups/<resource-group>',
            ],
          }
        : {
            cause: 'Without `subscription-id` there has to be exactly one.',
            who: "the workflow's author",
            fix: ['Give one of them as `subscription-id`.'],
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
  const group = await orUndefined(arm<{ location: string }>('GET', path, '2021-04-01'));
  if (group) return { location: location ?? normaliseRegion(group.location), exists: true };
  if (location) return { location, exists: false };
  throw new Failure(`reading resource group ${resourceGroup}`, {
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
