import { subscriptionOwner } from '../../error-catalog/entry.ts';
import type { ImageInspection, ResolvedImage } from '../../image/image.ts';
import { validateAdminAccount } from '../../inputs/admin-account.ts';
import { shellCommand } from '../../lib/escape.ts';
import { overridesAffectSize, securityTypeIncompatibility } from '../../vm/sizes.ts';
import type { Finding, Question, RuleContext } from '../facts.ts';

export function checkImage(context: RuleContext): Finding[] {
  const { inputs, facts, signIns, ask } = context;
  const question = ask('image', `image ${inputs.image.id}`);
  if (!facts.image) {
    const signedIn = signIns.every(({ role, result }) => role !== 'image-tenant' || 'value' in result);
    const reason = signedIn ? 'the region is not known' : 'there is no token of the image tenant';
    return [question.unknown(`Skipped: ${reason}.`)];
  }
  if ('error' in facts.image) return [question.refused(facts.image.error)];
  const inspection = facts.image.value;
  const newer = ['Deploy a newer version or another image (`image-id`).'];
  return [
    checkImageVersion(context, question, inspection),
    ...checkDefinitionRead(context, inspection),
    ...inspection.facts.warnings.map((warning) =>
      ask('image/end-of-life', 'the lifetime of the image version').warning(warning, newer, 'the owner of the gallery'),
    ),
    ...[checkAccount, checkOsDiskSize, checkOverrides, checkSecurityType, checkTerms].flatMap((rule) =>
      rule(context, inspection.facts),
    ),
  ];
}

function checkImageVersion({ inputs }: RuleContext, question: Question, inspection: ImageInspection): Finding {
  const { facts: image, unusable } = inspection;
  if (unusable) {
    const finding = question.refused(unusable.refusal);
    return unusable.temporary && inputs.imageWaitMinutes > 0 ? { ...finding, level: 'warning' } : finding;
  }
  const generation = image.generation ? `, generation ${image.generation.replace('V', '')}` : '';
  const properties = `${image.osType}, ${image.osState}, ${image.architecture}${generation}`;
  return question.ok(`Version ${image.version} is usable: ${properties}.`);
}

function checkDefinitionRead({ inputs, subscription, ask }: RuleContext, { unread }: ImageInspection): Finding[] {
  if (unread === undefined) return [];
  const asked =
    'generation, architecture, security type and plan of the image, and whether it is specialized (from its definition)';
  // Galleries of others are read through the target subscription.
  const scope = 'subscriptionId' in inputs.image ? inputs.image.id.replace(/\/versions\/[^/]+$/i, '') : subscription;
  return [ask('image/definition', asked, 'Microsoft.Compute/galleries/images/read', scope).skipped(unread)];
}

function checkAccount({ inputs, ask }: RuleContext, image: ResolvedImage): Finding[] {
  const osType = image.osState === 'Specialized' ? undefined : image.osType;
  return validateAdminAccount(inputs, osType).map(({ input, message }) =>
    ask(`input/${input}`, `\`${input}\` under the rules for ${image.osType}`).fault(message, [`Correct \`${input}\`.`]),
  );
}

function checkOsDiskSize({ inputs: { osDiskSizeGb }, ask }: RuleContext, image: ResolvedImage): Finding[] {
  const { osDiskSizeGb: minimum = 0 } = image;
  if (osDiskSizeGb === undefined || osDiskSizeGb >= minimum) return [];
  const answer = `${osDiskSizeGb} GB is smaller than the OS disk of the image, ${minimum} GB.`;
  const fix = [`Give \`os-disk-size-gb: ${minimum}\` or more, or leave it out.`];
  return [ask('input/os-disk-size-gb', 'the size of the OS disk').fault(answer, fix)];
}

function checkOverrides({ inputs: { overrides }, ask }: RuleContext): Finding[] {
  const keys = Object.values(overrides).flatMap((patch) => Object.keys(patch));
  if (keys.every((key) => key.toLowerCase() === 'tags')) return [];
  const question = ask('overrides', 'what `overrides` changes');
  return [question.unknown('Skipped: only Azure can tell, when it creates the resources.')];
}

function checkSecurityType({ inputs, ask }: RuleContext, image: ResolvedImage): Finding[] {
  if (overridesAffectSize(inputs)) return [];
  const problem = securityTypeIncompatibility(image, inputs.securityType ?? image.securityType);
  if (!problem) return [];
  const fix = ['Leave `security-type` out to use the one that the image definition names, or use another image.'];
  return [ask('security-type', 'the security type that the image allows').fault(problem, fix)];
}

function checkTerms({ facts, known, ask }: RuleContext, { plan }: ResolvedImage): Finding[] {
  if (!plan) return [];
  const { publisher, product, name } = plan;
  const question = ask(
    'terms',
    `Marketplace terms of plan ${publisher}/${product}/${name} in the subscription`,
    'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read',
  );
  const fix = [
    'Read and accept them, once per subscription:',
    shellCommand`az vm image terms accept --subscription ${known.subscriptionId} --publisher ${publisher} --offer ${product} --plan ${name}`,
  ];
  const answer = 'Not accepted: Azure refuses to create VMs from this image.';
  const refused = question.fault(answer, fix, subscriptionOwner(known));
  return question.answered(facts.terms, (accepted) => (accepted ? question.ok('Accepted.') : refused));
}
