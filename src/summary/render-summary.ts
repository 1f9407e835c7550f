/** What a run leaves on its page in GitHub: a pure function from what is known to Markdown. */

import { type ImageReference, sameId } from '../azure/resource-id.ts';
import type { Plan } from '../deployment/plan.ts';
import { type Markdown, block, details, markdownCode, markdownText, table } from '../lib/escape.ts';
import { rulesAreOverridden } from '../plan/drift.ts';
import type { OutputName } from '../runner/outputs.ts';
import { connecting, deleting, removals } from './connection-help.ts';
import { failureSections } from './render-failure.ts';
import { findingSections } from './render-findings.ts';
import { idsIn, toPortal } from './sections.ts';
import type { CollectedFacts, RequestedDeployment, SummaryFacts } from './summary-facts.ts';
import { seconds, timeline, topology } from './topology.ts';

/** GitHub drops a summary of more than 1 MiB; a step has one. */
const mostBytes = 1024 * 1024;

/** Renders the summary of one step. Sections are given up from the least important one on where it gets too long. */
export function renderSummary(facts: SummaryFacts, longest = mostBytes): Markdown {
  const failed = (facts.accounts ?? []).length > 0;
  const sections = [
    `## ${title(facts)}`,
    ...(facts.findings ? findingSections(facts.findings) : failed ? failureSections(facts) : []),
    overview(facts),
    ...(facts.operation === 'create' && !failed ? [connecting(facts)] : []),
    removals(facts),
    deleting(facts),
    failed ? '' : drawing(facts),
    facts.bootLog
      ? details('End of the boot log', block(facts.bootLog, { keep: 'tail', longest: 20_000 }))
      : '',
    facts.stages.length > 1
      ? details(
          `Timeline, ${seconds(Math.max(...facts.stages.map(({ to }) => to)))} in all`,
          timeline(facts.stages),
          !failed,
        )
      : '',
  ].filter((section) => section !== '');
  return fitted(sections, longest);
}

function fitted(sections: readonly Markdown[], longest: number): Markdown {
  const whole = `${sections.join('\n\n')}\n`;
  if (Buffer.byteLength(whole) <= longest) return whole;
  const note = '_Cut here: GitHub shows no more than 1 MiB. The log has the rest._\n';
  let room = longest - Buffer.byteLength(note);
  const kept: string[] = [];
  for (const section of sections) {
    room -= Buffer.byteLength(section) + 2;
    if (room < 0) break;
    kept.push(section);
  }
  return [...kept, note].join('\n\n');
}

function title(facts: SummaryFacts): Markdown {
  const { operation, wanted, findings = [], accounts = [], adopted, left } = facts;
  const deleted = idsIn(facts.outputs.deleted);
  const name = wanted?.vmName ? markdownCode(wanted.vmName) : 'the virtual machine';
  const group = wanted ? markdownCode(wanted.resourceGroup) : 'the resource group';
  if (operation === 'check' && findings.length > 0) {
    const count = (level: string) => findings.filter((finding) => finding.level === level).length;
    const [failed, skipped] = [count('fault'), count('unknown')];
    const skippedText = `${skipped} ${skipped === 1 ? 'check' : 'checks'} skipped`;
    if (failed > 0) return `❌ Preflight failed for ${name}: ${failed} of ${findings.length} checks`;
    return skipped > 0 ? `⚠️ Preflight passed for ${name}, ${skippedText}` : `✅ Preflight passed for ${name}`;
  }
  const [account] = accounts;
  if (account) {
    const doing = account.activity[0];
    return `❌ ${doing ? `Failed while ${markdownText(doing)}` : `${operationName[operation]} failed`}`;
  }
  switch (operation) {
    case 'create':
      return adopted
        ? `✅ Virtual machine ${name} was there already, as asked for`
        : `✅ Virtual machine ${name} created`;
    case 'delete':
      if (left.length > 0) return `⚠️ Deployment ${name} deleted in part`;
      return deleted.length > 0
        ? `✅ Deployment ${name} deleted`
        : `⚠️ Nothing of deployment ${name} was found in ${group}`;
    case 'sweep':
      return `${left.length > 0 ? '⚠️' : '✅'} Resource group ${group} swept`;
    case 'clean-up':
      return `${left.length > 0 ? '⚠️' : '🧹'} Clean-up after the job`;
    default:
      return `✅ ${operationName[operation]} of ${name}`;
  }
}

const operationName: Readonly<Record<CollectedFacts['operation'], string>> = {
  create: 'Create',
  check: 'Check',
  delete: 'Delete',
  sweep: 'Sweep',
  'clean-up': 'Clean-up after the job',
};

// What there is

/** The one table: what was made of what, where, and how to find it in the portal. */
function overview(facts: SummaryFacts): Markdown {
  const { wanted, operation } = facts;
  if (!wanted || operation === 'clean-up') return '';
  const rows = [
    ...machineRows(facts, wanted),
    ...tenantRows(facts, wanted),
    ...((facts.accounts ?? []).length > 0 || operation === 'check' ? [] : partRows(facts)),
  ];
  const [heading = [], ...others] = rows;
  return table(heading, others);
}

function machineRows(facts: SummaryFacts, wanted: RequestedDeployment): Markdown[][] {
  const { outputs, plan, image } = facts;
  if (!wanted.image) return [];
  const size = outputs['vm-size'] ?? sizeList(plan);
  const zone = outputs['zone'];
  const place = [
    size ? markdownCode(size) : '',
    zone ? `zone ${markdownCode(zone)}` : '',
    plan ? markdownCode(plan.location) : '',
  ].filter(Boolean);
  const id = outputs['vm-id'];
  const made = facts.operation === 'create' && (facts.accounts ?? []).length === 0;
  const name = markdownCode(wanted.vmName ?? '');
  return [
    ['Virtual machine', [made ? toPortal(name, id, wanted.tenantId, facts) : name, ...place].join(' · ')],
    ['Image', imageCell(facts, wanted, wanted.image)],
    ...(image
      ? [
          [
            'System',
            [
              image.osType,
              image.osState.toLowerCase(),
              image.architecture,
              ...(image.generation ? [`generation ${image.generation.replace('V', '')}`] : []),
              ...(image.securityType === 'Standard' ? [] : [image.securityType]),
            ]
              .map(markdownText)
              .join(', '),
          ],
        ]
      : []),
  ];
}

function sizeList(plan: Plan | undefined): string | undefined {
  const sizes = new Set(plan?.vm.attempts.map(({ size }) => size));
  return sizes.size > 0 ? [...sizes].join(', ') : undefined;
}

function imageCell(facts: SummaryFacts, wanted: RequestedDeployment, image: ImageReference): Markdown {
  const version = facts.outputs['image-version'] ?? facts.image?.version ?? image.version;
  const name = `${markdownCode(`${image.gallery}/${image.definition}`)}${version ? ` version ${markdownCode(version)}` : ''}`;
  const id = facts.outputs['image-version-id'] ?? image.id;
  const newest =
    image.version === undefined && version && !facts.adopted ? ', the newest one that is usable there' : '';
  return `${toPortal(name, id, wanted.imageTenantId ?? '', facts)}${newest}`;
}

function tenantRows(facts: SummaryFacts, wanted: RequestedDeployment): Markdown[][] {
  const subscription = facts.subscriptionId ?? wanted.subscriptionId;
  const group = subscription
    ? `/subscriptions/${subscription}/resourceGroups/${wanted.resourceGroup}`
    : undefined;
  return [
    ...(wanted.imageTenantId ? [['Image tenant', markdownCode(wanted.imageTenantId)]] : []),
    ['Tenant', markdownCode(wanted.tenantId)],
    ...(subscription ? [['Subscription', markdownCode(subscription)]] : []),
    ['Resource group', toPortal(markdownCode(wanted.resourceGroup), group, wanted.tenantId, facts)],
  ];
}

function partRows(facts: SummaryFacts): Markdown[][] {
  const { outputs, plan, wanted } = facts;
  if (!plan || !wanted) return [];
  const created = idsIn(outputs['created']);
  const row = (what: string, id: string | undefined, beside: readonly Markdown[] = []): Markdown[][] => {
    if (!id) return [];
    const made = created.some((one) => sameId(one, id));
    const planned = [plan.nic, plan.nsg, plan.publicIp].find((part) => part && sameId(part.id, id));
    const origin = made
      ? ''
      : planned?.origin === 'given' || !isPlanned(plan, id)
        ? 'given'
        : 'there already';
    const name = toPortal(markdownCode(id.split('/').at(-1) ?? id), id, wanted.tenantId, facts);
    return [[what, [name, ...beside, origin].filter(Boolean).join(' · ')]];
  };
  const value = (name: OutputName): Markdown[] => (outputs[name] ? [markdownCode(outputs[name])] : []);
  return [
    ...row('Public IP', outputs['public-ip-id'], [...value('public-ip-address'), ...value('fqdn')]),
    ...row('Network interface', outputs['nic-id'], value('private-ip-address')),
    ...row('Security group', outputs['nsg-id'], [openPorts(facts, plan)].filter(Boolean)),
    ...row('Virtual network', outputs['vnet-id']),
    ...plan.identities.flatMap(({ id }) => row('Identity', id)),
    ...(outputs['principal-id'] ? [['System-assigned identity', markdownCode(outputs['principal-id'])]] : []),
    ...(outputs['script-exit-code']
      ? [['Script', `exit code ${markdownCode(outputs['script-exit-code'])}`]]
      : []),
    ...cleanupRow(wanted, plan),
  ];
}

/** Whether the deployment makes it, now or in an earlier run. */
function isPlanned(plan: Plan, id: string): boolean {
  const made = [plan.nic, plan.nsg, plan.publicIp].flatMap((part) =>
    part?.origin === 'made' ? [part.id] : [],
  );
  return [...made, ...(plan.vnet ? [plan.vnet.id] : []), ...plan.identities.map((one) => one.id)].some(
    (one) => sameId(one, id),
  );
}

/** Before a rerun, what is there has been held against the plan: the plan's rules are there, besides those of others. */
function openPorts({ otherRules = [] }: SummaryFacts, plan: Plan): Markdown {
  if (plan.nsg?.origin !== 'made') return '';
  if (rulesAreOverridden(plan)) return `open: what ${markdownCode('overrides')} says`;
  const others = limitedList(otherRules.map(markdownCode));
  const rules = plan.nsg.body.securityRules ?? [];
  const told = rules.map(({ protocol = '*', destinationPortRange = '*', sourceAddressPrefix = '*' }) =>
    markdownCode(
      `${destinationPortRange}${protocol === '*' ? '' : `/${protocol.toLowerCase()}`} from ${sourceAddressPrefix}`,
    ),
  );
  const own = rules.length === 0 ? 'nothing is open' : `open: ${limitedList(told)}`;
  return others ? `${own}, but for what rules of others say: ${others}` : own;
}

function limitedList(entries: readonly Markdown[]): Markdown {
  const told = entries.slice(0, 10);
  return `${told.join(', ')}${entries.length > told.length ? ` and ${entries.length - told.length} more` : ''}`;
}

function cleanupRow({ cleanup }: RequestedDeployment, plan: Plan): Markdown[][] {
  const expires = plan.tags['expires-on'];
  const ends = [
    ...(cleanup === 'always' ? ['deleted at the end of the job'] : []),
    ...(expires ? [`due for ${markdownCode('operation: sweep')} after ${markdownCode(expires)}`] : []),
  ];
  return ends.length > 0 ? [['Stays until', ends.join(', ')]] : [];
}

function drawing(facts: SummaryFacts): Markdown {
  const { plan, image, wanted, outputs, operation } = facts;
  if (!plan || !wanted?.image || !wanted.imageTenantId || operation !== 'create') return '';
  const drawn = topology({
    plan,
    image: wanted.image,
    imageVersion: outputs['image-version'] ?? image?.version ?? '',
    tenant: wanted.tenantId,
    imageTenant: wanted.imageTenantId,
    size: outputs['vm-size'] ?? plan.vm.attempts[0]?.size ?? '',
    publicIpAddress: outputs['public-ip-address'],
    privateIpAddress: outputs['private-ip-address'],
  });
  const parts = [plan.nic, plan.nsg, plan.publicIp];
  const given = parts.some((part) => part?.origin === 'given') || (plan.subnetId && !plan.vnet);
  return details(
    'Topology',
    given ? `${drawn}\n\nDashed: given by ID, not made by this deployment.` : drawn,
    true,
  );
}
