import type { PublicIPAddress } from '@azure/arm-network';
import type { OperationState, PollerLike } from '@azure/core-lro';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, parseResourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import { createIfMissing } from '../deployment/create-if-missing.ts';
import type { ExistingResources, Plan, PlannedResource } from '../deployment/resources.ts';
import { AzureError } from '../errors/azure-error.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import { flattenProperties, omitUndefined } from '../lib/json.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import type { LogWriter } from '../runner/log.ts';

/** What the outputs say about the network. */
interface Network {
  readonly nicId: string;
  readonly nsgId?: string;
  readonly vnetId?: string;
  readonly subnetId?: string;
  readonly publicIpId?: string;
  readonly publicIpAddress?: string;
  readonly privateIpAddress?: string;
  readonly fqdn?: string;
}

interface NetworkContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly log: Pick<LogWriter, 'info'>;
}

/**
 * Creates the NSG and then the virtual network that refers to it, the public IP in parallel; then the network interface.
 * @param onResource receives each part as soon as it is known, so that later steps can act on a cancelled run.
 * @returns the resources as Azure returned them; none with an existing network interface.
 * @throws AzureError; ActionError if a resource of that name does not belong to the deployment.
 */
export async function createNetwork(
  context: NetworkContext,
  plan: Plan,
  existing: ExistingResources,
  onResource: (part: Partial<Network>) => void,
): Promise<ExistingResources> {
  const { session } = context;
  if (plan.nic.origin === 'given') {
    onResource(await readExistingNic(session, plan.nic.id));
    return {};
  }
  const { network } = session;
  const { nic, nsg, publicIp } = plan;
  onResource({
    nicId: nic.id,
    ...subnetIds(plan.subnetId),
    ...omitUndefined({ nsgId: nsg?.id, publicIpId: publicIp?.id }),
  });
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
  onResource(publicAddress(ip));
  // Its parents took seconds, and Network has no If-None-Match: look again.
  const options = { abortSignal: session.waiting.signal };
  const findNic = () => undefinedIfNotFound(network.networkInterfaces.get(plan.resourceGroup, nic.name, options));
  const createdNic = await createNetworkResource(context, plan, {
    kind: 'network interface',
    operations: network.networkInterfaces,
    planned: nic,
    existing: existing.nic ?? (await findNic()),
  });
  onResource(omitUndefined({ privateIpAddress: createdNic.ipConfigurations?.[0]?.privateIPAddress }));
  return { nic: createdNic, ...created, ...omitUndefined({ publicIp: publicIp?.origin === 'made' ? ip : undefined }) };
}

/** In this order: policies such as "Deny-Subnet-Without-Nsg" refuse a subnet that gets its NSG in a later request. */
async function createNsgAndVnet(
  context: NetworkContext,
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

/** What the SDK's operation groups of Microsoft.Network have in common. */
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
  /** For the log: `virtual network`. */
  readonly kind: string;
  readonly operations: NetworkOperations<T>;
  readonly planned: PlannedResource<T>;
  readonly existing: T | undefined;
  /** The answer to the PUT is enough; it is returned. See `PollOptions`. */
  readonly skipResult?: boolean;
}

function createNetworkResource<T extends { tags?: Record<string, string>; provisioningState?: string }>(
  { session: { waiting }, cleanupState, run, log }: NetworkContext,
  { resourceGroup }: Plan,
  { kind, operations, planned: { id, name, body }, existing, skipResult = false }: NetworkResource<T>,
): Promise<T> {
  const what = `${kind} ${name}`;
  const options = { abortSignal: waiting.signal };
  return createIfMissing(
    { cleanupState, run, waiting, log },
    {
      what,
      id,
      existing,
      reread: () => undefinedIfNotFound(operations.get(resourceGroup, name, options)),
      put: async (onAccepted) => {
        log.info(`Creating ${what}.`);
        let answer: HttpAnswer | undefined;
        const onResponse = (response: HttpAnswer): void => {
          if (response.request.method === 'PUT') answer = response;
        };
        const poller = operations.createOrUpdate(resourceGroup, name, body, { ...options, onResponse });
        const pollOptions = { ...waiting, skipResult, onAccepted: () => onAccepted(answer?.status ?? 0) };
        const result = await pollUntilDone(what, 'network', pollOptions, poller);
        return skipResult ? (flattenProperties(answer?.parsedBody) as T) : result;
      },
    },
  );
}

/** Undefined without read permission: attaching it does not need that, and the address is only for the outputs. */
async function findPublicIp({ network }: Session, id: string): Promise<PublicIPAddress | undefined> {
  const { resourceGroup, name } = parseNetworkId(id);
  try {
    return await network.publicIPAddresses.get(resourceGroup, name);
  } catch (error) {
    if (error instanceof AzureError && error.fault.status === 403) return undefined;
    throw error;
  }
}

async function readExistingNic(session: Session, id: string): Promise<Network> {
  const { resourceGroup, name } = parseNetworkId(id);
  const nic = await session.network.networkInterfaces.get(resourceGroup, name);
  const configuration = nic.ipConfigurations?.find(({ primary }) => primary) ?? nic.ipConfigurations?.[0];
  const publicIpId = configuration?.publicIPAddress?.id;
  return {
    nicId: id,
    ...subnetIds(configuration?.subnet?.id),
    ...(publicIpId ? publicAddress(await findPublicIp(session, publicIpId)) : {}),
    ...omitUndefined({
      nsgId: nic.networkSecurityGroup?.id,
      publicIpId,
      privateIpAddress: configuration?.privateIPAddress,
    }),
  };
}

function subnetIds(subnetId: string | undefined): Pick<Network, 'subnetId' | 'vnetId'> {
  return subnetId ? { subnetId, vnetId: subnetId.replace(/\/subnets\/[^/]+$/i, '') } : {};
}

function publicAddress(publicIp: PublicIPAddress | undefined): Pick<Network, 'publicIpAddress' | 'fqdn'> {
  return omitUndefined({ publicIpAddress: publicIp?.ipAddress, fqdn: publicIp?.dnsSettings?.fqdn });
}

function parseNetworkId(id: string): ResourceId {
  const parsed = parseResourceId(id);
  if (!parsed) throw new Error(`not a resource ID: ${id}`);
  return parsed;
}
