import type { Plan } from '../deployment/plan.ts';
import { type Markdown, block, details, markdownCode, sentence, quoteForShell } from '../lib/escape.ts';
import { rulesAreOverridden } from '../plan/drift.ts';
import { idsIn, limited, maxRows, scalar, shortId, toPortal } from './sections.ts';
import type { SummaryFacts } from './summary-facts.ts';

// How to get in

export function connecting(facts: SummaryFacts): Markdown {
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

export function removals(facts: SummaryFacts): Markdown {
  const { left, operation, accounts = [] } = facts;
  const deleted = idsIn(facts.outputs.deleted);
  // A size that could not be had left a machine behind for a moment; nobody has to know once another one is there.
  const done = operation === 'create' && accounts.length === 0 ? [] : deleted;
  const shown = done.slice(0, maxRows).map((id) => markdownCode(shortId(id, facts)));
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

/** The step that deletes what there is, ready to be copied. */
export function deleting(facts: SummaryFacts): Markdown {
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
