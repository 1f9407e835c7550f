import type { PublicIPAddress } from '@azure/arm-network';
import type { OperationState, PollerLike } from '@azure/core-lro';
import { undefinedIfDenied, undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, parseResourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import type { RunContext } from '../deployment/cleanup-state.ts';
import { createIfMissing } from '../deployment/create-if-missing.ts';
import type { ExistingResources, Plan, PlannedResource } from '../deployment/resources.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import { flattenProperties, omitUndefined } from '../lib/json.ts';
import type { OutputValues } from '../runner/environment.ts';

/**
 * Creates the NSG and then the virtual network that refers to it, the public IP in parallel; then the network interface.
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
    onOutputs(await readExistingNic(session, plan.nic.id));
    return {};
  }
  const { network } = session;
  const { nic, nsg, publicIp } = plan;
  onOutputs({ 'nic-id': nic.id, 'nsg-id': nsg?.id, ...subnetIds(plan.subnetId), 'public-ip-id': publicIp?.id });
  const [ip, created] = await allSettledOrThrow([
    publicIp?.origin === 'made'
      ? createNetworkResource(context, plan, {
          kind: 'public IP',
          operations: network.publicIPAddresses,
          planned: publicIp,
          existing: existing.publicIp,
        })
      : publicIp && findPublicIp(session, publicIp.id),
    createNsgAndVnet(context, plan, existing),
  ]);
  onOutputs(publicAddress(ip));
  // Its parents took seconds, and Network has no If-None-Match: look again.
  const options = { abortSignal: session.waiting.signal };
  const findNic = () => undefinedIfNotFound(network.networkInterfaces.get(plan.resourceGroup, nic.name, options));
  const createdNic = await createNetworkResource(context, plan, {
    kind: 'network interface',
    operations: network.networkInterfaces,
    planned: nic,
    existing: existing.nic ?? (await findNic()),
  });
  onOutputs({ 'private-ip-address': createdNic.ipConfigurations?.[0]?.privateIPAddress });
  return { nic: createdNic, ...created, ...omitUndefined({ publicIp: publicIp?.origin === 'made' ? ip : undefined }) };
}

/** In this order: policies such as "Deny-Subnet-Without-Nsg" refuse a subnet that gets its NSG in a later request. */
async function createNsgAndVnet(
  context: RunContext,
  plan: Plan,
  existing: ExistingResources,
): Promise<Pick<ExistingResources, 'nsg' | 'vnet'>> {
  const { network } = context.session;
  const createdNsg =
    plan.nsg?.origin === 'made'
      ? await createNetworkResource(context, plan, {
          kind: 'network security group',
          operations: network.networkSecurityGroups,
          planned: plan.nsg,
          existing: existing.nsg,
          skipResult: true,
        })
      : undefined;
  const createdVnet =
    plan.vnet &&
    (await createNetworkResource(context, plan, {
      kind: 'virtual network',
      operations: network.virtualNetworks,
      planned: plan.vnet,
      existing: existing.vnet,
      skipResult: true,
    }));
  return omitUndefined({ nsg: createdNsg, vnet: createdVnet });
}

interface NetworkOperations<T> {
  get(resourceGroup: string, name: string, options?: { abortSignal?: AbortSignal }): Promise<T>;
  createOrUpdate(
    resourceGroup: string,
    name: string,
    body: T,
    options?: { abortSignal?: AbortSignal; onResponse?: (response: HttpAnswer) => void },
  ): PollerLike<OperationState<T>, T>;
}

interface HttpAnswer {
  readonly status: number;
  readonly parsedBody?: unknown;
  readonly request: { readonly method: string };
}

interface NetworkResource<T> {
  readonly kind: string;
  readonly operations: NetworkOperations<T>;
  readonly planned: PlannedResource<T>;
  readonly existing: T | undefined;
  /** The answer to the PUT is enough; it is returned. See `PollOptions`. */
  readonly skipResult?: boolean;
}

function createNetworkResource<T extends { tags?: Record<string, string>; provisioningState?: string }>(
  context: RunContext,
  { resourceGroup }: Plan,
  { kind, operations, planned: { id, name, body }, existing, skipResult = false }: NetworkResource<T>,
): Promise<T> {
  const what = `${kind} ${name}`;
  const { waiting } = context.session;
  const options = { abortSignal: waiting.signal };
  return createIfMissing(context, {
    what,
    id,
    existing,
    reread: () => undefinedIfNotFound(operations.get(resourceGroup, name, options)),
    put: async (onAccepted) => {
      context.log.info(`Creating ${what}.`);
      let answer: HttpAnswer | undefined;
      const onResponse = (response: HttpAnswer): void => {
        if (response.request.method === 'PUT') answer = response;
      };
      const poller = operations.createOrUpdate(resourceGroup, name, body, { ...options, onResponse });
      const pollOptions = { ...waiting, skipResult, onAccepted: () => onAccepted(answer?.status ?? 0) };
      const result = await pollUntilDone(what, 'network', pollOptions, poller);
      return skipResult ? (flattenProperties(answer?.parsedBody) as T) : result;
    },
  });
}

/** Attaching it needs no read permission, and the address is only for the outputs. */
function findPublicIp({ network }: Session, id: string): Promise<PublicIPAddress | undefined> {
  const { resourceGroup, name } = parseNetworkId(id);
  return undefinedIfDenied(network.publicIPAddresses.get(resourceGroup, name));
}

async function readExistingNic(session: Session, id: string): Promise<OutputValues> {
  const { resourceGroup, name } = parseNetworkId(id);
  const nic = await session.network.networkInterfaces.get(resourceGroup, name);
  const configuration = nic.ipConfigurations?.find(({ primary }) => primary) ?? nic.ipConfigurations?.[0];
  const publicIpId = configuration?.publicIPAddress?.id;
  return {
    'nic-id': id,
    'nsg-id': nic.networkSecurityGroup?.id,
    ...subnetIds(configuration?.subnet?.id),
    'public-ip-id': publicIpId,
    ...publicAddress(publicIpId ? await findPublicIp(session, publicIpId) : undefined),
    'private-ip-address': configuration?.privateIPAddress,
  };
}

function subnetIds(subnetId: string | undefined): OutputValues {
  return { 'vnet-id': subnetId?.replace(/\/subnets\/[^/]+$/i, ''), 'subnet-id': subnetId };
}

function publicAddress(publicIp: PublicIPAddress | undefined): OutputValues {
  return { 'public-ip-address': publicIp?.ipAddress, fqdn: publicIp?.dnsSettings?.fqdn };
}

function parseNetworkId(id: string): ResourceId {
  const parsed = parseResourceId(id);
  if (!parsed) throw new Error(`not a resource ID: ${id}`);
  return parsed;
}
