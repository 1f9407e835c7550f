/** The collapsed part of the summary: IDs with links to the portal, what was deleted, what is left. */

import { type ImageReference, sameId } from '../azure/resource-id.ts';
import type { Plan } from '../deployment/resources.ts';
import {
  type Markdown,
  block,
  countOf,
  details,
  link,
  markdownCode,
  markdownText,
  paragraphs,
  sentence,
  table,
} from '../lib/escape.ts';
import { rulesAreOverridden } from '../plan/drift.ts';
import {
  type RequestedDeployment,
  type SummaryFacts,
  hasVm,
  notOwnedReason,
  parseDeployments,
  parseIds,
} from './summary-facts.ts';

/** Rows of one list in the summary; the log has the rest. */
export const maxRows = 200;

export function limitedTable(heading: readonly string[], rows: readonly (readonly Markdown[])[]): Markdown {
  const shown = table(heading, rows.slice(0, maxRows));
  return rows.length > maxRows ? `${shown}\n\nAnd ${rows.length - maxRows} more.` : shown;
}

export function portalUrl(id: string | undefined, tenant: string, { portal }: SummaryFacts): string | undefined {
  // The portal does not open IDs of shared and community galleries.
  return portal && id && /^\/subscriptions\//i.test(id) ? `${portal}/#@${tenant}/resource${id}` : undefined;
}

/** Type and name of a resource in the deployment's own group; otherwise the whole ID. */
function shortId(id: string, { requested, subscriptionId }: SummaryFacts): string {
  const group = `/subscriptions/${subscriptionId ?? requested?.subscriptionId}/resourceGroups/${requested?.resourceGroup}/providers/`;
  const inside = id.toLowerCase().startsWith(group.toLowerCase()) ? id.slice(group.length) : undefined;
  return inside && inside.split('/').length === 3 ? inside.replace(/^[^/]+\//, '') : id;
}

/** What `if-exists: replace` changed. */
export function replacementTable({ replacement = [], errors = [] }: SummaryFacts): Markdown {
  if (replacement.length === 0 || errors.length > 0) return '';
  return table(
    ['Replaced', 'Old', 'New'],
    replacement.map(({ property, actual, expected }) => {
      const shared = sharedPath(actual, expected);
      return [property, actual.slice(shared), expected.slice(shared)].map(markdownText);
    }),
  );
}

/** Length of the folders that two IDs share: versions of one image are shown by their numbers. */
function sharedPath(one: string, other: string): number {
  const folder = one.slice(0, one.lastIndexOf('/') + 1);
  return other.toLowerCase().startsWith(folder.toLowerCase()) && !other.slice(folder.length).includes('/')
    ? folder.length
    : 0;
}

export function deploymentTable(facts: SummaryFacts): Markdown {
  const { requested } = facts;
  const deployments = parseDeployments(facts);
  if (!requested || deployments.length === 0) return '';
  return limitedTable(
    ['VM', 'State', 'Image', 'Size', 'Address', 'Created', 'Expires', 'Run'],
    deployments.map((deployment) => [
      link(markdownCode(deployment['vm-name']), portalUrl(deployment['vm-id'], requested.tenantId, facts)),
      markdownText(deployment.state),
      markdownText(deployment['image-version-id']?.split('/').at(-1) ?? ''),
      markdownText(deployment['vm-size'] ?? ''),
      markdownText(deployment['public-ip-address'] ?? deployment['private-ip-address'] ?? ''),
      markdownText(deployment['created-on']?.slice(0, 16).replace('T', ' ') ?? ''),
      markdownText(deployment['expires-on']?.slice(0, 16).replace('T', ' ') ?? 'no expiry'),
      link(markdownText(deployment['run-url']?.split('/').at(-1) ?? ''), deployment['run-url']),
    ]),
  );
}

/** One table with the VM, the image, the tenants and the network. Rows without a value are left out. */
export function resourceTable(facts: SummaryFacts): Markdown {
  const { requested, operation } = facts;
  if (!requested || operation === 'clean-up' || operation === 'list') return '';
  const [heading = [], ...rows] = [
    ...vmRows(facts, requested),
    ...tenantRows(facts, requested),
    ...(hasVm(facts) ? networkRows(facts) : []),
  ].filter(([, cell]) => cell !== '');
  return details('Details', table(heading, rows));
}

const code = (value = ''): Markdown => value && markdownCode(value);

const joined = (...parts: readonly Markdown[]): Markdown => parts.filter(Boolean).join(' · ');

function vmRows(facts: SummaryFacts, requested: RequestedDeployment): Markdown[][] {
  const { outputs, plan, image } = facts;
  if (!requested.image) return [];
  const id = hasVm(facts) ? outputs['vm-id'] : undefined;
  const name = link(markdownCode(requested.vmName ?? ''), portalUrl(id, requested.tenantId, facts));
  const sizes = new Set(plan?.vm.attempts.map((attempt) => attempt.size));
  const size = outputs['vm-size'] ?? [...sizes].join(', ');
  const system = image && [
    image.osType,
    image.osState.toLowerCase(),
    image.architecture,
    ...(image.generation ? [`generation ${image.generation.replace('V', '')}`] : []),
    ...(facts.securityType ? [facts.securityType] : []),
  ];
  return [
    ['VM', joined(name, code(size), code(plan?.location))],
    ['Image', imageCell(facts, requested, requested.image)],
    ...(system ? [['System', system.map(markdownText).join(', ')]] : []),
  ];
}

function imageCell(facts: SummaryFacts, requested: RequestedDeployment, image: ImageReference): Markdown {
  const version = facts.outputs['image-version'] ?? facts.image?.version ?? image.version;
  const name = `${markdownCode(`${image.gallery}/${image.definition}`)}${version ? ` version ${markdownCode(version)}` : ''}`;
  const id = facts.outputs['image-version-id'] ?? image.id;
  const newest = image.version === undefined && version && !facts.adopted ? ' (newest usable version)' : '';
  return `${link(name, portalUrl(id, requested.imageTenantId ?? '', facts))}${newest}`;
}

function tenantRows(facts: SummaryFacts, requested: RequestedDeployment): Markdown[][] {
  const { imageTenantId, tenantId, resourceGroup } = requested;
  const subscription = facts.subscriptionId ?? requested.subscriptionId;
  const group = subscription && `/subscriptions/${subscription}/resourceGroups/${resourceGroup}`;
  return [
    ['Image tenant', code(imageTenantId)],
    ['Target tenant', code(tenantId)],
    ['Subscription', code(subscription)],
    ['Resource group', link(code(resourceGroup), portalUrl(group, tenantId, facts))],
  ];
}

function networkRows(facts: SummaryFacts): Markdown[][] {
  const { outputs, plan, requested } = facts;
  if (!plan || !requested) return [];
  const row = (what: string, id = '', ...values: readonly Markdown[]): Markdown[] => {
    const name = link(code(id.split('/').at(-1)), portalUrl(id, requested.tenantId, facts));
    return [what, name && joined(name, ...values, originOf(id, facts, plan))];
  };
  const exitCode = code(outputs['script-exit-code']);
  return [
    row('Public IP', outputs['public-ip-id'], code(outputs['public-ip-address']), code(outputs['fqdn'])),
    row('Network interface', outputs['nic-id'], code(outputs['private-ip-address'])),
    row('NSG', outputs['nsg-id'], openPorts(facts, plan)),
    row('Virtual network', outputs['vnet-id']),
    row('OS disk', outputs['os-disk-id']),
    ...plan.identities.map(({ id }) => row('Identity', id)),
    ['System-assigned identity', code(outputs['principal-id'])],
    ['Script', exitCode && `exit code ${exitCode}`],
  ];
}

function originOf(id: string, { outputs, adopted }: SummaryFacts, plan: Plan): string {
  const isDisk = /\/disks\//i.test(id);
  if (isDisk ? !adopted : parseIds(outputs['created']).some((created) => sameId(created, id))) return '';
  const planned = [plan.nic, plan.nsg, plan.publicIp].flatMap((part) => (part?.origin === 'made' ? [part.id] : []));
  const own = [...planned, ...(plan.vnet ? [plan.vnet.id] : []), ...plan.identities.map((identity) => identity.id)];
  return isDisk || own.some((ownId) => sameId(ownId, id)) ? 'existed before' : 'not part of this deployment';
}

function openPorts({ otherRules = [] }: SummaryFacts, plan: Plan): Markdown {
  if (plan.nsg?.origin !== 'made') return '';
  if (rulesAreOverridden(plan)) return `open: as ${markdownCode('overrides')} says`;
  const rules = (plan.nsg.body.securityRules ?? []).map(
    ({ protocol = '*', destinationPortRange = '*', sourceAddressPrefix = '*' }) =>
      markdownCode(
        `${destinationPortRange}${protocol === '*' ? '' : `/${protocol.toLowerCase()}`} from ${sourceAddressPrefix}`,
      ),
  );
  const own = rules.length === 0 ? 'nothing is open' : `open: ${limitedList(rules)}`;
  const others = limitedList(otherRules.map(markdownCode));
  return others ? `${own}, except for rules of others: ${others}` : own;
}

function limitedList(entries: readonly Markdown[], limit = 10): Markdown {
  const shown = entries.slice(0, limit).join(', ');
  return entries.length > limit ? `${shown} and ${entries.length - limit} more` : shown;
}

// Deleted and left resources

export function removals(facts: SummaryFacts): Markdown {
  // A VM that a size fallback deleted is of no interest once another one exists.
  const deleted = hasVm(facts) ? [] : parseIds(facts.outputs.deleted);
  const items = deleted.slice(0, maxRows).map((id) => `- ${markdownCode(shortId(id, facts))}`);
  const more = deleted.length > maxRows ? [`- and ${deleted.length - maxRows} more, listed in the log`] : [];
  const count = countOf(deleted.length, 'resource');
  const rows = facts.left.map(({ id, why }) => [
    link(markdownCode(shortId(id, facts)), portalUrl(id, facts.requested?.tenantId ?? '', facts)),
    sentence(why),
  ]);
  // With `if-exists: replace`, the VM of an earlier run is among them.
  const isRollback = facts.operation === 'create' && !facts.replacement;
  const heading = `${isRollback ? 'Rolled back' : 'Deleted'}: ${count}`;
  return paragraphs(
    rows.length > 0 && limitedTable(['⚠️ Not deleted', 'Why'], rows),
    items.length > 0 && details(heading, [...items, ...more].join('\n'), items.length <= 12),
  );
}

/** The step that deletes the deployment, ready to be copied. */
export function deleteStep(facts: SummaryFacts): Markdown {
  const { operation, requested, left, uses } = facts;
  const stays = hasVm(facts) && requested?.cleanup !== 'always';
  const isDeletable = operation !== 'sweep' && left.some(({ why }) => why !== notOwnedReason);
  if (!requested?.vmName || !(stays || isDeletable)) return '';
  const step = deleteStepYaml(requested, uses, facts.subscriptionId);
  return details('Delete it', block(step, { language: 'yaml' }), left.length > 0);
}

export function deleteStepYaml(
  target: RequestedDeployment,
  uses = 'OWNER/cross-tenant-vm@v1',
  subscriptionId = target.subscriptionId,
): string {
  const { environment, credential } = target;
  const cloud = environment.kind === 'known' ? environment.name : environment.resourceManager;
  const inputs = [
    ['operation', 'delete'],
    ['vm-name', target.vmName],
    ['resource-group', target.resourceGroup],
    ['subscription-id', subscriptionId],
    ['tenant-id', target.tenantId],
    ['client-id', target.clientId],
    ['client-secret', credential.kind === 'secret' && '${{ secrets.CLIENT_SECRET }}'],
    ['client-certificate', credential.kind === 'certificate' && '${{ secrets.CLIENT_CERTIFICATE }}'],
    ['audience', credential.audience],
    ['environment', cloud !== 'azurecloud' && cloud],
    ['change-reference', target.changeReference],
  ] as const;
  const lines = inputs.flatMap(([name, value]) => (value ? [`    ${name}: ${yamlScalar(value)}`] : []));
  return [`- uses: ${yamlScalar(uses)}`, '  with:', ...lines].join('\n');
}

function yamlScalar(value: string): string {
  const isPlain = /^(?:[A-Za-z./][\w./@:-]*|[0-9a-f-]{36}|\$\{\{ secrets\.\w+ \}\})$/.test(value);
  return isPlain && !/:$|: |^(?:true|false|null|yes|no|on|off|y|n)$/i.test(value) ? value : JSON.stringify(value);
}
