import type {
  NetworkInterfacesCreateOrUpdateOptionalParams as RequestOptions,
  PublicIPAddress,
} from '@azure/arm-network';
import type { OperationState, PollerLike } from '@azure/core-lro';
import { undefinedIfDenied, undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, parseResourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import type { RunContext } from '../deployment/cleanup-state.ts';
import { createIfMissing } from '../deployment/create-if-missing.ts';
import { type ExistingResources, type Plan, findPrimary, resourceTitles } from '../deployment/resources.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import { flattenProperties, omitUndefined } from '../lib/json.ts';
import type { OutputValues } from '../runner/environment.ts';

/**
 * @param onOutputs receives values as soon as they are known, so that later steps can act on a cancelled run.
 * @returns the resources as Azure returned them; none with an existing network interface.
 * @throws AzureError; ActionError if a resource of that name does not belong to the deployment.
 */
export async function createNetwork(
  context: RunContext,
  plan: Plan,
  existing: ExistingResources,
  onOutputs: (outputs: OutputValues) => void,
): Promise<ExistingResources> {
  const { session } = context;
  if (plan.nic.origin === 'given') {
    onOutputs(await readExistingNic(session, plan.nic));
    return {};
  }
  const { nic, nsg, publicIp, subnetId } = plan;
  onOutputs({ 'nic-id': nic.id, 'nsg-id': nsg?.id, ...subnetIds(subnetId), 'public-ip-id': publicIp?.id });
  const [ip, created] = await allSettledOrThrow([
    publicIp?.origin === 'given'
      ? findPublicIp(session, publicIp)
      : createPart(context, plan, 'publicIp', existing.publicIp),
    createNsgAndVnet(context, plan, existing),
  ]);
  onOutputs(publicAddress(ip));
  const createdNic = await createPart(context, plan, 'nic', existing.nic);
  onOutputs({ 'private-ip-address': findPrimary(createdNic?.ipConfigurations)?.privateIPAddress });
  return omitUndefined({ nic: createdNic, ...created, publicIp: publicIp?.origin === 'made' ? ip : undefined });
}

/** In this order: policies such as "Deny-Subnet-Without-Nsg" refuse a subnet that gets its NSG in a later request. */
async function createNsgAndVnet(context: RunContext, plan: Plan, existing: ExistingResources) {
  const nsg = await createPart(context, plan, 'nsg', existing.nsg);
  return { nsg, vnet: await createPart(context, plan, 'vnet', existing.vnet) };
}

interface NetworkOperations<T> {
  get(resourceGroup: string, name: string, options: RequestOptions): Promise<T>;
  createOrUpdate(
    resourceGroup: string,
    name: string,
    body: T,
    options: RequestOptions,
  ): PollerLike<OperationState<T>, T>;
}

/**
 * `skipResult`: the answer to the PUT is enough; it is returned. See `PollOptions`.
 * `lookAgain`: those that follow others. The first ones are written right after the group was listed.
 */
const parts = {
  nsg: { operations: 'networkSecurityGroups', skipResult: true, lookAgain: false },
  publicIp: { operations: 'publicIPAddresses', skipResult: false, lookAgain: false },
  vnet: { operations: 'virtualNetworks', skipResult: true, lookAgain: true },
  nic: { operations: 'networkInterfaces', skipResult: false, lookAgain: true },
} as const;

type Resource<Part extends keyof typeof parts> = NonNullable<ExistingResources[Part]>;

/** Undefined if the deployment uses none, or one that exists. */
async function createPart<Part extends keyof typeof parts>(
  context: RunContext,
  plan: Plan,
  part: Part,
  existing: ExistingResources[Part],
): Promise<Resource<Part> | undefined> {
  const planned = plan[part];
  if (!planned || !('body' in planned)) return undefined;
  const { id, name, body } = planned;
  const { skipResult, lookAgain } = parts[part];
  const { waiting, network } = context.session;
  const operations = network[parts[part].operations] as unknown as NetworkOperations<Resource<Part>>;
  const what = `${resourceTitles[part]} ${name}`;
  const options = { abortSignal: waiting.signal };
  return createIfMissing<Resource<Part>>(context, {
    what,
    id,
    existing,
    lookAgain,
    reread: () => undefinedIfNotFound(operations.get(plan.resourceGroup, name, options)),
    put: async (onAccepted) => {
      context.log.info(`Creating ${what}.`);
      let answer: { readonly status: number; readonly parsedBody?: unknown } = { status: 0 };
      const onResponse: RequestOptions['onResponse'] = (response) => {
        if (response.request.method === 'PUT') answer = response;
      };
      const poller = operations.createOrUpdate(plan.resourceGroup, name, body, { ...options, onResponse });
      const pollOptions = { ...waiting, skipResult, onAccepted: () => onAccepted(answer.status) };
      const result = await pollUntilDone(what, 'network', pollOptions, poller);
      return skipResult ? (flattenProperties(answer.parsedBody) as Resource<Part>) : result;
    },
  });
}

/** Attaching it needs no read permission, and the address is only for the outputs. */
function findPublicIp({ network }: Session, { resourceGroup, name }: ResourceId): Promise<PublicIPAddress | undefined> {
  return undefinedIfDenied(network.publicIPAddresses.get(resourceGroup, name));
}

async function readExistingNic(session: Session, { id, resourceGroup, name }: ResourceId): Promise<OutputValues> {
  const nic = await session.network.networkInterfaces.get(resourceGroup, name);
  const configuration = findPrimary(nic.ipConfigurations);
  const publicIpId = configuration?.publicIPAddress?.id;
  const publicIp = parseResourceId(publicIpId ?? '');
  return {
    'nic-id': id,
    'nsg-id': nic.networkSecurityGroup?.id,
    ...subnetIds(configuration?.subnet?.id),
    'public-ip-id': publicIpId,
    ...publicAddress(publicIp && (await findPublicIp(session, publicIp))),
    'private-ip-address': configuration?.privateIPAddress,
  };
}

function subnetIds(subnetId: string | undefined): OutputValues {
  return { 'vnet-id': subnetId?.replace(/\/subnets\/[^/]+$/i, ''), 'subnet-id': subnetId };
}

function publicAddress(publicIp: PublicIPAddress | undefined): OutputValues {
  return { 'public-ip-address': publicIp?.ipAddress, fqdn: publicIp?.dnsSettings?.fqdn };
}
