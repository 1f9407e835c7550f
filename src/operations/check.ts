import { openCheckSession } from '../auth/session.ts';
import { type CheckContext, collectFacts } from '../check/collect.ts';
import { evaluateChecks } from '../check/evaluate.ts';
import type { CheckFacts, Finding } from '../check/facts.ts';
import { ownershipTags } from '../deployment/ownership.ts';
import type { Plan } from '../deployment/plan.ts';
import { ActionError } from '../errors/action-error.ts';
import { isCommandOrUrl } from '../errors/format-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { createPlan } from '../plan/create-plan.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import type { Reporter } from '../summary/reporter.ts';

/**
 * Asks everything that could refuse the deployment, without a single write, and tells all of it at once.
 * @throws Failure that lists the faults, if there are any; the signal's reason.
 */
export async function checkDeployment(inputs: DeployInputs, context: CheckContext): Promise<void> {
  const { report, signal } = context;
  const session = await report.stage('Sign in', () =>
    openCheckSession(inputs, { ...context, log: report.log }),
  );
  const facts = await report.stage('Ask Azure', () => collectFacts(session, inputs, context));
  signal.throwIfAborted();
  const image = facts.subscriptionFacts?.image;
  if (image && 'value' in image) {
    report.addFacts({ image: image.value.facts });
    // So that a later job can create from the very version that was checked, whatever is published in between.
    report.output('image-version-id', image.value.facts.referenceId);
    report.output('image-version', image.value.facts.version);
  }
  const findings = evaluateChecks(facts, planForCheck(facts, context.run));
  report.outputFindings(findings);
  logFindings(findings, report);
  const faults = findings.filter(({ level }) => level === 'fault');
  if (faults.length > 0) throw checkFailedError(findings.length, faults);
}

/** The plan of the image as far as it could be read; where it could not, of one that stands in for it. */
function planForCheck({ inputs, subscriptionFacts }: CheckFacts, run: WorkflowRun): Plan | undefined {
  if (!subscriptionFacts) return undefined;
  const image =
    subscriptionFacts.image && 'value' in subscriptionFacts.image
      ? subscriptionFacts.image.value.facts
      : placeholderImage(inputs);
  const location =
    'value' in subscriptionFacts.group ? subscriptionFacts.group.value.location : (inputs.location ?? '');
  return createPlan(inputs, image, {
    subscriptionId: subscriptionFacts.subscriptionId,
    location,
    ownership: ownershipTags(run, inputs.vmName, inputs.cleanup),
    generated: {},
  });
}

function placeholderImage({
  image,
  osType = 'Linux',
  securityType = 'Standard',
}: DeployInputs): ResolvedImage {
  return {
    reference: {},
    referenceId: image.id,
    version: image.version ?? 'latest',
    osType,
    osState: 'Generalized',
    architecture: 'x64',
    securityType,
    dataDiskLuns: [],
    notices: [],
    warnings: [],
  };
}

/** Prints the findings, what stands in the way first. What is well takes a line; what has one remedy shares its lines. */
function logFindings(findings: readonly Finding[], { log }: Reporter): void {
  const titles = { fault: 'In the way', warning: 'Warnings', unknown: 'Not known', ok: 'Well' } as const;
  for (const level of ['fault', 'warning', 'unknown', 'ok'] as const) {
    const ofLevel = findings.filter((finding) => finding.level === level);
    if (ofLevel.length > 0) log.info(`${titles[level]} (${ofLevel.length})`);
    const byRemedy = Map.groupBy(ofLevel, ({ who, fix }) => JSON.stringify([who, fix]));
    for (const alike of byRemedy.values()) {
      for (const { id, asked, answer } of alike) {
        if (level === 'warning') log.warning(`${id}: ${asked}. ${answer}`);
        else log.info(level === 'ok' ? `  ${id}: ${answer}` : `  ${id}: ${asked}. ${answer}`);
      }
      const [{ who, fix } = { who: '', fix: [] }] = alike;
      if (who) log.info(`    Who must act: ${who}`);
      for (const step of fix) log.info(isCommandOrUrl(step) ? `      ${step}` : `    - ${step}`);
    }
  }
}

function checkFailedError(asked: number, faults: readonly Finding[]): ActionError {
  const lines = faults.map(({ id, answer }) => `- ${id}: ${answer}`);
  return new ActionError('checking the deployment', {
    message: `${faults.length} of ${asked} findings stand in its way:\n${lines.join('\n')}`,
    explanation: {
      cause: 'As things are, Azure would refuse the deployment. Nothing was created or changed.',
      who: [...new Set(faults.map(({ who }) => who))].join('; '),
      fix: ['The log above and the output `findings` say what to do about each, with commands and URLs.'],
    },
  });
}
