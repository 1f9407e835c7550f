import type { NetworkInterface, PublicIPAddress } from '@azure/arm-network';
import type { OperationState, PollerLike } from '@azure/core-lro';
import { orUndefined, type Session } from './azure.ts';
import type { Survey } from './facts.ts';
import { AzureError } from './failure.ts';
import { bring, type Ledger, type Run } from './ledger.ts';
import type { Plan, Planned } from './plan.ts';
import { parseResourceId, type ResourceId } from './resource-id.ts';
import { allSettledOrThrow, untilDone } from './waiting.ts';

/** The network as it stands: what the outputs tell. */
export interface BuiltNetwork {
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
export type OnPart = (part: Partial<BuiltNetwork>) => void;

interface Site {
  readonly session: Session;
  readonly ledger: Ledger;
  readonly run: Run;
  readonly log: { info(line: string): void };
}

/**
 * Carries out the network part: NSG, virtual network and public IP side by side, the interface as soon as they are there.
 * @throws AzureError; Failure when a name is taken by something foreign.
 */
export async function buildNetwork(
  site: Site,
  plan: Plan,
  existing: Survey,
  onPart: OnPart,
): Promise<BuiltNetwork> {
  if (plan.nic.origin === 'given') {
    const built = await readGivenNic(site.session, plan.nic.id);
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
  const { network } = site.session;
  const { resourceGroup, nsg, vnet, publicIp } = plan;
  const [, , ip] = await allSettledOrThrow([
    nsg?.origin === 'made' &&
      bringPart(
        site,
        resourceGroup,
        'network security group',
        network.networkSecurityGroups,
        nsg,
        existing.nsg,
      ),
    vnet && bringPart(site, resourceGroup, 'virtual network', network.virtualNetworks, vnet, existing.vnet),
    publicIp?.origin === 'made'
      ? bringPart(site, resourceGroup, 'public IP', network.publicIPAddresses, publicIp, existing.publicIp)
      : publicIp && readPublicIp(site.session, publicIp.id),
  ]);
  onPart(addressOf(ip));
  const nic = await bringNic(site, resourceGroup, plan.nic);
  const privateIpAddress = nic.ipConfigurations?.[0]?.privateIPAddress;
  const built = { ...ids, ...addressOf(ip), ...(privateIpAddress ? { privateIpAddress } : {}) };
  onPart(built);
  return built;
}

/** What the SDK's operation groups of Microsoft.Network have in common. */
interface Group<T> {
  get(resourceGroup: string, name: string, options?: { abortSignal?: AbortSignal }): Promise<T>;
  createOrUpdate(
    resourceGroup: string,
    name: string,
    body: T,
    options?: { abortSignal?: AbortSignal },
  ): PollerLike<OperationState<T>, T>;
}

function bringPart<T extends { tags?: Record<string, string>; provisioningState?: string }>(
  { session: { waiting }, ledger, run, log }: Site,
  resourceGroup: string,
  kind: string,
  group: Group<T>,
  { id, name, body }: Planned<T>,
  existing: T | undefined,
): Promise<T> {
  const what = `${kind} ${name}`;
  const options = { abortSignal: waiting.signal };
  return bring(
    { ledger, run, waiting, log },
    {
      what,
      id,
      existing,
      reread: () => orUndefined(group.get(resourceGroup, name, options)),
      put: (answered) => {
        log.info(`Creating ${what}.`);
        return untilDone(
          what,
          'network',
          waiting,
          group.createOrUpdate(resourceGroup, name, body, options),
          answered,
        );
      },
    },
  );
}

async function bringNic(
  site: Site,
  resourceGroup: string,
  planned: Planned<NetworkInterface>,
): Promise<NetworkInterface> {
  const group = site.session.network.networkInterfaces;
  // Its parents took seconds: look again, Network has no If-None-Match.
  const existing = await orUndefined(
    group.get(resourceGroup, planned.name, { abortSignal: site.session.waiting.signal }),
  );
  return bringPart(site, resourceGroup, 'network interface', group, planned, existing);
}

/** Undefined where it may not be read: whoever may join it need not, and the address only goes into the outputs. */
async function readPublicIp({ network }: Session, id: string): Promise<PublicIPAddress | undefined> {
  const { resourceGroup, name } = partsOf(id);
  try {
    return await network.publicIPAddresses.get(resourceGroup, name);
  } catch (error) {
    if (error instanceof AzureError && error.fault.status === 403) return undefined;
    throw error;
  }
}

async function readGivenNic(session: Session, id: string): Promise<BuiltNetwork> {
  const { resourceGroup, name } = partsOf(id);
  const nic = await session.network.networkInterfaces.get(resourceGroup, name);
  const configuration = nic.ipConfigurations?.find(({ primary }) => primary) ?? nic.ipConfigurations?.[0];
  const subnetId = configuration?.subnet?.id;
  const publicIpId = configuration?.publicIPAddress?.id;
  return {
    nicId: id,
    ...(nic.networkSecurityGroup?.id ? { nsgId: nic.networkSecurityGroup.id } : {}),
    ...(subnetId ? { subnetId, vnetId: subnetId.replace(/\/subnets\/[^/]+$/i, '') } : {}),
    ...(publicIpId ? { publicIpId, ...addressOf(await readPublicIp(session, publicIpId)) } : {}),
    ...(configuration?.privateIPAddress ? { privateIpAddress: configuration.privateIPAddress } : {}),
  };
}

function addressOf(publicIp: PublicIPAddress | undefined): Pick<BuiltNetwork, 'publicIpAddress' | 'fqdn'> {
  return {
    ...(publicIp?.ipAddress ? { publicIpAddress: publicIp.ipAddress } : {}),
    ...(publicIp?.dnsSettings?.fqdn ? { fqdn: publicIp.dnsSettings.fqdn } : {}),
  };
}

function partsOf(id: string): ResourceId {
  const parsed = parseResourceId(id);
  if (!parsed) throw new Error(`not a resource ID: ${id}`);
  return parsed;
}
