/** What a run leaves on its page in GitHub: a pure function from what is known to Markdown. */
import { type ErrorReport, type Explanation, isCommandOrUrl } from './failure.ts';
import type { ResolvedImage } from './image.ts';
import type { Environment, ClientCredential } from './inputs.ts';
import type { Finding } from './judge.ts';
import type { Plan } from './plan.ts';
import type { OutputName, StageTiming } from './report.ts';
import { rulesAreOverridden } from './rerun.ts';
import { type ImageReference, sameId } from './resource-id.ts';
import { quoteForShell } from './explain/ids-and-roles.ts';
import { seconds, timeline, topology } from './summary/diagrams.ts';
import {
  block,
  markdownCode,
  details,
  link,
  type Markdown,
  quotation,
  sentence,
  table,
  markdownText,
} from './summary/markdown.ts';

/** What the inputs say, as far as the summary tells it: no secret is among it. */
export interface RequestedDeployment {
  readonly clientId: string;
  readonly credential: Pick<ClientCredential, 'kind'>;
  readonly environment: Environment;
  readonly tenantId: string;
  readonly resourceGroup: string;
  readonly subscriptionId?: string;
  readonly imageTenantId?: string;
  readonly image?: ImageReference;
  readonly vmName?: string;
  readonly cleanup?: 'never' | 'on-failure' | 'always';
  readonly adminPassword?: unknown;
  readonly sshPublicKeys?: readonly unknown[];
}

/** What comes to be known on the way. All of it may be missing: a run can fail before its first request. */
export interface CollectedFacts {
  readonly operation: 'create' | 'check' | 'delete' | 'sweep' | 'clean-up';
  readonly wanted: RequestedDeployment;
  /** https origin; a private cloud may have none. */
  readonly portal: string;
  readonly subscriptionId: string;
  readonly plan: Plan;
  readonly image: ResolvedImage;
  /** The machine was there already. */
  readonly adopted: boolean;
  /** Rules in the deployment's security group that are not ours. */
  readonly otherRules: readonly string[];
  /** The end of the serial console's log. */
  readonly bootLog: string;
  /** The action as `uses` names it. */
  readonly uses: string;
}

export interface SummaryFacts extends Partial<CollectedFacts> {
  readonly operation: CollectedFacts['operation'];
  readonly outputs: Readonly<Partial<Record<OutputName, string>>>;
  readonly stages: readonly StageTiming[];
  readonly findings?: readonly Finding[];
  /** Of the failure, if there was one. */
  readonly accounts?: readonly ErrorReport[];
  readonly left: readonly Leftover[];
}

/** A resource that was to be deleted and was not. */
export interface Leftover {
  readonly id: string;
  readonly why: string;
}

/** GitHub drops a summary of more than 1 MiB; a step has one. */
const mostBytes = 1024 * 1024;
const mostRows = 100;

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
    const faults = findings.filter(({ level }) => level === 'fault').length;
    if (faults > 0) {
      return `❌ ${faults === 1 ? 'One fault stands' : `${faults} faults stand`} in the way of ${name}`;
    }
    return `✅ Nothing stands in the way of ${name}`;
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

// What failed

function failureSections({ accounts = [] }: SummaryFacts): Markdown[] {
  return accounts
    .slice(0, 10)
    .flatMap(({ activity, words, explanation, trace }, index) => [
      ...(index > 0
        ? [`### ❌ ${activity[0] ? `Failed while ${markdownText(activity[0])}` : 'Besides'}`]
        : []),
      ...(explanation ? explanationSections(explanation) : []),
      ...(words.length > 0 ? [quotation(words.join('\n'))] : []),
      ...(trace.length > 0 ? [`<sub>${trace.map(markdownText).join('<br>')}</sub>`] : []),
    ]);
}

function explanationSections({ cause, who, fix }: Explanation): Markdown[] {
  return [
    `**Cause:** ${sentence(cause)}`,
    `**Who must act:** ${sentence(who)}`,
    ...(fix.length > 0 ? [`**What to do:**`, fixes(fix)] : []),
  ];
}

/** Sentences as a list; commands as blocks to copy, those in a row in one. */
function fixes(lines: readonly string[]): Markdown {
  const parts: Markdown[] = [];
  let commands: string[] = [];
  const flush = (): void => {
    if (commands.length > 0) parts.push(block(commands.join('\n'), { language: 'sh' }));
    commands = [];
  };
  for (const line of lines) {
    if (!isCommandOrUrl(line)) {
      flush();
      parts.push(`- ${sentence(line)}`);
    } else if (line.startsWith('https://')) {
      flush();
      parts.push(`- ${link(markdownText(line), line)}`);
    } else commands.push(line);
  }
  flush();
  return parts.join('\n');
}

// What a check found

const marks = { fault: '❌', warning: '⚠️', unknown: '❔', ok: '✅' } as const;
const nouns = {
  fault: ['fault', 'faults'],
  warning: ['warning', 'warnings'],
  unknown: ['unknown', 'unknown'],
  ok: ['in order', 'in order'],
} as const;
const order = Object.keys(marks);

function findingSections(findings: readonly Finding[]): Markdown[] {
  const sorted = findings.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  const good = sorted.filter(({ level }) => level === 'ok');
  const told = sorted.filter(({ level }) => level !== 'ok');
  const counted = (Object.keys(marks) as Finding['level'][]).flatMap((level) => {
    const count = findings.filter((finding) => finding.level === level).length;
    return count > 0 ? [`${marks[level]} ${count} ${nouns[level][count === 1 ? 0 : 1]}`] : [];
  });
  const row = ({ level, asked, answer }: Finding) => [
    marks[level],
    sentence(capitalised(asked)),
    sentence(answer),
  ];
  const acts = told.filter(({ fix, level }) => fix.length > 0 && level !== 'unknown');
  const asks = told.filter(({ fix, level }) => fix.length > 0 && level === 'unknown');
  const step = ({ level, asked, who, fix }: Finding): Markdown =>
    [
      `${marks[level]} **${sentence(capitalised(asked))}**${who ? ` · ${sentence(who)}` : ''}`,
      fixes(fix),
    ].join('\n\n');
  return [
    counted.join(' · '),
    ...(told.length > 0 ? [limited(['', 'Asked', 'Answer'], told.map(row))] : []),
    ...(acts.length > 0 ? ['### What to do', ...acts.slice(0, mostRows).map(step)] : []),
    ...(asks.length > 0
      ? [details('How to find out what is unknown', asks.slice(0, mostRows).map(step).join('\n\n'))]
      : []),
    ...(good.length > 0
      ? [details(`${good.length} in order`, limited(['', 'Asked', 'Answer'], good.map(row)))]
      : []),
  ];
}

function capitalised(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function limited(heading: readonly string[], rows: readonly (readonly Markdown[])[]): Markdown {
  const shown = table(heading, rows.slice(0, mostRows));
  return rows.length > mostRows ? `${shown}\n\nAnd ${rows.length - mostRows} more.` : shown;
}

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

function toPortal(
  label: Markdown,
  id: string | undefined,
  tenant: string,
  { portal }: SummaryFacts,
): Markdown {
  // Shared and community galleries have IDs that the portal does not open.
  const url =
    portal && id && /^\/subscriptions\//i.test(id) ? `${portal}/#@${tenant}/resource${id}` : undefined;
  return link(label, url);
}

function idsIn(list: string | undefined): readonly string[] {
  return JSON.parse(list ?? '[]') as string[];
}

// How to get in

function connecting(facts: SummaryFacts): Markdown {
  const { outputs, plan, image, wanted } = facts;
  if (!plan || !wanted) return '';
  const windows = plan.vm.osType === 'Windows';
  const port = windows ? 3389 : 22;
  const address = outputs['fqdn'] ?? outputs['public-ip-address'];
  const lines = address
    ? [signingIn(facts, address), reach(facts, plan, port)]
    : [
        `It has no public IP. From its own network or a peered one it is reached at ${markdownCode(outputs['private-ip-address'] ?? '')}, from outside through Azure Bastion; Run Command needs no way in at all:`,
        block(runCommand(plan, windows), { language: 'sh' }),
      ];
  if (image?.osState === 'Specialized') {
    lines.push('The image is specialized: sign in with an account that it was made with.');
  }
  return ['### How to connect', ...lines.filter(Boolean)].join('\n\n');
}

function signingIn({ outputs, plan, wanted, image }: SummaryFacts, address: string): Markdown {
  const user = outputs['admin-username'] ?? (image?.osState === 'Specialized' ? '<user>' : 'azureuser');
  const at = `${quoteForShell(user)}@${quoteForShell(address)}`;
  if (plan?.vm.osType === 'Windows') {
    const password =
      wanted?.adminPassword || image?.osState === 'Specialized'
        ? ''
        : ' Its password was generated and is nowhere to be read; set one in Azure (Reset password).';
    return `${block(`mstsc /v:${address}`, { language: 'sh' })}\n\nUser ${markdownCode(user)}.${password}`;
  }
  const keyPath = outputs['ssh-private-key-path'];
  if (!keyPath) return block(`ssh ${at}`, { language: 'sh' });
  return [
    'In later steps of this job, with which the generated key goes:',
    block(`ssh -i ${quoteForShell(keyPath)} \\\n  -o StrictHostKeyChecking=accept-new ${at}`, {
      language: 'sh',
    }),
  ].join('\n\n');
}

/** Whether the way in is open, as far as this deployment decides it. */
function reach({ otherRules = [] }: SummaryFacts, plan: Plan, port: number): Markdown {
  const { nsg } = plan;
  if (nsg?.origin !== 'made' || rulesAreOverridden(plan) || otherRules.length > 0) return '';
  const covers = (range: string): boolean => {
    const [from = '', to = from] = range.split('-');
    return range === '*' || (Number(from) <= port && port <= Number(to));
  };
  const open = (nsg.body.securityRules ?? []).some(
    ({ protocol = '*', destinationPortRange = '' }) =>
      /^(?:tcp|\*)$/i.test(protocol) && covers(destinationPortRange),
  );
  return open
    ? ''
    : `Port ${port} is closed. To open it: ${markdownCode(`allow-inbound: ${port} from <your address>`)}.`;
}

function runCommand(plan: Plan, windows: boolean): string {
  const { vm, subscriptionId, resourceGroup } = plan;
  return `az vm run-command invoke --subscription ${subscriptionId} -g ${quoteForShell(resourceGroup)} -n ${quoteForShell(vm.name)} \\\n  --command-id ${windows ? 'RunPowerShellScript' : 'RunShellScript'} --scripts hostname`;
}

// What went, what stays

function removals(facts: SummaryFacts): Markdown {
  const { left, operation, accounts = [] } = facts;
  const deleted = idsIn(facts.outputs.deleted);
  // A size that could not be had left a machine behind for a moment; nobody has to know once another one is there.
  const done = operation === 'create' && accounts.length === 0 ? [] : deleted;
  const shown = done.slice(0, mostRows).map((id) => markdownCode(shortId(id, facts)));
  const more = done.length > shown.length ? ` and ${done.length - shown.length} more` : '';
  const again = operation === 'create' ? 'Deleted again' : 'Deleted';
  const rows = left.map(({ id, why }) => [
    toPortal(markdownCode(shortId(id, facts)), id, facts.wanted?.tenantId ?? '', facts),
    sentence(why),
  ]);
  return [
    ...(shown.length > 0 ? [`**${again}:** ${shown.join(', ')}${more}`] : []),
    ...(rows.length > 0 ? [limited(['⚠️ Left', 'Why'], rows)] : []),
  ].join('\n\n');
}

/** Within the deployment's group the type and the name are enough. */
function shortId(id: string, { wanted, subscriptionId }: SummaryFacts): string {
  const group = `/subscriptions/${subscriptionId ?? wanted?.subscriptionId}/resourceGroups/${wanted?.resourceGroup}/providers/`;
  const inside = id.toLowerCase().startsWith(group.toLowerCase()) ? id.slice(group.length) : undefined;
  return inside && inside.split('/').length === 3 ? inside.replace(/^[^/]+\//, '') : id;
}

/** The step that deletes what there is, ready to be copied. */
function deleting(facts: SummaryFacts): Markdown {
  const { operation, wanted, left, accounts = [], uses } = facts;
  const there = operation === 'create' && accounts.length === 0;
  if (!wanted?.vmName || !(there || (left.length > 0 && operation !== 'sweep'))) return '';
  const subscription = facts.subscriptionId ?? wanted.subscriptionId;
  const { environment, credential } = wanted;
  const cloud = environment.kind === 'known' ? environment.name : environment.resourceManager;
  const inputs = [
    ['operation', 'delete'],
    ['vm-name', wanted.vmName],
    ['resource-group', wanted.resourceGroup],
    ...(subscription ? [['subscription-id', subscription]] : []),
    ['tenant-id', wanted.tenantId],
    ['client-id', wanted.clientId],
    ...(credential.kind === 'secret' ? [['client-secret', '${{ secrets.CLIENT_SECRET }}']] : []),
    ...(credential.kind === 'certificate'
      ? [['client-certificate', '${{ secrets.CLIENT_CERTIFICATE }}']]
      : []),
    ...(cloud === 'azurecloud' ? [] : [['environment', cloud]]),
  ] as const;
  const step = [
    `- uses: ${scalar(uses ?? 'OWNER/cross-tenant-vm@v1')}`,
    '  with:',
    ...inputs.map(([name = '', value = '']) => `    ${name}: ${scalar(value)}`),
  ].join('\n');
  return details('To delete it', block(step, { language: 'yaml' }), !there);
}

function scalar(value: string): string {
  const isPlain = /^(?:[A-Za-z./][\w./@:-]*|[0-9a-f-]{36}|\$\{\{ secrets\.\w+ \}\})$/.test(value);
  return isPlain && !/:$|: |^(?:true|false|null|yes|no|on|off|y|n)$/i.test(value)
    ? value
    : JSON.stringify(value);
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
