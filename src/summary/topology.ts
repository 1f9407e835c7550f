/** Mermaid diagrams of a deployment and of a run (https://mermaid.js.org). */

import { sameTenant } from '../azure/resource-id.ts';
import type { Plan } from '../deployment/resources.ts';
import { type Markdown, block } from '../lib/escape.ts';
import { rulesAreOverridden } from '../plan/drift.ts';
import type { StageTiming } from '../runner/log.ts';
import { type SummaryFacts, hasVm } from './summary-facts.ts';

/**
 * Text as a quoted label. Every character with a meaning in Mermaid or HTML becomes one of Mermaid's entity codes, `%` too:
 * `%%{…}%%` is a directive anywhere.
 */
export function label(...lines: readonly (string | undefined)[]): string {
  return `"${lines.flatMap((line) => (line ? escaped(line) : [])).join('<br/>')}"`;
}

function escaped(line: string): string {
  const short = line.length > 80 ? `${line.slice(0, 79)}…` : line;
  return short
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\p{C}/gu, '')
    .replaceAll(/[^\p{L}\p{N}\p{M} ,./…-]/gu, (character) => `#${character.codePointAt(0)};`);
}

const nameIn = (id = ''): string => id.split('/').at(-1) ?? id;

const galleryKinds = {
  version: 'Gallery',
  definition: 'Gallery',
  shared: 'Shared gallery',
  community: 'Community gallery',
} as const;

/** The resources of a deployment and how they are connected; empty without a VM. */
export function topology(facts: SummaryFacts): Markdown {
  const { plan, requested, outputs } = facts;
  if (!hasVm(facts) || !plan || !requested?.image || !requested.imageTenantId) return '';
  const { image, imageTenantId, tenantId } = requested;
  const version = outputs['image-version'] ?? facts.image?.version;
  const gallery = `image[(${label(`${galleryKinds[image.kind]} ${image.gallery}`, image.definition, version)})]`;
  const resources = nodes(plan, outputs);
  const target = `resource group ${plan.resourceGroup}, ${plan.location}`;
  const subgraph = (id: string, heading: string, nodes: readonly string[]) => [
    `subgraph ${id} [${label(heading)}]`,
    ...indented(nodes),
    'end',
  ];
  const tenants = sameTenant(tenantId, imageTenantId)
    ? subgraph('tenant', `Tenant; ${target}`, [...resources, gallery])
    : [
        ...subgraph('tenant', `Target tenant; ${target}`, resources),
        ...subgraph('imageTenant', 'Image tenant', [gallery]),
      ];
  const existing = givenNodes(plan);
  const styles = ['classDef existing stroke-dasharray: 5 5', `class ${existing.join(',')} existing`];
  const drawing = diagram([
    'flowchart LR',
    ...indented([...tenants, ...edges(plan), ...(existing.length > 0 ? styles : [])]),
  ]);
  return existing.length > 0 ? `${drawing}\n\nDashed: existing resources, given by ID.` : drawing;
}

function nodes(plan: Plan, outputs: SummaryFacts['outputs']): string[] {
  const { nic, nsg, publicIp, subnetId, vnet, vm, identities } = plan;
  const node = (id: string, part: unknown, ...lines: (string | undefined)[]) =>
    part ? [`${id}[${label(...lines)}]`] : [];
  const network = nameIn(subnetId?.replace(/\/subnets\/[^/]+$/i, ''));
  return [
    `vm[${label(`VM ${vm.name}`, `${vm.osType}, ${outputs['vm-size'] ?? vm.attempts[0]?.size}`)}]`,
    ...node('nic', nic, `Network interface ${nameIn(nic.id)}`, outputs['private-ip-address']),
    ...node('subnet', subnetId, `Subnet ${nameIn(subnetId)} of ${network}`, vnet?.body.subnets?.[0]?.addressPrefix),
    ...node('nsg', nsg, `NSG ${nameIn(nsg?.id)}`),
    ...node('ip', publicIp, `Public IP ${nameIn(publicIp?.id)}`, outputs['public-ip-address']),
    ...identities.map(({ name }, index) => `identity${index}[${label(`Identity ${name}`)}]`),
  ];
}

function givenNodes({ nic, nsg, publicIp: ip, subnetId, vnet }: Plan): string[] {
  const subnet = { origin: subnetId && !vnet ? 'given' : 'made' };
  return Object.entries({ nic, subnet, nsg, ip }).flatMap(([id, part]) => (part?.origin === 'given' ? [id] : []));
}

function edges(plan: Plan): string[] {
  const { nsg, publicIp, subnetId, identities } = plan;
  const entry = publicIp ? 'ip' : 'nic';
  return [
    `vm -- ${label('created from')} --> image`,
    ...(publicIp ? ['ip --- nic'] : []),
    'nic --- vm',
    ...(subnetId ? ['subnet --- nic'] : []),
    ...(nsg ? ['nsg -.- nic'] : []),
    ...identities.map((_, index) => `vm -.- identity${index}`),
    ...sources(plan).map(
      ({ source, ports }, index) => `source${index}([${label(source)}]) -- ${label(ports)} --> ${entry}`,
    ),
  ];
}

function sources(plan: Plan): { source: string; ports: string }[] {
  const { nsg } = plan;
  const rules = nsg?.origin === 'made' && !rulesAreOverridden(plan) ? (nsg.body.securityRules ?? []) : [];
  const sourceOf = ({ sourceAddressPrefix: prefix = '*' }) => (prefix === '*' ? 'Internet' : prefix);
  const bySource = Map.groupBy(rules, sourceOf);
  const all = Array.from(bySource, ([source, own]) => {
    const ports = own.map(
      ({ protocol = '*', destinationPortRange = '*' }) =>
        `${protocol === '*' ? 'any' : protocol.toUpperCase()} ${destinationPortRange}`,
    );
    return { source, ports: ports.join(', ') };
  });
  const limit = 6;
  return all.length > limit ? [...all.slice(0, limit), { source: `and ${all.length - limit} more`, ports: '…' }] : all;
}

/** Start and end of each stage. The day is arbitrary: Mermaid has no durations without a date. */
export function timeline(stages: readonly StageTiming[]): Markdown {
  const end = Math.max(0, ...stages.map(({ to }) => to));
  const at = (ms: number): string =>
    new Date(Date.UTC(2000, 0, 1) + Math.round(ms)).toISOString().slice(0, 23).replace('T', ' ');
  return diagram([
    // No room for section names, as there are none; no grid lines across the labels.
    '%%{init: {"gantt": {"leftPadding": 12}, "themeVariables": {"gridColor": "transparent"}}}%%',
    'gantt',
    ...indented([
      'dateFormat YYYY-MM-DD HH:mm:ss.SSS',
      `axisFormat ${end < 60_000 ? '%-S s' : end < 3_600_000 ? '%-M:%S min' : '%-H:%M h'}`,
      `tickInterval ${tickOf(end / 1000)}`,
      ...stages.map(
        ({ title, from, to, failed }, index) =>
          // A colon, hash or semicolon would end the task's name. The zero-width space keeps its first word from being a
          // keyword, such as `click`.
          `\u200B${title.replaceAll(/[^\p{L}\p{N} -]/gu, ' ')} (${formatDuration(to - from)}) :${failed ? 'crit, ' : ''}s${index}, ${at(from)}, ${at(Math.max(to, from + 1))}`,
      ),
    ]),
  ]);
}

/** About ten ticks on the axis, at round times. */
function tickOf(length: number): string {
  const round = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const tick = round.find((tickLength) => length / tickLength <= 12) ?? 7200;
  if (tick < 60) return `${tick}second`;
  return tick < 3600 ? `${tick / 60}minute` : `${tick / 3600}hour`;
}

/** `0.4 s`, `12 s`, `3 min 5 s`. */
export function formatDuration(ms: number): string {
  const whole = Math.round(ms / 1000);
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function diagram(lines: readonly string[]): Markdown {
  return block(lines.join('\n'), { language: 'mermaid', longest: 20_000 });
}
