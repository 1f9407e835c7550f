import { sameTenant } from '../azure/resource-id.ts';
import type { AzureErrorInfo, Explanation } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  type Match,
  type Text,
  all,
  any,
  areSameTenant,
  assignCommand,
  assignedScope,
  codeAndMessage,
  codeIs,
  grantCommand,
  groupScope,
  guidSuffix,
  idSegment,
  imageOwner,
  messagesOf,
  messageText,
  nobodyNeedsToAct,
  not,
  ownerLookup,
  resolve,
  roleDelay,
  roleGranter,
  tenantName,
  workflowAuthor,
} from './entry.ts';

const commonErrors =
  'https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors';

const multiTenant = 'https://learn.microsoft.com/azure/azure-resource-manager/management/authenticate-multi-tenant';

const rbacErrors = 'https://learn.microsoft.com/azure/role-based-access-control/troubleshooting';

const deniedAction = (fault: AzureErrorInfo) => messageText(fault, /perform action '([^']+)'/, '<action>');

const deniedScope = (fault: AzureErrorInfo) => messageText(fault, /over scope '([^']+)'/, '<scope>');

function denied(action: RegExp): Match {
  return (fault, known) => codeIs('AuthorizationFailed')(fault, known) && action.test(deniedAction(fault));
}

const galleryAction = /^Microsoft\.Compute\/galleries\//i;

const definitionRead = /^Microsoft\.Compute\/galleries\/images\/read$/i;

const versionRead = 'Microsoft.Compute/galleries/images/versions/read';

const roleAction = /^Microsoft\.Authorization\/roleAssignments\/(?:write|delete)$/i;

const groupRead = /^Microsoft\.Resources\/subscriptions\/resourceGroups\/read$/i;

const deniedWho: Text = (fault, known) => roleGranter(deniedAction(fault), deniedScope(fault), known);

/** `galleries/g` rather than the whole ID, which would fill the title. */
const shortScope = (scope: string) =>
  /\/providers\/[^/]+\/(.+)$/i.exec(scope)?.[1] ?? /\/(resourceGroups\/[^/]+)$/i.exec(scope)?.[1] ?? scope;

const deniedCause: Text = (fault, known) =>
  `The app lacks ${deniedAction(fault)} on ${shortScope(deniedScope(fault))}. App ${known.clientId} has no role with this permission on ${deniedScope(fault)}, or that resource does not exist.`;

const deniedGrant = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  grantCommand(deniedAction(fault), deniedScope(fault), known);

const foreignSubscription = (fault: AzureErrorInfo) =>
  messageText(fault, /access linked subscription '([^']+)'/, '<image-subscription-id>');

const currentTenant = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  messageText(fault, /current tenant '([^']+)'/, known.tenantId);

const foreignTenantText = /not authorized to access linked subscription/i;

const ofForeignTenant = codeAndMessage('LinkedAuthorizationFailed', foreignTenantText);

const ofForeignImage = all(ofForeignTenant, (fault) => galleryAction.test(deniedAction(fault)));

/** "…however, it does not have permission to perform action(s) 'A' on the (number) linked scope(s) 'S,T' or …" */
const linkedScopes =
  /not have permission to perform action(?:\(s\))? '([^']+)' on the (?:'\d+' )?linked scope\(s\) '([^']*)'/i;

function linked(fault: AzureErrorInfo): { action: string; scopes: readonly string[] } {
  const [, action = '<action>', scopes = '<linked-scope>'] = linkedScopes.exec(messagesOf(fault)) ?? [];
  return { action, scopes: scopes.split(/,\s*/) };
}

/** Set if the refused link is the one to the image. */
const imageLink = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  galleryAction.test(linked(fault).action) ? explainImageLink(fault, known) : undefined;

/** Whether the auxiliary token or the role is wrong, from the probe after the refusal; undefined if it found neither. */
function explainImageLink(fault: AzureErrorInfo, known: FilledErrorContext): Explanation | undefined {
  const { link } = known;
  if (!link) return undefined;
  const subscription = idSegment(known.imageId, 'subscriptions') ?? '<image-subscription-id>';
  const { tokenTenant, owner, image } = link;
  if (owner && !sameTenant(owner, tokenTenant)) {
    return {
      cause: `\`image-tenant-id\` is the wrong tenant: the image belongs to tenant ${owner}. The auxiliary token is from tenant ${tokenTenant}, but the image's subscription ${subscription} belongs to tenant ${owner}.`,
      who: workflowAuthor,
      fix: [
        `Set \`image-tenant-id\` to ${owner}. If the app has no service principal there, an administrator of that tenant creates it:`,
        `${shellCommand`az login --tenant ${owner} --allow-no-subscriptions`} && ${shellCommand`az ad sp create --id ${known.clientId}`}`,
        'Then grant the role on the image:',
        grantCommand(versionRead, known.imageId, known),
      ],
    };
  }
  if (image === 'denied') {
    return {
      cause: `The app has no role on the image. The auxiliary token is from the right tenant ${tokenTenant}${owner ? `, which owns the image's subscription ${subscription}` : ''}, and reading the image with it is refused as well.`,
      who: resolve(imageOwner, fault, known),
      fix: ['Grant the role on the image definition:', grantCommand(versionRead, known.imageId, known), roleDelay],
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
  const whose = owner ? `, which owns the image's subscription ${subscription}` : '';
  return {
    cause: `Azure refused the link to the image, although the app can read the image. The auxiliary token is from tenant ${tokenTenant}${whose}. Either the role is new, or a proxy removes the header x-ms-authorization-auxiliary.`,
    who: `${workflowAuthor}, or the operator of the runner`,
    fix: [
      `${roleDelay} If it fails again, check proxies that intercept TLS (HTTPS_PROXY).`,
      ...(owner ? [] : ownerLookup(subscription, known)),
    ],
  };
}

/**
 * The VM's subscription, chosen because `subscription-id` was not given, is the image's although the tenants differ. A
 * subscription belongs to one tenant, so `tenant-id` names the image's.
 */
export const areTenantsSwapped: Match = ({ url }, known) => {
  const image = idSegment(known.imageId, 'subscriptions')?.toLowerCase();
  return (
    image !== undefined &&
    image === known.subscriptionId.toLowerCase() &&
    image === idSegment(url, 'subscriptions')?.toLowerCase() &&
    !areSameTenant(known.tenantId, known.imageTenantId, known)
  );
};

export const authorizationEntries: readonly Entry[] = [
  {
    id: 'tenants-swapped',
    title: 'tenant-id and image-tenant-id are swapped',
    says: 'AuthorizationFailed, or ResourceGroupNotFound, in the subscription of the image',
    source: multiTenant,
    match: all(codeIs('AuthorizationFailed', 'ResourceGroupNotFound'), areTenantsSwapped),
    cause: (_, { subscriptionId, tenantId, imageTenantId }) =>
      `\`tenant-id\` and \`image-tenant-id\` are swapped. The only subscription of tenant ${tenantId} (\`tenant-id\`) is ${subscriptionId}, the image's own, but \`image-tenant-id\` is ${imageTenantId}.`,
    fix: (_, { tenantId, imageTenantId }) => [
      `Set \`tenant-id\` to the tenant where the VM is created (probably ${imageTenantId}), and \`image-tenant-id\` to the tenant of the gallery (${tenantId}).`,
      'If both are right, `image-id` names a gallery of the wrong tenant. Set `subscription-id`, so that the action cannot choose the wrong subscription.',
    ],
  },
  {
    id: 'image-tenant-not-linked',
    title: 'No token of the tenant that owns the image',
    says: 'LinkedAuthorizationFailed: … galleries/images/versions/read … the current tenant … is not authorized to access linked subscription',
    source: 'https://github.com/Azure/azure-cli/issues/30976',
    match: ofForeignImage,
    cause: (fault, known) =>
      explainImageLink(fault, known)?.cause ??
      `No token of the tenant that owns the image was accepted. The image is in subscription ${foreignSubscription(fault)}, which ${tenantName(currentTenant(fault, known), known)} does not own. \`image-tenant-id\` is ${known.imageTenantId}${guidSuffix(known.imageTenantId, known)}.`,
    who: (fault, known) => explainImageLink(fault, known)?.who ?? workflowAuthor,
    fix: (fault, known) =>
      explainImageLink(fault, known)?.fix ?? [
        ...ownerLookup(foreignSubscription(fault), known),
        "Set `image-tenant-id` to that tenant. If it is already, the app lacks the role on the image, and the gallery's owner grants it:",
        grantCommand(versionRead, known.imageId, known),
        '`operation: check` tests both tenants and the image separately.',
      ],
  },
  {
    id: 'other-tenant-not-linked',
    title: 'Another resource belongs to another tenant',
    says: 'LinkedAuthorizationFailed: … the current tenant … is not authorized to access linked subscription',
    source: 'https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-faq',
    match: all(ofForeignTenant, not(ofForeignImage)),
    cause: (fault, known) =>
      `The VM refers to a resource of another tenant. It is in subscription ${foreignSubscription(fault)} (for ${deniedAction(fault)}), which ${tenantName(currentTenant(fault, known), known)} does not own, and no auxiliary token is from its tenant.`,
    fix: (fault, known) => [
      /ManagedIdentity/i.test(deniedAction(fault))
        ? 'A VM can use only user-assigned identities of the tenant that the VM is in: correct `identity`.'
        : 'Correct the ID, or add the tenant that owns it to `auxiliary-tenant-ids`.',
      ...ownerLookup(foreignSubscription(fault), known),
    ],
  },
  {
    id: 'linked-scope-denied',
    title: 'No permission on a resource that the VM refers to',
    says: 'LinkedAuthorizationFailed: … does not have permission to perform action … on the linked scope(s)',
    source: 'https://github.com/Azure/aad-pod-identity/issues/613',
    match: codeAndMessage('LinkedAuthorizationFailed', /on the (?:'\d+' )?linked scope/i),
    cause: (fault, known) => {
      const probed = imageLink(fault, known);
      if (probed) return probed.cause;
      const { action, scopes } = linked(fault);
      const blocked = /deny assignment/i.test(messagesOf(fault)) ? ' A deny assignment blocks it.' : '';
      return `The app lacks ${action} on ${scopes.map(shortScope).join(' and ')}. App ${known.clientId} may create the resource but has no role with this permission on ${scopes.join(' and ')}, which it refers to; or that resource does not exist.${blocked}`;
    },
    who: (fault, known) => {
      const { action, scopes } = linked(fault);
      return imageLink(fault, known)?.who ?? roleGranter(action, scopes[0] ?? '', known);
    },
    fix: (fault, known) => {
      const { action, scopes } = linked(fault);
      return (
        imageLink(fault, known)?.fix ?? [
          'Check the ID, then grant the role:',
          ...scopes.map((scope) => grantCommand(action, scope, known)),
          roleDelay,
        ]
      );
    },
  },
  {
    id: 'image-denied',
    title: 'The app may not read the image',
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Compute/galleries/images/versions/read'",
    source: 'https://learn.microsoft.com/azure/virtual-machines/share-using-app-registration',
    match: all(not(areTenantsSwapped), denied(galleryAction)),
    cause: (fault, known) =>
      `The app may not read the image. App ${known.clientId} has no role with ${deniedAction(fault)} on ${deniedScope(fault)}. Azure returns the same error if the gallery does not exist.`,
    who: deniedWho,
    fix: (fault, known) => [
      `Check \`image-id\`, then grant the role in the image tenant (${known.imageTenantId}):`,
      deniedGrant(fault, known),
      roleDelay,
      ...(definitionRead.test(deniedAction(fault))
        ? ['Or, if the app is to have access to the version only, set what the definition would say: `os-type`.']
        : []),
    ],
  },
  {
    id: 'role-grant-denied',
    title: 'The app may not assign roles',
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/write'",
    source: rbacErrors,
    match: all(not(areTenantsSwapped), denied(roleAction)),
    cause: (fault, known) =>
      `The app may not assign roles on ${shortScope(assignedScope(deniedScope(fault)))}. \`role-assignments\` needs this permission for app ${known.clientId} on ${assignedScope(deniedScope(fault))}.`,
    who: deniedWho,
    fix: (fault, known) => [
      'Grant it there, preferably with a condition that allows only the roles in question. Or assign the roles yourself and remove `role-assignments`:',
      deniedGrant(fault, known),
      roleDelay,
    ],
  },
  {
    id: 'group-denied',
    title: 'The resource group is missing, or the app may not read it',
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Resources/subscriptions/resourceGroups/read'",
    source: commonErrors,
    match: all(not(areTenantsSwapped), denied(groupRead)),
    cause: (fault, known) =>
      `Resource group ${deniedGroup(fault, known)} does not exist, or the app has no role on it. Azure returns the same error for both if the caller cannot read the group (app ${known.clientId}).`,
    who: deniedWho,
    fix: (fault, known) => [
      'Create the resource group if needed, and assign the role:',
      shellCommand`az group create --subscription ${idSegment(deniedScope(fault), 'subscriptions') ?? known.subscriptionId} -n ${deniedGroup(fault, known)} -l ${known.location}`,
      assignCommand('Contributor', groupScope(deniedScope(fault)), known.clientId),
      roleDelay,
    ],
  },
  {
    id: 'denied',
    title: 'The app lacks a permission',
    says: 'AuthorizationFailed: … does not have authorization to perform action … over scope … or the scope is invalid',
    source: commonErrors,
    match: all(
      codeIs('AuthorizationFailed'),
      not(any(areTenantsSwapped, denied(galleryAction), denied(roleAction), denied(groupRead))),
    ),
    cause: deniedCause,
    who: deniedWho,
    fix: (fault, known) => [
      'Grant the role, or a custom role with just this action:',
      deniedGrant(fault, known),
      roleDelay,
    ],
  },
  {
    id: 'principal-not-found',
    title: 'A new identity has not replicated in Entra ID yet',
    says: 'PrincipalNotFound: Principal … does not exist in the directory',
    source: `${rbacErrors}; azure-cli recording test_resource_policy_identity`,
    cause: (fault) =>
      `The new identity has not replicated in Entra ID yet. Principal ${messageText(fault, /Principal (\S+) does not exist/, '<principal-id>')} is not visible everywhere in directory ${messageText(fault, /in the directory ([\w-]+)/, '<tenant-id>')}; in recorded cases this took from 6 seconds to 4½ minutes.`,
    who: nobodyNeedsToAct,
    fix: ['The action retries for five minutes. If it gave up, run the job again.'],
  },
  {
    id: 'role-exists',
    title: 'The role is already assigned',
    says: 'RoleAssignmentExists: The role assignment already exists',
    source: 'azure-cli recording test_create_for_rbac_idempotent',
    cause: (fault) => {
      const id = /conflicting role assignment is ([0-9a-f]{32})/i.exec(messagesOf(fault))?.[1];
      return `The identity already has this role on this scope, through another assignment${id ? ` (${id})` : ''}.`;
    },
    who: 'nobody: the action accepts the existing assignment',
    fix: (fault) => [
      'Nothing to do. To list the roles there:',
      shellCommand`az role assignment list --scope ${assignedScope(fault.url) || '<scope>'} -o table`,
    ],
  },
  {
    id: 'role-of-another',
    title: 'A stale role assignment blocks the new one',
    says: 'RoleAssignmentUpdateNotPermitted: Tenant ID, application ID, principal ID, and scope are not allowed to be updated',
    source: rbacErrors,
    cause:
      'A stale role assignment has the same name. It belongs to another identity, usually one that was deleted and created again under its old name.',
    who: deniedWho,
    fix: (fault) => [
      'Delete the stale assignment (the portal shows its identity as "not found"), and run the job again:',
      shellCommand`az role assignment delete --ids ${/roleAssignments\//i.test(fault.url) ? fault.url : '<role-assignment-id>'}`,
    ],
  },
  {
    id: 'role-not-found',
    title: 'The role definition does not exist',
    says: 'RoleDefinitionDoesNotExist: The specified role definition with ID … does not exist',
    source: rbacErrors,
    cause: (fault) =>
      `Role definition ${messageText(fault, /with ID '([^']+)'/, '<role-definition-id>')} does not exist in the tenant of the VM.`,
    fix: (fault) => [
      'Correct the role in `role-assignments`. Custom roles exist in their own tenant only. To list the assignable roles:',
      shellCommand`az role definition list --scope ${assignedScope(fault.url) || '<scope>'} --query "[].{name:roleName, id:name}" -o table`,
    ],
  },
  {
    id: 'identity-not-found',
    title: 'The user-assigned identity does not exist',
    says: "FailedIdentityOperation: Identity operation for resource … failed … Resource '…/userAssignedIdentities/…' was not found",
    source: 'https://github.com/Azure/azure-cli/issues/31837',
    match: codeAndMessage('FailedIdentityOperation', /userAssignedIdentities\/[^']+' was not found/i),
    cause: (fault) =>
      `Identity ${messageText(fault, /userAssignedIdentities\/([^'/]+)' was not found/i, '<name>')} does not exist. Its ID is ${missingIdentity(fault)}.`,
    fix: (fault) => [
      'Correct `identity`. A plain name instead of an ID makes the action create the identity in the resource group. To check the ID:',
      shellCommand`az identity show --ids ${missingIdentity(fault)}`,
    ],
  },
];

function deniedGroup(fault: AzureErrorInfo, known: FilledErrorContext): string {
  return idSegment(deniedScope(fault), 'resourceGroups') ?? known.resourceGroup;
}

function missingIdentity(fault: AzureErrorInfo): string {
  return (
    /Resource '([^'…]+\/userAssignedIdentities\/[^'…]+)' was not found/i.exec(messagesOf(fault))?.[1] ?? '<identity-id>'
  );
}
