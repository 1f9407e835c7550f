import { valueOf } from '../../azure/lookup.ts';
import { classifyOwnership } from '../../deployment/ownership.ts';
import type { Plan } from '../../deployment/resources.ts';
import { isAssignable, parseAddress, parsePrefix } from '../../lib/cidr.ts';
import { normaliseRegion, sameId } from '../../azure/resource-id.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { findAzureError } from '../../errors/errors.ts';
import {
  type Finding,
  type Question,
  type ReferencedProperties,
  type ReferencedResource,
  type RuleContext,
  answered,
  faultFinding,
  faultFromError,
  okFinding,
} from '../facts.ts';
import { findUsage, quotaFix } from './sizes.ts';
import { shellCommand } from '../../lib/escape.ts';

const readActions: Readonly<Record<ReferencedResource['kind'], string>> = {
  subnet: 'Microsoft.Network/virtualNetworks/read',
  'network security group': 'Microsoft.Network/networkSecurityGroups/read',
  'public IP': 'Microsoft.Network/publicIPAddresses/read',
  'network interface': 'Microsoft.Network/networkInterfaces/read',
  identity: 'Microsoft.ManagedIdentity/userAssignedIdentities/read',
};

/** Resources that the inputs name by ID. */
export function checkReferenced(context: RuleContext): Finding[] {
  return context.facts.referenced.flatMap(({ kind, id, found }) => {
    const name = id.split('/').at(-1) ?? '';
    const question = {
      id: `given/${kind.toLowerCase().replaceAll(' ', '-')}${kind === 'identity' ? `/${name}` : ''}`,
      asked: `${kind} ${id}`,
      permission: { action: readActions[kind], scope: id },
    };
    if ('error' in found) {
      const status = findAzureError(found.error)?.status;
      const isReadByCreate = kind === 'network interface' || kind === 'public IP';
      if (status === 401 || (status === 403 && isReadByCreate))
        return [faultFromError(question, found.error, context.known)];
    }
    return answered(question, found, context.known, (resource) =>
      checkReferencedResource(context, question, kind, resource),
    );
  });
}

function checkReferencedResource(
  context: RuleContext,
  question: Question,
  kind: ReferencedResource['kind'],
  resource: ReferencedProperties | undefined,
): Finding {
  if (!resource) return faultFinding(question, 'It does not exist.', workflowAuthor, ['Correct the ID.']);
  const { plan } = context;
  const { usedBy } = resource;
  const location = resource.location && normaliseRegion(resource.location);
  if (kind !== 'identity' && location && location !== plan.location) {
    const answer = `It is in ${location}, and the VM will be in ${plan.location}: both must be in the same region.`;
    return faultFinding(question, answer, workflowAuthor, [
      `Give \`location: ${location}\`, or another ${kind} in ${plan.location}.`,
    ]);
  }
  const conflict = zoneConflict(plan, resource) ?? (kind === 'subnet' && subnetConflict(context, resource));
  if (conflict) return faultFinding(question, conflict.answer, workflowAuthor, conflict.fix);
  const isOurs = [plan.vm.id, plan.nic.id].some(
    (own) => usedBy && (sameId(own, usedBy) || usedBy.toLowerCase().startsWith(`${own.toLowerCase()}/`)),
  );
  if (usedBy && !isOurs) {
    return faultFinding(question, `It is in use by ${usedBy}.`, workflowAuthor, [
      `Give another ${kind}, or detach this one first; only one VM can use it.`,
    ]);
  }
  const region = location ? ` in ${location}` : '; its region could not be read';
  return okFinding(question, `Exists${region}${usedBy ? ', used by this deployment' : ''}.`);
}

interface Conflict {
  readonly answer: string;
  readonly fix: readonly string[];
}

/** A zonal public IP serves only VMs in its zone; a zone-redundant one has several zones. */
function zoneConflict({ vm }: Plan, { zones = [] }: ReferencedProperties): Conflict | undefined {
  const requested = vm.attempts.flatMap(({ zone }) => zone ?? []);
  if (zones.length === 0 || requested.length === 0) return undefined;
  if (requested.some((zone) => zones.includes(zone))) return undefined;
  return {
    answer: `It is in zone ${zones.join(', ')}, and the VM will be in zone ${requested.join(' or ')}.`,
    fix: [`Give \`zone: ${zones.join(', ')}\`, or another public IP.`],
  };
}

function subnetConflict(context: RuleContext, resource: ReferencedProperties): Conflict | undefined {
  const { prefixes = [], usedAddresses = 0 } = resource;
  const ranges = prefixes.flatMap((prefix) => {
    const range = parsePrefix(prefix);
    return 'error' in range ? [] : [range];
  });
  if (ranges.length === 0 || hasOwnNic(context)) return undefined;
  const { network } = context.inputs;
  const address = network.kind === 'new-nic' ? network.privateIpAddress : undefined;
  if (address && !ranges.some((range) => isAssignable(parseAddress(address) ?? 0, range))) {
    return {
      answer: `${address} is not an address that a VM can have in ${prefixes.join(', ')}: Azure reserves the first four and the last.`,
      fix: ['Give another `private-ip-address`, or leave it out.'],
    };
  }
  // Azure keeps five addresses of each prefix.
  const usable = ranges.reduce((sum, { first, last }) => sum + last - first + 1 - 5, 0);
  if (usedAddresses < usable) return undefined;
  return {
    answer: `All ${usable} addresses of ${prefixes.join(', ')} are in use.`,
    fix: ['Give another subnet, or free an address in this one.'],
  };
}

/** The network interface of this deployment exists and keeps its address. */
function hasOwnNic({ facts, inputs, run }: RuleContext): boolean {
  return classifyOwnership(valueOf(facts.existing.nic)?.tags, inputs.vmName, run) === 'ours';
}

export function checkPrivateAddress(context: RuleContext): Finding[] {
  const { inputs, facts, known } = context;
  const { network } = inputs;
  if (network.kind !== 'new-nic' || network.subnet.kind !== 'given') return [];
  if (hasOwnNic(context)) return [];
  const question = {
    id: 'private-ip-address',
    asked: `private IP address ${network.privateIpAddress} in subnet ${network.subnet.id.name}`,
    permission: {
      action: 'Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read',
      scope: network.subnet.id.id.replace(/\/subnets\/[^/]+$/i, ''),
    },
  };
  return answered(question, facts.privateAddressFree, known, (isFree) =>
    isFree
      ? okFinding(question, 'Free.')
      : faultFinding(question, 'It is in use or reserved.', workflowAuthor, [
          'Give another `private-ip-address`, or leave it out.',
        ]),
  );
}

/** Quota and DNS label of a public IP that will be created. */
export function checkPublicIp(context: RuleContext): Finding[] {
  if (context.plan.publicIp?.origin !== 'made' || valueOf(context.facts.existing.publicIp)) return [];
  return [...checkPublicIpQuota(context), ...checkDnsLabel(context)];
}

function checkPublicIpQuota(context: RuleContext): Finding[] {
  const { facts, plan, known, subscription } = context;
  const question = {
    id: 'quota/public-ip',
    asked: `public IP quota in ${plan.location}`,
    permission: { action: 'Microsoft.Network/locations/usages/read', scope: subscription },
  };
  return answered(question, facts.networkUsages, known, (all) => {
    const usages = ['StandardSkuPublicIpAddresses', 'PublicIPAddresses'].flatMap((name) => findUsage(all, name) ?? []);
    const full = usages.find(({ limit, currentValue }) => limit - currentValue < 1);
    if (full) {
      const owner = `the owner of subscription ${known.subscriptionId}`;
      return faultFinding(question, `All ${full.limit} are in use.`, owner, [
        'Delete unused public IPs, use `public-ip: false`, or request a higher quota:',
        ...quotaFix(
          shellCommand`az network list-usages --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
          known,
        ),
      ]);
    }
    const [first] = usages;
    const free = first && `${first.limit - first.currentValue} of ${first.limit} are free.`;
    return okFinding(question, free ?? 'Azure lists no limit.');
  });
}

function checkDnsLabel({ inputs, facts, plan, known, subscription }: RuleContext): Finding[] {
  const { network } = inputs;
  const label = network.kind === 'new-nic' && network.publicIp.kind === 'new' ? network.publicIp.dnsLabel : undefined;
  if (!label) return [];
  const question = {
    id: 'name/dns-label',
    asked: `DNS label ${label} in ${plan.location}`,
    permission: { action: 'Microsoft.Network/locations/checkDnsNameAvailability/read', scope: subscription },
  };
  return answered(question, facts.dnsLabelFree, known, (isFree) =>
    isFree
      ? okFinding(question, 'Free.')
      : faultFinding(question, 'Taken: labels are unique in a region.', workflowAuthor, ['Give another `dns-label`.']),
  );
}
