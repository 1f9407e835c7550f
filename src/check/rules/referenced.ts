import { valueOf } from '../../azure/lookup.ts';
import { classifyOwnership } from '../../deployment/ownership.ts';
import type { Plan } from '../../deployment/resources.ts';
import { isAssignable, parsePrefix } from '../../lib/cidr.ts';
import { isWithin, normaliseRegion } from '../../azure/resource-id.ts';
import { quotaPage, subscriptionOwner } from '../../error-catalog/entry.ts';
import { findAzureError } from '../../errors/errors.ts';
import type { ReferencedProperties, ReferencedResource } from '../collect-resources.ts';
import type { Finding, Question, RuleContext } from '../facts.ts';
import { findUsage } from './sizes.ts';
import { shellCommand } from '../../lib/escape.ts';

const readActions: Readonly<Record<ReferencedResource['kind'], string>> = {
  subnet: 'Microsoft.Network/virtualNetworks/read',
  'network security group': 'Microsoft.Network/networkSecurityGroups/read',
  'public IP': 'Microsoft.Network/publicIPAddresses/read',
  'network interface': 'Microsoft.Network/networkInterfaces/read',
  identity: 'Microsoft.ManagedIdentity/userAssignedIdentities/read',
};

function checkReferenced(context: RuleContext): Finding[] {
  return context.facts.referenced.flatMap(({ kind, id, found }) => {
    const name = kind === 'identity' ? `identity/${id.split('/').at(-1)}` : kind.toLowerCase().replaceAll(' ', '-');
    const question = context.ask(`given/${name}`, `${kind} ${id}`, readActions[kind], id);
    if ('error' in found) {
      const status = findAzureError(found.error)?.status;
      const isReadByCreate = kind === 'network interface' || kind === 'public IP';
      if (status === 401 || (status === 403 && isReadByCreate)) return [question.refused(found.error)];
    }
    return question.answered(found, (resource) => checkReferencedResource(context, question, kind, resource));
  });
}

function checkReferencedResource(
  context: RuleContext,
  question: Question,
  kind: ReferencedResource['kind'],
  resource: ReferencedProperties | undefined,
): Finding {
  if (!resource) return question.fault('It does not exist.', ['Correct the ID.']);
  const { plan } = context;
  const { usedBy } = resource;
  const location = resource.location && normaliseRegion(resource.location);
  if (kind !== 'identity' && location && location !== plan.location) {
    return question.fault(
      `It is in ${location}, and the VM will be in ${plan.location}: both must be in the same region.`,
      [`Give \`location: ${location}\`, or another ${kind} in ${plan.location}.`],
    );
  }
  const conflict =
    zoneConflict(question, plan, resource) ?? (kind === 'subnet' && subnetConflict(context, question, resource));
  if (conflict) return conflict;
  const isOurs = [plan.vm.id, plan.nic.id].some((own) => usedBy && isWithin(usedBy, own));
  if (usedBy && !isOurs) {
    const fix = [`Give another ${kind}, or detach this one first; only one VM can use it.`];
    return question.fault(`It is in use by ${usedBy}.`, fix);
  }
  const region = location ? ` in ${location}` : '; its region could not be read';
  return question.ok(`Exists${region}${usedBy ? ', used by this deployment' : ''}.`);
}

/** A zonal public IP serves only VMs in its zone; a zone-redundant one has several zones. */
function zoneConflict(question: Question, { vm }: Plan, { zones = [] }: ReferencedProperties): Finding | undefined {
  const requested = vm.attempts.flatMap(({ zone }) => zone ?? []);
  if (zones.length === 0 || requested.length === 0) return undefined;
  if (requested.some((zone) => zones.includes(zone))) return undefined;
  const answer = `It is in zone ${zones.join(', ')}, and the VM will be in zone ${requested.join(' or ')}.`;
  return question.fault(answer, [`Give \`zone: ${zones.join(', ')}\`, or another public IP.`]);
}

function subnetConflict(context: RuleContext, question: Question, resource: ReferencedProperties): Finding | undefined {
  const { prefixes = [], usedAddresses = 0 } = resource;
  const ranges = prefixes.map(parsePrefix).flatMap((range) => ('error' in range ? [] : [range]));
  if (ranges.length === 0 || hasOwnNic(context)) return undefined;
  const { network } = context.inputs;
  const address = network.kind === 'new-nic' ? network.privateIpAddress : undefined;
  if (address && !ranges.some((range) => isAssignable(address, range))) {
    return question.fault(
      `${address} is not an address that a VM can have in ${prefixes.join(', ')}: Azure reserves the first four and the last.`,
      ['Give another `private-ip-address`, or leave it out.'],
    );
  }
  // Azure keeps five addresses of each prefix.
  const usable = ranges.reduce((sum, { first, last }) => sum + last - first + 1 - 5, 0);
  if (usedAddresses < usable) return undefined;
  const answer = `All ${usable} addresses of ${prefixes.join(', ')} are in use.`;
  return question.fault(answer, ['Give another subnet, or free an address in this one.']);
}

/** The network interface of this deployment exists and keeps its address. */
function hasOwnNic({ facts, inputs, run }: RuleContext): boolean {
  return classifyOwnership(valueOf(facts.existing.nic)?.tags, inputs.vmName, run) === 'ours';
}

function checkPrivateAddress(context: RuleContext): Finding[] {
  const { inputs, facts, ask } = context;
  const { network } = inputs;
  if (network.kind !== 'new-nic' || network.subnet.kind !== 'given' || hasOwnNic(context)) return [];
  const question = ask(
    'private-ip-address',
    `private IP address ${network.privateIpAddress} in subnet ${network.subnet.id.name}`,
    'Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read',
    network.subnet.id.id.replace(/\/subnets\/[^/]+$/i, ''),
  );
  const taken = question.fault('It is in use or reserved.', ['Give another `private-ip-address`, or leave it out.']);
  return question.answered(facts.privateAddressFree, (isFree) => (isFree ? question.ok('Free.') : taken));
}

function checkPublicIp(context: RuleContext): Finding[] {
  if (context.plan.publicIp?.origin !== 'made' || valueOf(context.facts.existing.publicIp)) return [];
  return [...checkPublicIpQuota(context), ...checkDnsLabel(context)];
}

function checkPublicIpQuota({ facts, plan, known, ask }: RuleContext): Finding[] {
  const asked = `public IP quota in ${plan.location}`;
  const question = ask('quota/public-ip', asked, 'Microsoft.Network/locations/usages/read');
  return question.answered(facts.networkUsages, (all) => {
    const usages = ['StandardSkuPublicIpAddresses', 'PublicIPAddresses'].flatMap((name) => findUsage(all, name) ?? []);
    const full = usages.find(({ limit, currentValue }) => limit - currentValue < 1);
    if (full) {
      const fix = [
        'Delete unused public IPs, use `public-ip: false`, or request a higher quota:',
        shellCommand`az network list-usages --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
        quotaPage(known),
      ];
      return question.fault(`All ${full.limit} are in use.`, fix, subscriptionOwner(known));
    }
    const [first] = usages;
    const free = first && `${first.limit - first.currentValue} of ${first.limit} are free.`;
    return question.ok(free ?? 'Azure lists no limit.');
  });
}

function checkDnsLabel({ inputs: { network }, facts, plan, ask }: RuleContext): Finding[] {
  const label = network.kind === 'new-nic' && network.publicIp.kind === 'new' ? network.publicIp.dnsLabel : undefined;
  const asked = `DNS label ${label} in ${plan.location}`;
  const question = ask('name/dns-label', asked, 'Microsoft.Network/locations/checkDnsNameAvailability/read');
  const taken = question.fault('Taken: labels are unique in a region.', ['Give another `dns-label`.']);
  return question.answered(facts.dnsLabelFree, (isFree) => (isFree ? question.ok('Free.') : taken));
}

export const referencedRules = [checkReferenced, checkPrivateAddress, checkPublicIp];
