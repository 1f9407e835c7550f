/** Answers about resources that the inputs name by ID, and about those that the plan would create. */
import type { NetworkInterface, PublicIPAddress, Subnet, VirtualNetwork } from '@azure/arm-network';
import { apiVersions } from '../azure/api-versions.ts';
import type { Session } from '../azure/arm-client.ts';
import { type Result, settle, undefinedIfNotFound } from '../azure/lookup.ts';
import type { ResourceId } from '../azure/resource-id.ts';
import type { ResourceGroup } from '../azure/subscriptions.ts';
import type { ExistingResources, Plan } from '../deployment/resources.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { type Json, flattenProperties, isJson, mergePatch } from '../lib/json.ts';

/** A resource that an input names by ID. */
export type ReferencedResource = Awaited<ReturnType<typeof collectReferenced>>[number];

export interface ReferencedProperties {
  readonly location?: string;
  /** ID of the resource that uses it, if only one can. */
  readonly usedBy?: string;
  /** Zones of a zonal public IP. */
  readonly zones?: readonly string[];
  /** Of a subnet. */
  readonly prefixes?: readonly string[];
  readonly usedAddresses?: number;
}

export type ExistingResults = { readonly [Part in keyof ExistingResources]?: Result<ExistingResources[Part]> };

export function collectReferenced(session: Session, inputs: DeployInputs) {
  return Promise.all(
    referencedIds(inputs).map(async (given) => {
      const read = given.kind === 'subnet' ? readGivenSubnet : readReferenced;
      return { kind: given.kind, id: given.id.id, found: await settle(() => read(session, given)) };
    }),
  );
}

interface ReferencedId {
  readonly kind: 'subnet' | 'network security group' | 'public IP' | 'network interface' | 'identity';
  readonly id: ResourceId;
}

function referencedIds({ network, identity }: DeployInputs): ReferencedId[] {
  const identities = identity.given.map((id): ReferencedId => ({ kind: 'identity', id }));
  if (network.kind === 'given-nic') return [{ kind: 'network interface', id: network.nicId }, ...identities];
  const { subnet, nsg, publicIp } = network;
  return [
    ...(subnet.kind === 'given' ? [{ kind: 'subnet', id: subnet.id } as const] : []),
    ...(nsg.kind === 'given' ? [{ kind: 'network security group', id: nsg.id } as const] : []),
    ...(publicIp.kind === 'given' ? [{ kind: 'public IP', id: publicIp.id } as const] : []),
    ...identities,
  ];
}

/** Reads by ID, in the shape of the SDK's models. */
async function readById<T>({ arm }: Session, id: string, api: string = apiVersions.network): Promise<T | undefined> {
  return flattenProperties(await undefinedIfNotFound(arm('GET', id, api))) as T | undefined;
}

async function readReferenced(session: Session, { kind, id }: ReferencedId): Promise<ReferencedProperties | undefined> {
  type Known = NetworkInterface & Pick<PublicIPAddress, 'ipConfiguration' | 'zones'>;
  const found = await readById<Known>(session, id.id, apiVersions[kind === 'identity' ? 'identities' : 'network']);
  const { location, zones, virtualMachine, ipConfiguration } = found ?? {};
  return found && { location, zones, usedBy: virtualMachine?.id ?? ipConfiguration?.id };
}

/** Only the virtual network has a region. An app that may join the subnet may not be able to read the network. */
async function readGivenSubnet(session: Session, { id }: ReferencedId): Promise<ReferencedProperties | undefined> {
  const vnet = await settle(() => readById<VirtualNetwork>(session, vnetIdOf(id.id)));
  if ('value' in vnet) {
    const { location, subnets = [] } = vnet.value ?? {};
    const found = subnets.find((subnet) => subnet.name?.toLowerCase() === id.name.toLowerCase());
    return found && { location, ...addressesOf(found) };
  }
  const subnet = await settle(() => readById<Subnet>(session, id.id));
  if ('error' in subnet) throw vnet.error;
  return subnet.value && addressesOf(subnet.value);
}

function vnetIdOf(subnetId: string): string {
  return subnetId.replace(/\/subnets\/[^/]+$/i, '');
}

function addressesOf({ addressPrefix, addressPrefixes = [], ipConfigurations = [] }: Subnet): ReferencedProperties {
  const prefixes = [...(addressPrefix ? [addressPrefix] : []), ...addressPrefixes];
  return { prefixes, usedAddresses: ipConfigurations.length };
}

/** https://learn.microsoft.com/rest/api/virtualnetwork/virtual-networks/check-ip-address-availability */
export function readAddressAvailability({ arm }: Session, { network }: DeployInputs) {
  if (network.kind !== 'new-nic' || network.subnet.kind !== 'given' || !network.privateIpAddress) return undefined;
  const path = `${vnetIdOf(network.subnet.id.id)}/CheckIPAddressAvailability`;
  const query = { ipAddress: network.privateIpAddress };
  return settle(async () => {
    const { available } = await arm<{ available?: boolean }>('GET', path, apiVersions.network, { query });
    return available === true;
  });
}

/**
 * The latest prices of the sizes that may be tried, in US dollars an hour.
 * https://learn.microsoft.com/azure/virtual-machines/spot-vms#pricing-and-eviction-history
 */
export function collectSpotPrices({ arm }: Session, { spot }: DeployInputs, { location, vm }: Plan) {
  if (!spot || spot.maxPrice === -1 || location === '') return undefined;
  const sizes = [...new Set(vm.attempts.map(({ size }) => `'${size}'`))];
  const query = `SpotResources
    | where type =~ 'microsoft.compute/skuspotpricehistory/ostype/location' and location =~ '${location}'
    | where properties.osType =~ '${vm.osType}' and sku.name in~ (${sizes.join(', ')})
    | project size = tostring(sku.name), price = todouble(properties.spotPrices[0].priceUSD)`;
  return settle(async () => {
    type Answer = { data?: { size: string; price: number }[] };
    const path = '/providers/Microsoft.ResourceGraph/resources';
    const { data = [] } = await arm<Answer>('POST', path, apiVersions.resourceGraph, { body: { query } });
    return data;
  });
}

/** https://learn.microsoft.com/rest/api/policy/policy-restrictions/check-at-resource-group-scope */
interface PolicyRestrictions {
  readonly contentEvaluationResult?: {
    readonly policyEvaluations?: readonly {
      readonly policyInfo?: { readonly policyAssignmentId?: string };
      readonly evaluationResult?: string;
      readonly evaluationDetails?: { readonly reason?: string };
      readonly effectDetails?: { readonly policyEffect?: string };
    }[];
  };
}

/** Has Azure Policy evaluate the resources that would be created, with the first size. */
export function collectPolicyDenials(
  { arm }: Session,
  { group, existing }: { readonly group: Result<ResourceGroup>; readonly existing: ExistingResults },
  plan: Plan,
) {
  if ('error' in group) return undefined;
  const subscription = `/subscriptions/${plan.subscriptionId}`;
  const scope = group.value.exists ? `${subscription}/resourceGroups/${plan.resourceGroup}` : subscription;
  const path = `${scope}/providers/Microsoft.PolicyInsights/checkPolicyRestrictions`;
  const { nic, nsg, publicIp, vnet, vm } = plan;
  const made = { nsg, vnet, publicIp, nic, vm: { ...vm, body: vm.body(vm.attempts[0] ?? { size: '' }) } };
  const resources = Object.entries(made).flatMap(([part, resource]) => {
    const found = existing[part as keyof ExistingResults];
    const isAbsent = found && 'value' in found && !found.value;
    return isAbsent && resource && 'body' in resource ? [resource] : [];
  });
  if (resources.length === 0) return undefined;
  return settle(async () => {
    const denials = await Promise.all(
      resources.map(async ({ id, name, body }) => {
        const type = /\/providers\/([^/]+\/[^/]+)/.exec(id)?.[1] ?? '';
        const patch = plan.patches.get(id.toLowerCase()) ?? {};
        const resourceContent = mergePatch({ type, name, ...restShape(body) }, patch);
        const apiVersion = type.startsWith('Microsoft.Compute') ? apiVersions.virtualMachines : apiVersions.network;
        const question = { body: { resourceDetails: { resourceContent, apiVersion } } };
        const answer = await arm<PolicyRestrictions>('POST', path, apiVersions.policyRestrictions, question);
        return (answer.contentEvaluationResult?.policyEvaluations ?? [])
          .filter(({ evaluationResult, effectDetails }) =>
            /^noncompliant deny$/i.test(`${evaluationResult} ${effectDetails?.policyEffect}`),
          )
          .map(({ policyInfo: { policyAssignmentId = '' } = {}, evaluationDetails }) => {
            return { resource: name, policyAssignmentId, reason: evaluationDetails?.reason };
          });
      }),
    );
    return denials.flat();
  });
}

const envelope = new Set(['id', 'name', 'location', 'tags', 'zones', 'sku', 'identity', 'plan']);

/** No policy needs them, and they hold passwords and keys. */
const withheld = new Set(['osProfile', 'userData']);

/** The SDK's models lack the level `properties`, also in lists. */
function restShape(body: object): Json {
  const entries = Object.entries(body)
    .filter(([key]) => !withheld.has(key))
    .map(([key, value]) => [key, shapeNested(value)] as const);
  return {
    ...Object.fromEntries(entries.filter(([key]) => envelope.has(key))),
    properties: Object.fromEntries(entries.filter(([key]) => !envelope.has(key))),
  };
}

/** Entries of lists are resources of their own if they have a name or an ID. */
function shapeNested(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((entry: unknown) =>
      isJson(entry) && ('name' in entry || 'id' in entry) ? restShape(entry) : entry,
    );
  }
  if (!isJson(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, nested]) => [key, shapeNested(nested)]));
}
