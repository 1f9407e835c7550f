import { workflowAuthor } from '../../error-catalog/entry.ts';
import type { ImageInspection, ResolvedImage } from '../../image/image.ts';
import { validateAdminAccount } from '../../inputs/admin-account.ts';
import { shellCommand } from '../../lib/escape.ts';
import { overridesAffectSize, securityTypeIncompatibility } from '../../vm/sizes.ts';
import {
  type Finding,
  type RuleContext,
  answered,
  faultFinding,
  faultFromError,
  okFinding,
  unknownFinding,
  unknownFromError,
  warnFinding,
} from '../facts.ts';

export function checkImage(context: RuleContext): Finding[] {
  const { inputs, facts, signIns, known } = context;
  const question = { id: 'image', asked: `image ${inputs.image.id}` };
  if (!facts.image) {
    const signedIn = signIns.every(({ role, result }) => role !== 'image-tenant' || 'value' in result);
    const reason = signedIn ? 'the region is not known' : 'there is no token of the image tenant';
    return [unknownFinding(question, `Skipped: ${reason}.`)];
  }
  if ('error' in facts.image) return [faultFromError(question, facts.image.error, known)];
  const image = facts.image.value;
  return [
    checkImageVersion(context, image),
    ...checkDefinitionRead(context, image),
    ...image.facts.warnings.map((warning) =>
      warnFinding(
        { id: 'image/end-of-life', asked: 'the lifetime of the image version' },
        warning,
        'the owner of the gallery',
        ['Deploy a newer version or another image (`image-id`).'],
      ),
    ),
    ...checkAccount(context, image.facts),
    ...checkOsDiskSize(context, image.facts),
    ...checkOverrides(context),
    ...checkSecurityType(context, image.facts),
    ...checkTerms(context, image.facts),
  ];
}

function checkImageVersion({ inputs, known }: RuleContext, { facts: image, unusable }: ImageInspection): Finding {
  const question = { id: 'image', asked: `image ${inputs.image.id}` };
  if (unusable) {
    const finding = faultFromError(question, unusable.refusal, known);
    return unusable.temporary && inputs.imageWaitMinutes > 0 ? { ...finding, level: 'warning' } : finding;
  }
  const generation = image.generation ? `, generation ${image.generation.replace('V', '')}` : '';
  return okFinding(
    question,
    `Version ${image.version} is usable: ${image.osType}, ${image.osState}, ${image.architecture}${generation}.`,
  );
}

function checkDefinitionRead({ inputs, known, subscription }: RuleContext, { unread }: ImageInspection): Finding[] {
  if (unread === undefined) return [];
  const permission = {
    action: 'Microsoft.Compute/galleries/images/read',
    // Galleries of others are read through the target subscription.
    scope: 'subscriptionId' in inputs.image ? inputs.image.id.replace(/\/versions\/[^/]+$/i, '') : subscription,
  };
  const asked =
    'generation, architecture, security type and plan of the image, and whether it is specialized (from its definition)';
  return [unknownFromError({ id: 'image/definition', asked }, unread, permission, known)];
}

function checkAccount({ inputs }: RuleContext, image: ResolvedImage): Finding[] {
  const osType = image.osState === 'Specialized' ? undefined : image.osType;
  return validateAdminAccount(inputs, osType).map(({ input, message }) =>
    faultFinding(
      { id: `input/${input}`, asked: `\`${input}\` under the rules for ${image.osType}` },
      message,
      workflowAuthor,
      [`Correct \`${input}\`.`],
    ),
  );
}

function checkOsDiskSize(
  { inputs: { osDiskSizeGb } }: RuleContext,
  { osDiskSizeGb: minimum = 0 }: ResolvedImage,
): Finding[] {
  if (osDiskSizeGb === undefined || osDiskSizeGb >= minimum) return [];
  const question = { id: 'input/os-disk-size-gb', asked: 'the size of the OS disk' };
  const answer = `${osDiskSizeGb} GB is smaller than the OS disk of the image, ${minimum} GB.`;
  return [
    faultFinding(question, answer, workflowAuthor, [`Give \`os-disk-size-gb: ${minimum}\` or more, or leave it out.`]),
  ];
}

function checkOverrides({ inputs: { overrides } }: RuleContext): Finding[] {
  const keys = Object.values(overrides).flatMap((patch) => Object.keys(patch));
  if (keys.every((key) => key.toLowerCase() === 'tags')) return [];
  const question = { id: 'overrides', asked: 'what `overrides` changes' };
  return [unknownFinding(question, 'Skipped: only Azure can tell, when it creates the resources.')];
}

function checkSecurityType({ inputs }: RuleContext, image: ResolvedImage): Finding[] {
  if (overridesAffectSize(inputs)) return [];
  const problem = securityTypeIncompatibility(image, inputs.securityType ?? image.securityType);
  if (!problem) return [];
  return [
    faultFinding({ id: 'security-type', asked: 'the security type that the image allows' }, problem, workflowAuthor, [
      'Leave `security-type` out to use the one that the image definition names, or use another image.',
    ]),
  ];
}

function checkTerms({ facts, known, subscription }: RuleContext, { plan }: ResolvedImage): Finding[] {
  if (!plan) return [];
  const { publisher, product, name } = plan;
  const question = {
    id: 'terms',
    asked: `Marketplace terms of plan ${publisher}/${product}/${name} in the subscription`,
    permission: {
      action: 'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read',
      scope: subscription,
    },
  };
  const owner = `the owner of subscription ${known.subscriptionId}, in the VM's tenant (${known.tenantId})`;
  return answered(question, facts.terms, known, (accepted) =>
    accepted
      ? okFinding(question, 'Accepted.')
      : faultFinding(question, 'Not accepted: Azure refuses to create VMs from this image.', owner, [
          'Read and accept them, once per subscription:',
          shellCommand`az vm image terms accept --subscription ${known.subscriptionId} --publisher ${publisher} --offer ${product} --plan ${name}`,
        ]),
  );
}
