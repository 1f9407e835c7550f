/** The job summary of one step: a pure function from facts to Markdown. */

import { type Markdown, block, details, markdownText } from '../lib/escape.ts';
import { deleteStep, deploymentTable, removals, replacementTable, resourceTable } from './render-details.ts';
import { failureSections, findingSections } from './render-findings.ts';
import { connecting, statusLine, title } from './status.ts';
import { type SummaryFacts, hasVm } from './summary-facts.ts';
import { formatDuration, timeline, topology } from './topology.ts';

/** GitHub drops a step's summary of more than 1 MiB. */
const maxBytes = 1024 * 1024;

/** Renders the summary, the most important section first; leaves out the last ones if it would get too long. */
export function renderSummary(facts: SummaryFacts, limit = maxBytes): Markdown {
  const { findings, stages, bootLog } = facts;
  const sections = [
    `## ${title(facts)}`,
    statusLine(facts),
    ...(findings ? findingSections(findings) : failureSections(facts)),
    replacementTable(facts),
    connecting(facts),
    changedSettingsList(facts),
    deploymentTable(facts),
    removals(facts),
    resourceTable(facts),
    deleteStep(facts),
    drawing(facts),
    stages.length > 1
      ? details(`Timeline: ${formatDuration(Math.max(...stages.map(({ to }) => to)))}`, timeline(stages))
      : '',
    bootLog ? details('End of the boot log', block(bootLog, { keep: 'tail', longest: 20_000 })) : '',
  ].filter((section) => section !== '');
  return fitInto(sections, limit);
}

function changedSettingsList({ changedSettings = [] }: SummaryFacts): Markdown {
  if (changedSettings.length === 0) return '';
  return [
    '⚠️ **Azure or a policy created the VM with other settings than requested**',
    changedSettings.map((line) => `- ${markdownText(line)}`).join('\n'),
  ].join('\n\n');
}

function fitInto(sections: readonly Markdown[], limit: number): Markdown {
  const whole = `${sections.join('\n\n')}\n`;
  if (Buffer.byteLength(whole) <= limit) return whole;
  const note = '_Truncated: GitHub shows no more than 1 MiB. The log has the rest._\n';
  let room = limit - Buffer.byteLength(note);
  const kept: string[] = [];
  for (const section of sections) {
    room -= Buffer.byteLength(section) + 2;
    if (room < 0) break;
    kept.push(section);
  }
  return [...kept, note].join('\n\n');
}

function drawing(facts: SummaryFacts): Markdown {
  const { plan, image, requested, outputs } = facts;
  if (!hasVm(facts) || !plan || !requested?.image || !requested.imageTenantId) return '';
  const diagram = topology({
    plan,
    image: requested.image,
    imageVersion: outputs['image-version'] ?? image?.version ?? '',
    tenant: requested.tenantId,
    imageTenant: requested.imageTenantId,
    size: outputs['vm-size'] ?? plan.vm.attempts[0]?.size ?? '',
    publicIpAddress: outputs['public-ip-address'],
    privateIpAddress: outputs['private-ip-address'],
  });
  const usesExisting =
    [plan.nic, plan.nsg, plan.publicIp].some((part) => part?.origin === 'given') || (plan.subnetId && !plan.vnet);
  const legend = 'Dashed: existing resources, given by ID.';
  return details('Topology', usesExisting ? `${diagram}\n\n${legend}` : diagram);
}
