import { normaliseRegion, sameId } from '../../azure/resource-id.ts';
import { workflowAuthor } from '../../error-catalog/entry.ts';
import { findAzureError } from '../../errors/azure-error.ts';
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
import { findUsage, quotaFix } from './quota.ts';

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
  { plan }: RuleContext,
  question: Question,
  kind: ReferencedResource['kind'],
  resource: ReferencedProperties | undefined,
): Finding {
  if (!resource) return faultFinding(question, 'It does not exist.', workflowAuthor, ['Correct the ID.']);
  const { usedBy } = resource;
  const location = resource.location && normaliseRegion(resource.location);
  if (kind !== 'identity' && location && location !== plan.location) {
    const answer = `It is in ${location}, and the VM will be in ${plan.location}: both must be in the same region.`;
    return faultFinding(question, answer, workflowAuthor, [
      `Give \`location: ${location}\`, or another ${kind} in ${plan.location}.`,
    ]);
  }
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

/** Quota and DNS label of a public IP that will be created. */
export function checkPublicIp(context: RuleContext): Finding[] {
  const existing = context.facts.existing.publicIp;
  const exists = existing && 'value' in existing && existing.value;
  if (context.plan.publicIp?.origin !== 'made' || exists) return [];
  return [...checkPublicIpQuota(context), ...checkDnsLabel(context)];
}

function checkPublicIpQuota(context: RuleContext): Finding[] {
  const { facts, plan, known, subscription } = context;
  if (!facts.networkUsages) return [];
  const question = {
    id: 'quota/public-ip',
    asked: `public IP quota in ${plan.location}`,
    permission: { action: 'Microsoft.Network/locations/usages/read', scope: subscription },
  };
  return answered(question, facts.networkUsages, known, (all) => {
    const usages = ['StandardSkuPublicIpAddresses', 'PublicIPAddresses'].flatMap(
      (name) => findUsage(all, name) ?? [],
    );
    const full = usages.find(({ limit, currentValue }) => limit - currentValue < 1);
    if (full) {
      const owner = `the owner of subscription ${known.subscriptionId}`;
      return faultFinding(question, `All ${full.limit} are in use.`, owner, [
        'Delete unused public IPs, use `public-ip: false`, or request a higher quota:',
        ...quotaFix('az network list-usages', context),
      ]);
    }
    const [first] = usages;
    const free = first && `${first.limit - first.currentValue} of ${first.limit} are free.`;
    return okFinding(question, free ?? 'Azure lists no limit.');
  });
}

function checkDnsLabel({ inputs, facts, plan, known, subscription }: RuleContext): Finding[] {
  const { network } = inputs;
  const label =
    network.kind === 'new-nic' && network.publicIp.kind === 'new' ? network.publicIp.dnsLabel : undefined;
  if (!label || !facts.dnsLabelFree) return [];
  const question = {
    id: 'name/dns-label',
    asked: `whether DNS label ${label} is free in ${plan.location}`,
    permission: { action: 'Microsoft.Network/locations/checkDnsNameAvailability/read', scope: subscription },
  };
  return answered(question, facts.dnsLabelFree, known, (isFree) =>
    isFree
      ? okFinding(question, 'Free.')
      : faultFinding(question, 'Taken: labels are unique in a region.', workflowAuthor, [
          'Give another `dns-label`.',
        ]),
  );
}
