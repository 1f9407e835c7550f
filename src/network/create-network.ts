import type { NetworkInterface, PublicIPAddress } from '@azure/arm-network';
import type { OperationState, PollerLike } from '@azure/core-lro';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, parseResourceId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import type { CleanupState } from '../deployment/cleanup-state.ts';
import { createIfMissing } from '../deployment/create-if-missing.ts';
import type { ExistingResources } from '../deployment/resources.ts';
import type { Plan, PlannedResource } from '../deployment/plan.ts';
import { AzureError } from '../errors/azure-error.ts';
import { allSettledOrThrow } from '../lib/abort.ts';
import type { WorkflowRun } from '../runner/github-context.ts';

/** The network as it stands: what the outputs tell. */
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

/** Called as soon as a part is known, so that a later step can act on a run that was cancelled. */
type OnNetworkResource = (part: Partial<Network>) => void;

interface NetworkContext {
  readonly session: Session;
  readonly cleanupState: CleanupState;
  readonly run: WorkflowRun;
  readonly log: { info(line: string): void };
}

/**
 * Carries out the network part: NSG, virtual network and public IP side by side, the interface as soon as they are there.
 * @throws AzureError; Failure when a name is taken by something foreign.
 */
export async function createNetwork(
  context: NetworkContext,
  plan: Plan,
  existing: ExistingResources,
  onPart: OnNetworkResource,
): Promise<Network> {
  if (plan.nic.origin === 'given') {
    const built = await readExistingNic(context.session, plan.nic.id);
    onPart(built);
    return built;
  }
  const ids = {
    nicId: plan.nic.id,
    ...(plan.nsg ? { nsgId: plan.nsg.id } : {}),
    ...(plan.subnetId
      ? { subnetId: plan.subnetId, vnetId: plan.subnetId.replace(/\/subnets\/[^/]+$/i, '') }
      : {}),
    ...(plan.publicIp ? { publicIpId: plan.publicIp.id } : {}),
  };
  onPart(ids);
  const { network } = context.session;
  const { resourceGroup, nsg, vnet, publicIp } = plan;
  const [, , ip] = await allSettledOrThrow([
    nsg?.origin === 'made' &&
      createNetworkResource(
        context,
        resourceGroup,
        'network security group',
        network.networkSecurityGroups,
        nsg,
        existing.nsg,
      ),
    vnet &&
      createNetworkResource(
        context,
        resourceGroup,
        'virtual network',
        network.virtualNetworks,
        vnet,
        existing.vnet,
      ),
    publicIp?.origin === 'made'
      ? createNetworkResource(
          context,
          resourceGroup,
          'public IP',
          network.publicIPAddresses,
          publicIp,
          existing.publicIp,
        )
      : publicIp && getPublicIp(context.session, publicIp.id),
  ]);
  onPart(publicAddress(ip));
  const nic = await createNic(context, resourceGroup, plan.nic);
  const privateIpAddress = nic.ipConfigurations?.[0]?.privateIPAddress;
  const built = { ...ids, ...publicAddress(ip), ...(privateIpAddress ? { privateIpAddress } : {}) };
  onPart(built);
  return built;
}

/** What the SDK's operation groups of Microsoft.Network have in common. */
interface NetworkOperationGroup<T> {
  get(resourceGroup: string, name: string, options?: { abortSignal?: AbortSignal }): Promise<T>;
  createOrUpdate(
    resourceGroup: string,
    name: string,
    body: T,
    options?: { abortSignal?: AbortSignal },
  ): PollerLike<OperationState<T>, T>;
}

function createNetworkResource<T extends { tags?: Record<string, string>; provisioningState?: string }>(
  { session: { waiting }, cleanupState, run, log }: NetworkContext,
  resourceGroup: string,
  kind: string,
  group: NetworkOperationGroup<T>,
  { id, name, body }: PlannedResource<T>,
  existing: T | undefined,
): Promise<T> {
  const what = `${kind} ${name}`;
  const options = { abortSignal: waiting.signal };
  return createIfMissing(
    { cleanupState, run, waiting, log },
    {
      what,
      id,
      existing,
      reread: () => undefinedIfNotFound(group.get(resourceGroup, name, options)),
      put: (answered) => {
        log.info(`Creating ${what}.`);
        return pollUntilDone(
          what,
          'network',
          { ...waiting, onAccepted: answered },
          group.createOrUpdate(resourceGroup, name, body, options),
        );
      },
    },
  );
}

async function createNic(
  context: NetworkContext,
  resourceGroup: string,
  planned: PlannedResource<NetworkInterface>,
): Promise<NetworkInterface> {
  const group = context.session.network.networkInterfaces;
  // Its parents took seconds: look again, Network has no If-None-Match.
  const existing = await undefinedIfNotFound(
    group.get(resourceGroup, planned.name, { abortSignal: context.session.waiting.signal }),
  );
  return createNetworkResource(context, resourceGroup, 'network interface', group, planned, existing);
}

/** Undefined where it may not be read: whoever may join it need not, and the address only goes into the outputs. */
async function getPublicIp({ network }: Session, id: string): Promise<PublicIPAddress | undefined> {
  const { resourceGroup, name } = networkSummary(id);
  try {
    return await network.publicIPAddresses.get(resourceGroup, name);
  } catch (error) {
    if (error instanceof AzureError && error.fault.status === 403) return undefined;
    throw error;
  }
}

async function readExistingNic(session: Session, id: string): Promise<Network> {
  const { resourceGroup, name } = networkSummary(id);
  const nic = await session.network.networkInterfaces.get(resourceGroup, name);
  const configuration = nic.ipConfigurations?.find(({ primary }) => primary) ?? nic.ipConfigurations?.[0];
  const subnetId = configuration?.subnet?.id;
  const publicIpId = configuration?.publicIPAddress?.id;
  return {
    nicId: id,
    ...(nic.networkSecurityGroup?.id ? { nsgId: nic.networkSecurityGroup.id } : {}),
    ...(subnetId ? { subnetId, vnetId: subnetId.replace(/\/subnets\/[^/]+$/i, '') } : {}),
    ...(publicIpId ? { publicIpId, ...publicAddress(await getPublicIp(session, publicIpId)) } : {}),
    ...(configuration?.privateIPAddress ? { privateIpAddress: configuration.privateIPAddress } : {}),
  };
}

function publicAddress(publicIp: PublicIPAddress | undefined): Pick<Network, 'publicIpAddress' | 'fqdn'> {
  return {
    ...(publicIp?.ipAddress ? { publicIpAddress: publicIp.ipAddress } : {}),
    ...(publicIp?.dnsSettings?.fqdn ? { fqdn: publicIp.dnsSettings.fqdn } : {}),
  };
}

function networkSummary(id: string): ResourceId {
  const parsed = parseResourceId(id);
  if (!parsed) throw new Error(`not a resource ID: ${id}`);
  return parsed;
}
