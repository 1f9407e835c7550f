import { apiVersions } from '../azure/api-versions.ts';
import { sameTenant } from '../azure/resource-id.ts';
import type { Explanation } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import {
  type Entries,
  type Failure,
  areSameTenant,
  assignCommand,
  assignedScope,
  grantCommand,
  groupScope,
  guidSuffix,
  idSegment,
  imageOwner,
  isInImageSubscription,
  isInSubscription,
  messagesOf,
  messageText,
  nobodyNeedsToAct,
  roleDelay,
  roleGranter,
  tenantName,
  workflowAuthor,
} from './entry.ts';

/** `AuthorizationFailed` for such an action, unless it is due to swapped tenants. */
const isDenied = (failure: Failure, action: RegExp) =>
  action.test(deniedAction(failure)) && !areTenantsSwapped(failure);

const deniedAction = (failure: Failure) => messageText(failure, /perform action '([^']+)'/, '<action>');

const deniedScope = (failure: Failure) => messageText(failure, /over scope '([^']+)'/, '<scope>');

const galleryAction = /^Microsoft\.Compute\/galleries\//i;

const versionRead = 'Microsoft.Compute/galleries/images/versions/read';

const roleAction = /^Microsoft\.Authorization\/roleAssignments\/(?:write|delete)$/i;

const groupRead = /^Microsoft\.Resources\/subscriptions\/resourceGroups\/read$/i;

const actionsOfOtherEntries = [galleryAction, roleAction, groupRead];

const deniedWho = (failure: Failure) => roleGranter(deniedAction(failure), deniedScope(failure), failure);

/** `galleries/g` rather than the whole ID, which would fill the title. */
const shortScope = (scope: string) =>
  /\/providers\/[^/]+\/(.+)$/i.exec(scope)?.[1] ?? /\/(resourceGroups\/[^/]+)$/i.exec(scope)?.[1] ?? scope;

const deniedGrant = (failure: Failure) => grantCommand(deniedAction(failure), deniedScope(failure), failure);

const deniedGroup = (failure: Failure) => idSegment(deniedScope(failure), 'resourceGroups') ?? failure.resourceGroup;

const missingIdentity = (failure: Failure) =>
  messageText(failure, /Resource '([^'…]+\/userAssignedIdentities\/[^'…]+)' was not found/i, '<identity-id>');

const foreignSubscription = (failure: Failure) =>
  messageText(failure, /access linked subscription '([^']+)'/, '<image-subscription-id>');

const currentTenant = (failure: Failure) => messageText(failure, /current tenant '([^']+)'/, failure.tenantId);

const foreignTenantText = /not authorized to access linked subscription/i;

/** "…however, it does not have permission to perform action(s) 'A' on the (number) linked scope(s) 'S,T' or …" */
function linked(failure: Failure) {
  const scopes = messageText(failure, /on the (?:'\d+' )?linked scope\(s\) '([^']*)'/i, '<linked-scope>');
  const action = messageText(failure, /not have permission to perform action(?:\(s\))? '([^']+)'/i, '<action>');
  return { action, scopes: scopes.split(/,\s*/) };
}

function ownerLookup(subscription: string, { resourceManager }: Failure): string[] {
  return [
    'Find the tenant that owns the subscription. This needs no permission: the WWW-Authenticate header of the 401 names it.',
    `${shellCommand`curl -si ${`${resourceManager}/subscriptions/${subscription}?api-version=${apiVersions.subscriptions}`}`} | grep -i authorization_uri`,
  ];
}

/** Whether the auxiliary token or the role is wrong, from the probe after the refusal; undefined if it found neither. */
function explainImageLink(failure: Failure): Explanation | undefined {
  const { link } = failure;
  if (!link) return undefined;
  const subscription = idSegment(failure.imageId, 'subscriptions') ?? '<image-subscription-id>';
  const { tokenTenant, owner, image } = link;
  const whose = owner ? `, which owns the image's subscription ${subscription}` : '';
  if (owner && !sameTenant(owner, tokenTenant)) {
    return {
      cause: `\`image-tenant-id\` is the wrong tenant: the image belongs to tenant ${owner}. The auxiliary token is from tenant ${tokenTenant}, but the image's subscription ${subscription} belongs to tenant ${owner}.`,
      who: workflowAuthor,
      fix: [
        `Set \`image-tenant-id\` to ${owner}. If the app has no service principal there, an administrator of that tenant creates it:`,
        `${shellCommand`az login --tenant ${owner} --allow-no-subscriptions`} && ${shellCommand`az ad sp create --id ${failure.clientId}`}`,
        'Then grant the role on the image:',
        grantCommand(versionRead, failure.imageId, failure),
      ],
    };
  }
  if (image === 'denied') {
    return {
      cause: `The app has no role on the image. The auxiliary token is from the right tenant ${tokenTenant}${whose}, and reading the image with it is refused as well.`,
      who: imageOwner(failure),
      fix: ['Grant the role on the image definition:', grantCommand(versionRead, failure.imageId, failure), roleDelay],
    };
  }
  if (image === 'absent') {
    return {
      cause: `The image version no longer exists. Reading it with the auxiliary token, from tenant ${tokenTenant}, returns 404.`,
      who: workflowAuthor,
      fix: ["Run the job again with a version that exists; the definition's ID selects the newest."],
    };
  }
  if (image !== 'readable') return undefined;
  return {
    cause: `Azure refused the link to the image, although the app can read the image. The auxiliary token is from tenant ${tokenTenant}${whose}. Either the role is new, or a proxy removes the header x-ms-authorization-auxiliary.`,
    who: `${workflowAuthor}, or the operator of the runner`,
    fix: [
      `${roleDelay} If it fails again, check proxies that intercept TLS (HTTPS_PROXY).`,
      ...(owner ? [] : ownerLookup(subscription, failure)),
    ],
  };
}

/**
 * The VM's subscription, chosen because `subscription-id` was not given, is the image's although the tenants differ. A
 * subscription belongs to one tenant, so `tenant-id` names the image's.
 */
export const areTenantsSwapped = (failure: Failure) =>
  isInImageSubscription(failure) &&
  isInSubscription(failure.imageId, failure.subscriptionId) &&
  !areSameTenant(failure.tenantId, failure.imageTenantId, failure);

export const authorizationEntries: Entries = {
  'tenant-id and image-tenant-id are swapped': (failure) => ({
    says: 'AuthorizationFailed, or ResourceGroupNotFound, in the subscription of the image',
    codes: ['AuthorizationFailed', 'ResourceGroupNotFound'],
    when: areTenantsSwapped(failure),
    cause: `\`tenant-id\` and \`image-tenant-id\` are swapped. The only subscription of tenant ${failure.tenantId} (\`tenant-id\`) is ${failure.subscriptionId}, the image's own, but \`image-tenant-id\` is ${failure.imageTenantId}.`,
    fix: [
      `Set \`tenant-id\` to the tenant where the VM is created (probably ${failure.imageTenantId}), and \`image-tenant-id\` to the tenant of the gallery (${failure.tenantId}).`,
      'If both are right, `image-id` names a gallery of the wrong tenant. Set `subscription-id`, so that the action cannot choose the wrong subscription.',
    ],
  }),
  'No token of the tenant that owns the image': (failure) => ({
    says: 'LinkedAuthorizationFailed: … galleries/images/versions/read … the current tenant … is not authorized to access linked subscription',
    message: foreignTenantText,
    when: galleryAction.test(deniedAction(failure)),
    cause: `No token of the tenant that owns the image was accepted. The image is in subscription ${foreignSubscription(failure)}, which ${tenantName(currentTenant(failure), failure)} does not own. \`image-tenant-id\` is ${failure.imageTenantId}${guidSuffix(failure.imageTenantId, failure)}.`,
    fix: [
      ...ownerLookup(foreignSubscription(failure), failure),
      "Set `image-tenant-id` to that tenant. If it is already, the app lacks the role on the image, and the gallery's owner grants it:",
      grantCommand(versionRead, failure.imageId, failure),
      '`operation: check` tests both tenants and the image separately.',
    ],
    ...explainImageLink(failure),
  }),
  'Another resource belongs to another tenant': (failure) => ({
    says: 'LinkedAuthorizationFailed: … the current tenant … is not authorized to access linked subscription',
    message: foreignTenantText,
    when: !galleryAction.test(deniedAction(failure)),
    cause: `The VM refers to a resource of another tenant. It is in subscription ${foreignSubscription(failure)} (for ${deniedAction(failure)}), which ${tenantName(currentTenant(failure), failure)} does not own, and no auxiliary token is from its tenant.`,
    fix: [
      /ManagedIdentity/i.test(deniedAction(failure))
        ? 'A VM can use only user-assigned identities of the tenant that the VM is in: correct `identity`.'
        : 'Correct the ID, or add the tenant that owns it to `auxiliary-tenant-ids`.',
      ...ownerLookup(foreignSubscription(failure), failure),
    ],
  }),
  'No permission on a resource that the VM refers to': (failure) => {
    const { action, scopes } = linked(failure);
    const blocked = /deny assignment/i.test(messagesOf(failure)) ? ' A deny assignment blocks it.' : '';
    return {
      says: 'LinkedAuthorizationFailed: … does not have permission to perform action … on the linked scope(s)',
      message: /on the (?:'\d+' )?linked scope/i,
      cause: `The app lacks ${action} on ${scopes.map(shortScope).join(' and ')}. App ${failure.clientId} may create the resource but has no role with this permission on ${scopes.join(' and ')}, which it refers to; or that resource does not exist.${blocked}`,
      who: roleGranter(action, scopes[0] ?? '', failure),
      fix: [
        'Check the ID, then grant the role:',
        ...scopes.map((scope) => grantCommand(action, scope, failure)),
        roleDelay,
      ],
      ...(galleryAction.test(action) ? explainImageLink(failure) : undefined),
    };
  },
  'The app may not read the image': (failure) => ({
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Compute/galleries/images/versions/read'",
    when: isDenied(failure, galleryAction),
    cause: `The app may not read the image. App ${failure.clientId} has no role with ${deniedAction(failure)} on ${deniedScope(failure)}. Azure returns the same error if the gallery does not exist.`,
    who: deniedWho(failure),
    fix: [
      `Check \`image-id\`, then grant the role in the image tenant (${failure.imageTenantId}):`,
      deniedGrant(failure),
      roleDelay,
      /\/images\/read$/i.test(deniedAction(failure)) &&
        'Or, if the app is to have access to the version only, set what the definition would say: `os-type`.',
    ],
  }),
  'The app may not assign roles': (failure) => ({
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/write'",
    when: isDenied(failure, roleAction),
    cause: `The app may not assign roles on ${shortScope(assignedScope(deniedScope(failure)))}. \`role-assignments\` needs this permission for app ${failure.clientId} on ${assignedScope(deniedScope(failure))}.`,
    who: deniedWho(failure),
    fix: [
      'Assign the roles yourself and remove `role-assignments`. Or grant the permission, preferably with a condition that allows only the roles in question:',
      deniedGrant(failure),
      roleDelay,
    ],
  }),
  'The resource group is missing, or the app may not read it': (failure) => ({
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Resources/subscriptions/resourceGroups/read'",
    when: isDenied(failure, groupRead),
    cause: `Resource group ${deniedGroup(failure)} does not exist, or the app has no role on it. Azure returns the same error for both if the caller cannot read the group (app ${failure.clientId}).`,
    who: deniedWho(failure),
    fix: [
      'Create the resource group if needed, and assign the role:',
      shellCommand`az group create --subscription ${idSegment(deniedScope(failure), 'subscriptions') ?? failure.subscriptionId} -n ${deniedGroup(failure)} -l ${failure.location}`,
      assignCommand('Contributor', groupScope(deniedScope(failure)), failure.clientId),
      roleDelay,
    ],
  }),
  'The app lacks a permission': (failure) => ({
    says: 'AuthorizationFailed: … does not have authorization to perform action … over scope … or the scope is invalid',
    when: !areTenantsSwapped(failure) && !actionsOfOtherEntries.some((action) => action.test(deniedAction(failure))),
    cause: `The app lacks ${deniedAction(failure)} on ${shortScope(deniedScope(failure))}. App ${failure.clientId} has no role with this permission on ${deniedScope(failure)}, or that resource does not exist.`,
    who: deniedWho(failure),
    fix: ['Grant the role, or a custom role with just this action:', deniedGrant(failure), roleDelay],
  }),
  'A new identity has not replicated in Entra ID yet': (failure) => ({
    says: 'PrincipalNotFound: Principal … does not exist in the directory',
    cause: `The new identity has not replicated in Entra ID yet. Principal ${messageText(failure, /Principal (\S+) does not exist/, '<principal-id>')} is not visible everywhere in directory ${messageText(failure, /in the directory ([\w-]+)/, '<tenant-id>')}; in recorded cases this took from 6 seconds to 4½ minutes.`,
    who: nobodyNeedsToAct,
    fix: ['Run the job again. If it fails again, use an identity that exists already: its resource ID in `identity`.'],
  }),
  'The role is already assigned': (failure) => {
    const id = /conflicting role assignment is ([0-9a-f]{32})/i.exec(messagesOf(failure))?.[1];
    return {
      says: 'RoleAssignmentExists: The role assignment already exists',
      cause: `The identity already has this role on this scope, through another assignment${id ? ` (${id})` : ''}.`,
      who: 'nobody: the action accepts the existing assignment',
      fix: [
        'Nothing to do. To list the roles there:',
        shellCommand`az role assignment list --scope ${assignedScope(failure.url) || '<scope>'} -o table`,
      ],
    };
  },
  'A stale role assignment blocks the new one': (failure) => ({
    says: 'RoleAssignmentUpdateNotPermitted: Tenant ID, application ID, principal ID, and scope are not allowed to be updated',
    cause:
      'A stale role assignment has the same name. It belongs to another identity, usually one that was deleted and created again under its old name.',
    who: deniedWho(failure),
    fix: [
      'Delete the stale assignment (the portal shows its identity as "not found"), and run the job again:',
      shellCommand`az role assignment delete --ids ${/roleAssignments\//i.test(failure.url) ? failure.url : '<role-assignment-id>'}`,
    ],
  }),
  'The role definition does not exist': (failure) => ({
    says: 'RoleDefinitionDoesNotExist: The specified role definition with ID … does not exist',
    cause: `Role definition ${messageText(failure, /with ID '([^']+)'/, '<role-definition-id>')} does not exist in the tenant of the VM.`,
    fix: [
      'Correct the role in `role-assignments`. Custom roles exist in their own tenant only. To list the assignable roles:',
      shellCommand`az role definition list --scope ${assignedScope(failure.url) || '<scope>'} --query "[].{name:roleName, id:name}" -o table`,
    ],
  }),
  'The user-assigned identity does not exist': (failure) => ({
    says: "FailedIdentityOperation: Identity operation for resource … failed … Resource '…/userAssignedIdentities/…' was not found",
    message: /userAssignedIdentities\/[^']+' was not found/i,
    cause: `Identity ${messageText(failure, /userAssignedIdentities\/([^'/]+)' was not found/i, '<name>')} does not exist. Its ID is ${missingIdentity(failure)}.`,
    fix: [
      'Correct `identity`. A plain name instead of an ID makes the action create the identity in the resource group. To check the ID:',
      shellCommand`az identity show --ids ${missingIdentity(failure)}`,
    ],
  }),
};
