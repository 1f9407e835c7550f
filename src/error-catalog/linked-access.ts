import type { Explanation, ImageAccessProbe } from '../errors/action-error.ts';
import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import { type FilledErrorContext, imageOwner, isSameTenant, resolve, workflowAuthor } from './entry.ts';
import { grantCommand, idSegment, ownerLookup, roleDelay } from './role-commands.ts';

/**
 * Whether the auxiliary token or the role is at fault, by what a look has shown; undefined where it has not settled it.
 */
export function explainLink(fault: AzureErrorInfo, known: FilledErrorContext): Explanation | undefined {
  const { link } = known;
  if (!link) return undefined;
  const subscription = idSegment(known.imageId, 'subscriptions') ?? '<image-subscription-id>';
  const { tokenTenant, owner, image } = link;
  if (owner && !isSameTenant(owner, tokenTenant)) return tokenOfAnother(link, owner, subscription, known);
  if (image === 'denied') {
    return {
      cause: `The role is at fault, not the auxiliary token: that is of tenant ${tokenTenant}${owner ? `, which owns the image's subscription ${subscription}` : ''}, and reading the image with it is refused too.`,
      who: resolve(imageOwner, fault, known),
      fix: [
        'Grant the role on the image definition:',
        grantCommand('Microsoft.Compute/galleries/images/versions/read', known.imageId, known),
        roleDelay,
      ],
    };
  }
  if (image === 'absent') {
    return {
      cause: `The image version is gone: with the auxiliary token, of tenant ${tokenTenant}, it is not to be found any more.`,
      who: workflowAuthor,
      fix: ["Run the job again with an image version that exists: the definition's ID takes the newest one."],
    };
  }
  if (image !== 'readable') return undefined;
  const whose = owner
    ? `is of tenant ${tokenTenant}, which owns the image's subscription ${subscription},`
    : `is of tenant ${tokenTenant}`;
  return {
    cause: `Neither the auxiliary token nor the role seems at fault now: the token ${whose} and the image can be read with it. Either the role is new and not known everywhere yet, or something between the runner and Azure takes the header x-ms-authorization-auxiliary away.`,
    who: `${workflowAuthor}, or whoever runs the runner`,
    fix: [
      `${roleDelay} If it stays, look at proxies that open TLS connections (HTTPS_PROXY).`,
      ...(owner ? [] : ownerLookup(subscription, known)),
    ],
  };
}

function tokenOfAnother(
  { tokenTenant }: ImageAccessProbe,
  owner: string,
  subscription: string,
  known: FilledErrorContext,
): Explanation {
  return {
    cause: `The auxiliary token is at fault: it is of tenant ${tokenTenant}, and the image's subscription ${subscription} belongs to tenant ${owner}.`,
    who: workflowAuthor,
    fix: [
      `Set \`image-tenant-id\` to ${owner}. An administrator of that tenant has to let the app in, if that has not been done:`,
      `az login --tenant ${quoteForShell(owner)} && az ad sp create --id ${quoteForShell(known.clientId)}`,
      'Then it takes the role on the image:',
      grantCommand('Microsoft.Compute/galleries/images/versions/read', known.imageId, known),
    ],
  };
}
