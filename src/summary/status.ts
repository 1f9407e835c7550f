/** What a reader looks for first: the result in one line, and how to connect. For the summary and for the log. */

import type { Finding } from '../check/facts.ts';
import type { Plan } from '../deployment/resources.ts';
import { type VmNames, vmOptions } from '../error-catalog/entry.ts';
import {
  type Markdown,
  block,
  countOf,
  link,
  markdownCode,
  markdownText,
  paragraphs,
  sentence,
  shellCommand,
  wrapCommand,
} from '../lib/escape.ts';
import { rulesAreOverridden } from '../plan/drift.ts';
import { portalUrl } from './render-details.ts';
import { type RequestedDeployment, type SummaryFacts, hasVm, parseDeployments, parseIds } from './summary-facts.ts';
import { formatDuration } from './topology.ts';

type Operation = SummaryFacts['operation'];

/** The log's first line: what is done where, as far as the inputs say it. */
export function requestLine(operation: Operation, requested: RequestedDeployment): string {
  const { tenantId, subscriptionId, resourceGroup, location, image, vmName = '' } = requested;
  const target = [tenantId, subscriptionId, resourceGroup].filter(Boolean).join(' / ');
  const definition = image && `${image.definition}${operation === 'list' ? '' : ', newest version'}`;
  const version = image?.version ?? definition;
  const place = [target, location, version && `image ${version}`].filter(Boolean).join(', ');
  const start: Readonly<Record<Operation, string>> = {
    create: `Deploying ${vmName} to`,
    check: `Checking the deployment of ${vmName} to`,
    delete: `Deleting ${vmName} from`,
    sweep: 'Sweeping',
    list: 'Listing the deployments in',
    'clean-up': 'Cleaning up in',
  };
  return `${start[operation]} ${place}`;
}

export function resultLine(facts: SummaryFacts): string {
  const { outputs, operation, requested } = facts;
  const duration = elapsed(facts);
  if (operation !== 'create') return `${resultText(facts).replaceAll('`', '')} (${duration})`;
  const version = outputs['image-version'];
  const about = [usedSize(facts), outputs['location'], version && `image ${version}`].filter(Boolean);
  const address = addressOf(facts);
  const command = address && facts.plan?.vm.osType === 'Linux' ? `. Connect: ${sshCommandOf(facts, address)}` : '';
  const vm = `${requested?.vmName} (${about.join(', ')})${address ? ` at ${address}` : ''}`;
  return `${readiness(facts)} in ${duration}: ${vm}${command}`;
}

export function title(facts: SummaryFacts): Markdown {
  const { errors = [], findings = [], left } = facts;
  const failed = errors.length > 0 || findings.some(({ level }) => level === 'fault');
  const incomplete =
    left.length > 0 || (facts.operation === 'check' && findings.some(({ level }) => level === 'unknown'));
  const missing = facts.operation === 'delete' && parseIds(facts.outputs.deleted).length === 0;
  const mark = failed ? '❌' : incomplete || missing ? '⚠️' : '✅';
  return `${mark} ${sentence(resultText(facts))}`;
}

/** The result as a sentence with names in backticks. */
function resultText(facts: SummaryFacts): string {
  const { operation, errors = [], findings = [], requested } = facts;
  const name = requested?.vmName ? `\`${requested.vmName}\`` : 'the VM';
  if (operation === 'check' && findings.length > 0) return checkResult(name, findings);
  const [error] = errors;
  if (error) return error.title;
  if (operation === 'create') {
    if (facts.replacement) return `${name} replaced`;
    if (facts.adopted) return `${name} already exists and matches the inputs`;
    return `${name} ${facts.outputs.outcome === 'replaced' ? 'replaced' : 'created'}`;
  }
  if (operation === 'list') return listResult(facts);
  return operation === 'check' ? `${name} checked` : deletionResult(facts, name);
}

function listResult(facts: SummaryFacts): string {
  const { length } = parseDeployments(facts);
  const { image, resourceGroup } = facts.requested ?? {};
  const filter = image ? ` created from image ${image.definition}${image.version ? ` ${image.version}` : ''}` : '';
  return `${length > 0 ? countOf(length, 'deployment') : 'No deployments'}${filter} in resource group \`${resourceGroup}\``;
}

function deletionResult({ outputs, left, operation, requested }: SummaryFacts, name: string): string {
  const group = requested ? `resource group \`${requested.resourceGroup}\`` : 'the resource group';
  const isEmpty = parseIds(outputs.deleted).length === 0;
  if (operation === 'sweep') {
    return isEmpty ? `No deployments deleted from ${group}` : `Deployments deleted from ${group}`;
  }
  const after = operation === 'clean-up' ? ' after the job' : '';
  if (left.length > 0) return `${name} ${isEmpty ? 'not' : 'only partly'} deleted${after}`;
  if (!isEmpty) return `${name} deleted${after}`;
  return operation === 'delete' ? `Nothing to delete: ${name} was not found in ${group}` : 'Nothing was left to delete';
}

function checkResult(name: string, findings: readonly Finding[]): string {
  const count = (wanted: Finding['level']) => findings.filter(({ level }) => level === wanted).length;
  const [failed, skipped] = [count('fault'), count('unknown')];
  if (failed > 0) return `Preflight failed for ${name}: ${failed} of ${findings.length} checks`;
  const note = skipped > 0 ? `, ${skipped} ${skipped === 1 ? 'check' : 'checks'} skipped` : '';
  return `Preflight passed for ${name}${note}`;
}

/** One line below the heading: state, system, size, place, address, and how long the VM lives. */
export function statusLine(facts: SummaryFacts): Markdown {
  const { outputs, plan, requested } = facts;
  if (!hasVm(facts) || !plan || !requested) return '';
  const version = outputs['image-version'];
  const zone = outputs['zone'];
  const parts = [
    `**${readiness(facts)} in ${elapsed(facts)}**`,
    plan.vm.osType,
    markdownText(usedSize(facts)),
    markdownText(plan.location),
    zone && `zone ${markdownText(zone)}`,
    version && `image ${markdownText(version)}`,
    markdownText(addressOf(facts) ?? ''),
    link('portal', portalUrl(outputs['vm-id'], requested.tenantId, facts)),
  ].filter((part) => part !== '' && part !== 'portal' && part !== undefined);
  return paragraphs(parts.join(' · '), lifetime(requested, plan));
}

function usedSize({ outputs }: SummaryFacts): string {
  return `${outputs['vm-size'] ?? ''}${outputs.spot === 'true' ? ' (Spot)' : ''}`;
}

/** An existing VM may be stopped: only its agent tells. */
function readiness({ requested, adopted, outputs }: SummaryFacts): string {
  if (adopted && requested?.waitFor !== 'agent' && !outputs['script-exit-code']) return 'Kept';
  return requested?.waitFor === 'accepted' && !adopted ? 'Accepted' : 'Ready';
}

function elapsed({ stages }: SummaryFacts): string {
  return formatDuration(Math.max(0, ...stages.map(({ to }) => to)));
}

function lifetime({ cleanup }: RequestedDeployment, plan: Plan): Markdown {
  if (cleanup === 'always') return 'Deleted when the job ends.';
  const expiry = new Date(plan.tags['expires-on'] ?? '');
  if (Number.isNaN(expiry.getTime())) return '';
  const day = expiry.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
  const time = expiry.toISOString().slice(11, 16);
  return `Expires ${day} ${time} UTC: ${markdownCode('operation: sweep')} deletes it after that.`;
}

// Connect

export function connecting(facts: SummaryFacts): Markdown {
  const { plan, image, requested } = facts;
  if (!hasVm(facts) || !plan || !requested) return '';
  const isWindows = plan.vm.osType === 'Windows';
  const address = facts.outputs['fqdn'] ?? facts.outputs['public-ip-address'];
  const lines = address
    ? [...(isWindows ? remoteDesktop : ssh)(facts, address, plan), closedPort(facts, plan, isWindows ? 3389 : 22)]
    : [
        `No public IP. Connect to ${markdownCode(facts.outputs['private-ip-address'] ?? '')} from its network or a peered one, or use Azure Bastion. To run a command without a connection:`,
        shellBlock(
          shellCommand`az vm run-command invoke ${vmOptions({ ...plan, vmName: plan.vm.name })} --command-id ${isWindows ? 'RunPowerShellScript' : 'RunShellScript'} --scripts hostname`,
        ),
      ];
  const hint = image?.osState === 'Specialized' && 'The image is specialized: sign in with an account of the image.';
  return paragraphs('### Connect', ...lines, hint);
}

function ssh(facts: SummaryFacts, address: string, plan: Plan): Markdown[] {
  const { outputs, requested, image, adopted } = facts;
  const command = shellBlock(sshCommandOf(facts, address));
  if (outputs['ssh-private-key-path']) {
    return [
      'From a later step of this job (the generated key is deleted when the job ends):',
      command,
      ...(requested?.cleanup === 'always'
        ? []
        : ['To sign in after the job, set a key of your own:', resetBlock(facts, plan)]),
    ];
  }
  const hasOwnAccess = requested?.adminPassword || requested?.sshPublicKeys?.length || image?.osState === 'Specialized';
  if (!adopted || hasOwnAccess) return [command];
  const deleted = 'The key that an earlier run generated was deleted with its job. To set one of your own:';
  return [command, deleted, resetBlock(facts, plan)];
}

function remoteDesktop(facts: SummaryFacts, address: string, plan: Plan): Markdown[] {
  const { requested, image, adopted } = facts;
  const hasKnownPassword = requested?.adminPassword || image?.osState === 'Specialized' || adopted;
  return [
    block(`mstsc /v:${address}`),
    `User ${markdownCode(userOf(facts))}.`,
    ...(hasKnownPassword
      ? []
      : ['The generated password is not exposed. To sign in, reset it:', resetBlock(facts, plan)]),
  ];
}

type VmUser = VmNames & Pick<Plan['vm'], 'osType'> & { readonly user: string };

/** The command that replaces a key or password that nobody has. */
export function resetCommand({ osType, user, ...vm }: VmUser): string {
  return osType === 'Windows'
    ? shellCommand`az vm user update ${vmOptions(vm)} --username ${user} --password ${'<new-password>'}`
    : shellCommand`az vm user update ${vmOptions(vm)} --username ${user} --ssh-key-value ~/.ssh/id_ed25519.pub`;
}

function resetBlock(facts: SummaryFacts, { subscriptionId, resourceGroup, vm }: Plan): Markdown {
  const user = userOf(facts);
  return shellBlock(resetCommand({ subscriptionId, resourceGroup, vmName: vm.name, osType: vm.osType, user }));
}

function userOf({ outputs, image }: SummaryFacts): string {
  return outputs['admin-username'] ?? (image?.osState === 'Specialized' ? '<user>' : 'azureuser');
}

function addressOf({ outputs }: SummaryFacts): string | undefined {
  return outputs['fqdn'] ?? outputs['public-ip-address'] ?? outputs['private-ip-address'];
}

/** With the runner's files only if they are needed: a reader has a key of their own otherwise. */
function sshCommandOf(facts: SummaryFacts, address: string): string {
  const { 'ssh-private-key-path': keyPath, 'ssh-command': command } = facts.outputs;
  return keyPath && command ? command : shellCommand`ssh ${`${userOf(facts)}@${address}`}`;
}

/** A hint if the deployment's own NSG keeps the port closed. Silent if others may have opened it. */
function closedPort({ otherRules = [] }: SummaryFacts, plan: Plan, port: number): Markdown {
  const { nsg } = plan;
  if (nsg?.origin !== 'made' || rulesAreOverridden(plan) || otherRules.length > 0) return '';
  const covers = (range: string): boolean => {
    const [from = '', to = from] = range.split('-');
    return range === '*' || (Number(from) <= port && port <= Number(to));
  };
  const isOpen = (nsg.body.securityRules ?? []).some(
    ({ protocol = '*', destinationPortRange = '' }) => /^(?:tcp|\*)$/i.test(protocol) && covers(destinationPortRange),
  );
  return isOpen
    ? ''
    : `Port ${port} is closed. To open it: ${markdownCode(`allow-inbound: ${port} from <your address>`)}.`;
}

export function shellBlock(...commands: readonly string[]): Markdown {
  return block(commands.map(wrapCommand).join('\n'), { language: 'sh' });
}
