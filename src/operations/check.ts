import { type CheckSession, openCheckSession } from '../auth/session.ts';
import { valueOf } from '../azure/lookup.ts';
import { type CheckContext, collectFacts } from '../check/collect.ts';
import { collectPolicyDenials, collectSpotPrices } from '../check/collect-resources.ts';
import { evaluateChecks } from '../check/evaluate.ts';
import type { CheckFacts, Finding } from '../check/facts.ts';
import { ownershipTags } from '../deployment/ownership.ts';
import type { Plan } from '../deployment/resources.ts';
import { ActionError } from '../errors/errors.ts';
import { isCommandOrUrl } from '../errors/format-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { createPlan } from '../plan/create-plan.ts';
import type { WorkflowRun } from '../runner/environment.ts';
import type { LogWriter } from '../runner/log.ts';
import type { Reporter } from '../summary/reporter.ts';

/** Sends no write. @throws ActionError that lists the faults, if there are any; the signal's reason. */
export async function checkDeployment(
  inputs: DeployInputs,
  { report, ...context }: Omit<CheckContext, 'log'> & { readonly report: Reporter },
): Promise<void> {
  const options = { ...context, log: report.log };
  const session = await report.stage('Sign in', () => openCheckSession(inputs, options));
  const facts = await report.stage('Query Azure', () => collectFacts(session, inputs, options));
  context.signal.throwIfAborted();
  const image = valueOf(facts.subscriptionFacts?.image)?.facts;
  if (image) {
    report.addFacts({ image });
    // A later job can create the VM from the version that was checked, even if a newer one was published.
    report.outputAll({ 'image-version-id': image.referenceId, 'image-version': image.version });
  }
  const plan = planForCheck(facts, context.run);
  const findings = evaluateChecks(await withPlanFacts(facts, session.session, plan), plan);
  report.outputJson(
    'findings',
    findings.map(({ id, level, asked, answer, who, fix }) => ({ id, level, asked, answer, who, fix })),
  );
  logFindings(findings, report.log);
  warnAboutSkipped(findings, report.log);
  const faults = findings.filter(({ level }) => level === 'fault');
  if (faults.length > 0) throw checkFailedError(findings.length, faults);
}

/** These questions need the plan, so they come last. */
async function withPlanFacts(facts: CheckFacts, session: CheckSession['session'], plan: Plan | undefined) {
  const { subscriptionFacts } = facts;
  if (!subscriptionFacts || !session || !plan) return facts;
  const [policyDenials, spotPrices] = await Promise.all([
    collectPolicyDenials(session, subscriptionFacts, plan),
    collectSpotPrices(session, facts.inputs, plan),
  ]);
  return { ...facts, subscriptionFacts: { ...subscriptionFacts, policyDenials, spotPrices } };
}

/** The plan for the image as far as it could be read, else for a placeholder. */
function planForCheck({ inputs, subscriptionFacts }: CheckFacts, run: WorkflowRun): Plan | undefined {
  if (!subscriptionFacts) return undefined;
  const { subscriptionId, image, group } = subscriptionFacts;
  return createPlan(inputs, valueOf(image)?.facts ?? placeholderImage(inputs), {
    subscriptionId,
    location: valueOf(group)?.location ?? inputs.location ?? '',
    ownership: ownershipTags(run, inputs.vmName, inputs.cleanup),
    generated: {},
  });
}

function placeholderImage({ image, osType = 'Linux', securityType = 'Standard' }: DeployInputs): ResolvedImage {
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

const levelTitles = { fault: 'Failed', warning: 'Warnings', unknown: 'Skipped', ok: 'Passed' };

function logFindings(findings: readonly Finding[], log: LogWriter): void {
  for (const [level, title] of Object.entries(levelTitles)) {
    const ofLevel = findings.filter((finding) => finding.level === level);
    if (ofLevel.length > 0) log.info(`${title} (${ofLevel.length})`);
    const byFix = Map.groupBy(ofLevel, ({ who, fix }) => JSON.stringify([who, fix]));
    for (const sameFix of byFix.values()) logSameFix(sameFix, log);
  }
}

function logSameFix(findings: readonly Finding[], log: LogWriter): void {
  for (const { id, level, asked, answer } of findings) {
    if (level === 'warning') log.warning(`${id}: ${asked}. ${answer}`);
    else log.info(level === 'ok' ? `  ${id}: ${answer}` : `  ${id}: ${asked}. ${answer}`);
  }
  const [{ who, fix } = { who: '', fix: [] }] = findings;
  if (who) log.info(`    Who must act: ${who}`);
  for (const step of fix) log.info(isCommandOrUrl(step) ? `      ${step}` : `    - ${step}`);
}

/** A passed check says nothing about what it skipped: one annotation names it, and the permissions that would include it. */
function warnAboutSkipped(findings: readonly Finding[], log: LogWriter): void {
  const skipped = findings.filter(({ level }) => level === 'unknown');
  if (skipped.length === 0) return;
  const count = skipped.length === 1 ? '1 check was skipped' : `${skipped.length} checks were skipped`;
  const actionsByScope = Map.groupBy(
    skipped.flatMap(({ missing }) => missing ?? []),
    ({ scope }) => scope,
  );
  const needs = [...actionsByScope].map(
    ([scope, missing]) => `${[...new Set(missing.map(({ action }) => action))].join(', ')} on ${scope}`,
  );
  const remedy =
    needs.length > 0
      ? ` To include them, the app needs ${needs.join('; ')}: the role Reader, or the custom role docs/roles/check-beforehand.json.`
      : '';
  log.warning(`${count}: ${skipped.map(({ id }) => id).join(', ')}.${remedy}`);
}

function checkFailedError(count: number, faults: readonly Finding[]): ActionError {
  const [first, ...others] = faults;
  const only = others.length === 0 ? first : undefined;
  // The title of the annotation is the first line: the cause, if there is only one.
  const lines = only
    ? [`${only.id}: ${only.answer}`, `1 of ${count} checks failed: ${only.asked}.`]
    : [
        `${faults.length} of ${count} checks failed: ${faults.map(({ id }) => id).join(', ')}`,
        ...faults.map(({ id, answer }) => `- ${id}: ${answer}`),
      ];
  return new ActionError('checking the deployment', {
    message: lines.join('\n'),
    reason: 'A create with these inputs would fail. Nothing was created or changed.',
    who: [...new Set(faults.map(({ who }) => who))].join('; '),
    fix: only?.fix ?? ['The log of this step and the output `findings` list the commands and URLs for each.'],
  });
}
