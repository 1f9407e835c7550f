import type { Result } from '../../azure/lookup.ts';
import { type FilledErrorContext, workflowAuthor } from '../../error-catalog/entry.ts';
import type { ImageInspection } from '../../image/resolve-image.ts';
import { validateAdminAccount } from '../../inputs/admin-account.ts';
import { quoteForShell } from '../../lib/escape.ts';
import { overridesAffectSize, securityTypeIncompatibility } from '../../vm/sizes.ts';
import {
  type Finding,
  type RuleContext,
  faultFinding,
  faultFromError,
  okFinding,
  unknownFinding,
  unknownFromError,
  warnFinding,
} from '../facts.ts';

// Image

export function checkImage({ facts, subscriptionFacts, known }: RuleContext): Finding[] {
  const { inputs } = facts;
  const asked = `image ${inputs.image.id}`;
  if (!subscriptionFacts.image) {
    const signedIn = facts.signIns.every(({ role, result }) => role !== 'image-tenant' || 'value' in result);
    const why = signedIn ? 'the region is not known' : 'there is no token of the image tenant';
    return [unknownFinding('image', asked, `Not asked: ${why}.`)];
  }
  if ('error' in subscriptionFacts.image)
    return [faultFromError('image', asked, subscriptionFacts.image.error, known)];
  const { facts: image, unusable, unread } = subscriptionFacts.image.value;
  const findings: Finding[] = [];
  if (!unusable) {
    const generation = image.generation ? `, generation ${image.generation.replace('V', '')}` : '';
    findings.push(
      okFinding(
        'image',
        asked,
        `Version ${image.version} can be used: ${image.osType}, ${image.osState}, ${image.architecture}${generation}.`,
      ),
    );
  } else {
    const refusal = faultFromError('image', asked, unusable.refusal, known);
    const waits = unusable.passing && inputs.imageWaitMinutes > 0;
    findings.push(waits ? { ...refusal, level: 'warning' } : refusal);
  }
  if (unread !== undefined) {
    const isOwn = 'subscriptionId' in inputs.image;
    const right = {
      action: 'Microsoft.Compute/galleries/images/read',
      // Others' galleries are read through the subscription of the deployment.
      scope: isOwn
        ? inputs.image.id.replace(/\/versions\/[^/]+$/i, '')
        : `/subscriptions/${subscriptionFacts.subscriptionId}`,
    };
    const what =
      'generation, processor, security type and plan of the image, and whether it is specialized, which its definition names';
    findings.push(unknownFromError('image/definition', what, unread, right, known));
  }
  findings.push(
    ...image.warnings.map((warning) =>
      warnFinding('image/end-of-life', 'the end of life of the image', warning, 'the owner of the gallery', [
        'Deploy a newer version or another image (`image-id`).',
      ]),
    ),
    ...validateAdminAccount(inputs, image.osState === 'Specialized' ? undefined : image.osType).map(
      ({ input, message }) =>
        faultFinding(
          `input/${input}`,
          `\`${input}\` under the rules for ${image.osType}`,
          message,
          workflowAuthor,
          [`Correct \`${input}\`.`],
        ),
    ),
  );
  const security = securityTypeIncompatibility(image, inputs.securityType ?? image.securityType);
  if (overridesAffectSize(inputs)) {
    findings.push(
      unknownFinding(
        'overrides',
        'what `overrides` makes of the machine',
        'Not judged: only Azure can tell, when it is created.',
      ),
    );
  } else if (security) {
    findings.push(
      faultFinding('security-type', 'the security type that the image allows', security, workflowAuthor, [
        'Leave `security-type` out to have the one that the image definition names, or use another image.',
      ]),
    );
  }
  if (image.plan && subscriptionFacts.terms)
    findings.push(checkTerms(image.plan, subscriptionFacts.terms, known));
  return findings;
}

function checkTerms(
  { publisher, product, name }: NonNullable<ImageInspection['facts']['plan']>,
  terms: Result<boolean>,
  known: FilledErrorContext,
): Finding {
  const asked = `Marketplace terms of plan ${publisher}/${product}/${name} in the subscription`;
  if ('error' in terms) {
    const right = {
      action: 'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read',
      scope: `/subscriptions/${known.subscriptionId}`,
    };
    return unknownFromError('terms', asked, terms.error, right, known);
  }
  if (terms.value) return okFinding('terms', asked, 'Accepted.');
  const who = `the owner of subscription ${known.subscriptionId}, in the VM's tenant (${known.tenantId})`;
  return faultFinding('terms', asked, 'Not accepted: Azure refuses machines from this image.', who, [
    'Read and accept them, once per subscription:',
    `az vm image terms accept --subscription ${known.subscriptionId} --publisher ${quoteForShell(publisher)} --offer ${quoteForShell(product)} --plan ${quoteForShell(name)}`,
  ]);
}
