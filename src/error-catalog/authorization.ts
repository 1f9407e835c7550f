import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  type Match,
  type Text,
  all,
  any,
  codeIs,
  guidBeside,
  messageMatches,
  messageText,
  nobodyNeedsToAct,
  not,
  resolve,
  subscriptionOwner,
  tenantName,
  wordsOf,
  workflowAuthor,
} from './entry.ts';
import { explainLink } from './linked-access.ts';
import {
  assignedScope,
  grantCommand,
  groupScope,
  idSegment,
  ownerLookup,
  roleDelay,
  roleGranter,
} from './role-commands.ts';

const deniedAction = (fault: AzureErrorInfo) => messageText(fault, /perform action '([^']+)'/, '<action>');

const deniedScope = (fault: AzureErrorInfo) => messageText(fault, /over scope '([^']+)'/, '<scope>');

function denied(action: RegExp): Match {
  return (fault) => codeIs('AuthorizationFailed')(fault) && action.test(deniedAction(fault));
}

const galleryAction = /^Microsoft\.Compute\/galleries\//i;

const definitionRead = /^Microsoft\.Compute\/galleries\/images\/read$/i;

const imageActionInText = /action 'Microsoft\.Compute\/galleries\//i;

const roleAction = /^Microsoft\.Authorization\/roleAssignments\/(?:write|delete)$/i;

const groupRead = /^Microsoft\.Resources\/subscriptions\/resourceGroups\/read$/i;

const deniedWho: Text = (fault, known) => roleGranter(deniedAction(fault), deniedScope(fault), known);

const deniedCause: Text = (fault, known) =>
  `App ${known.clientId} has no role with ${deniedAction(fault)} on ${deniedScope(fault)}, or that does not exist.`;

const deniedGrant = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  grantCommand(deniedAction(fault), deniedScope(fault), known);

const foreignSubscription = (fault: AzureErrorInfo) =>
  messageText(fault, /access linked subscription '([^']+)'/, '<image-subscription-id>');

const currentTenant = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  messageText(fault, /current tenant '([^']+)'/, known.tenantId);

const ofForeignTenant = all(
  codeIs('LinkedAuthorizationFailed'),
  messageMatches(/not authorized to access linked subscription/i),
);

/** "…however, it does not have permission to perform action(s) 'A' on the (number) linked scope(s) 'S,T' or …" */
const linkedScopes =
  /not have permission to perform action(?:\(s\))? '([^']+)' on the (?:'\d+' )?linked scope\(s\) '([^']*)'/i;

function linked(fault: AzureErrorInfo): { action: string; scopes: readonly string[] } {
  const [, action = '<action>', scopes = '<linked-scope>'] = linkedScopes.exec(wordsOf(fault)) ?? [];
  return { action, scopes: scopes.split(/,\s*/) };
}

/** Where the link that was refused is the one to the image. */
const probeResult = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  galleryAction.test(linked(fault).action) ? explainLink(fault, known) : undefined;

const policyNames = (fault: AzureErrorInfo): string[] => {
  // In the message, in additionalInfo, or in both; inside JSON that may itself be text.
  const patterns = [
    /policyAssignmentDisplayName\\?"\s*:\s*\\?"([^"\\]+)/g,
    /"policyAssignment":\{"name":"([^"]+)"/g,
  ];
  const sources = `${fault.body}\n${wordsOf(fault)}`;
  return [
    ...new Set(patterns.flatMap((pattern) => [...sources.matchAll(pattern)].map((found) => found[1] ?? ''))),
  ];
};

/** Which input may satisfy a policy, by its name. A guess, and told as one. */
const policyHints: readonly (readonly [about: RegExp, hint: string])[] = [
  [/public ip/i, '`public-ip: false`'],
  [/location|region/i, 'another `location`'],
  [/sku|size/i, 'another `vm-size`'],
  [/\btags?\b/i, '`tags`'],
  [/inbound|\b(?:mgmt)?ports?\b/i, 'a narrower `allow-inbound`'],
];

export const authorizationEntries: readonly Entry[] = [
  {
    id: 'image-tenant-not-linked',
    title: 'No token of the tenant that owns the image',
    says: 'LinkedAuthorizationFailed: … galleries/images/versions/read … the current tenant … is not authorized to access linked subscription',
    match: all(ofForeignTenant, messageMatches(imageActionInText)),
    cause: (fault, known) =>
      explainLink(fault, known)?.cause ??
      `The image is in subscription ${foreignSubscription(fault)}, which ${tenantName(currentTenant(fault, known), known)} does not own, and none of the auxiliary tokens is of the tenant that does. \`image-tenant-id\` is ${known.imageTenantId}${guidBeside(known.imageTenantId, known)}.`,
    who: (fault, known) => explainLink(fault, known)?.who ?? workflowAuthor,
    fix: (fault, known) =>
      explainLink(fault, known)?.fix ?? [
        ...ownerLookup(foreignSubscription(fault), known),
        'Give that tenant as `image-tenant-id`. If it is that already, the app lacks the role on the image; whoever owns the gallery grants it:',
        grantCommand('Microsoft.Compute/galleries/images/versions/read', known.imageId, known),
        '`operation: check` tries both tenants and the image, one by one.',
      ],
  },
  {
    // Identities: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-faq
    id: 'other-tenant-not-linked',
    title: 'Something else belongs to another tenant',
    says: 'LinkedAuthorizationFailed: … the current tenant … is not authorized to access linked subscription',
    match: all(ofForeignTenant, not(messageMatches(imageActionInText))),
    cause: (fault, known) =>
      `The request refers to something in subscription ${foreignSubscription(fault)} (for ${deniedAction(fault)}), which ${tenantName(currentTenant(fault, known), known)} does not own, and none of the auxiliary tokens is of the tenant that does.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      ...(/ManagedIdentity/i.test(deniedAction(fault))
        ? ['A VM can only have user-assigned identities of its own tenant: correct `identity`.']
        : ['Correct the ID, or give the tenant that owns it in `auxiliary-tenant-ids`.']),
      ...ownerLookup(foreignSubscription(fault), known),
    ],
  },
  {
    id: 'linked-scope-denied',
    title: 'No right on something that the VM refers to',
    says: 'LinkedAuthorizationFailed: … does not have permission to perform action … on the linked scope(s)',
    match: all(codeIs('LinkedAuthorizationFailed'), not(ofForeignTenant)),
    cause: (fault, known) => {
      const looked = probeResult(fault, known);
      if (looked) return looked.cause;
      const { clientId } = known;
      const { action, scopes } = linked(fault);
      const blocked = /deny assignment/i.test(wordsOf(fault)) ? ' A deny assignment blocks it.' : '';
      return `App ${clientId} may make the resource but has no role with ${action} on ${scopes.join(' and ')}, which it refers to; or that does not exist.${blocked}`;
    },
    who: (fault, known) => {
      const { action, scopes } = linked(fault);
      return probeResult(fault, known)?.who ?? roleGranter(action, scopes[0] ?? '', known);
    },
    fix: (fault, known) => {
      const looked = probeResult(fault, known);
      if (looked) return looked.fix;
      const { action, scopes } = linked(fault);
      return [
        'Check the ID, then grant the role:',
        ...scopes.map((scope) => grantCommand(action, scope, known)),
        roleDelay,
      ];
    },
  },
  {
    id: 'image-denied',
    title: 'The app may not read the image',
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Compute/galleries/images/versions/read'",
    match: denied(galleryAction),
    cause: (fault, known) =>
      `${resolve(deniedCause, fault, known)} Azure says the same of a gallery that is not there.`,
    who: deniedWho,
    fix: (fault, known) => [
      `Check \`image-id\`, then grant the role in the image tenant (${known.imageTenantId}):`,
      deniedGrant(fault, known),
      roleDelay,
      ...(definitionRead.test(deniedAction(fault))
        ? [
            'Or, where the app is to have a right on the version alone, say what the definition would: `os-type`.',
          ]
        : []),
    ],
  },
  {
    id: 'role-grant-denied',
    title: 'The app may not grant roles',
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/write'",
    match: denied(roleAction),
    cause: (fault, known) =>
      `App ${known.clientId} may not grant or take away roles on ${assignedScope(deniedScope(fault))}, which \`role-assignments\` asks for.`,
    who: deniedWho,
    fix: (fault, known) => [
      'Give it the right there, best with a condition that allows only the roles in question, or grant the roles yourself and leave `role-assignments` out:',
      deniedGrant(fault, known),
      roleDelay,
    ],
  },
  {
    id: 'group-denied',
    title: 'The resource group is missing, or may not be seen',
    says: "AuthorizationFailed: … does not have authorization to perform action 'Microsoft.Resources/subscriptions/resourceGroups/read'",
    match: denied(groupRead),
    cause: (fault, known) =>
      `Resource group ${idSegment(deniedScope(fault), 'resourceGroups') ?? known.resourceGroup} does not exist, or app ${known.clientId} has no role on it: Azure tells the two apart only to those who may read.`,
    who: deniedWho,
    fix: (fault, known) => {
      const group = idSegment(deniedScope(fault), 'resourceGroups') ?? known.resourceGroup;
      const subscription = idSegment(deniedScope(fault), 'subscriptions') ?? known.subscriptionId;
      return [
        'Make the group if it is missing, and give the app its role on it:',
        `az group create --subscription ${subscription} -n ${quoteForShell(group)} -l ${quoteForShell(known.location)}`,
        `az role assignment create --assignee ${known.clientId} --role "Contributor" --scope ${quoteForShell(groupScope(deniedScope(fault)))}`,
        roleDelay,
      ];
    },
  },
  {
    id: 'denied',
    title: 'The app lacks a right',
    says: 'AuthorizationFailed: … does not have authorization to perform action … over scope … or the scope is invalid',
    match: all(
      codeIs('AuthorizationFailed'),
      not(any(denied(galleryAction), denied(roleAction), denied(groupRead))),
    ),
    cause: deniedCause,
    who: deniedWho,
    fix: (fault, known) => [
      'Grant the role (or a custom role with just this action):',
      deniedGrant(fault, known),
      roleDelay,
    ],
  },
  {
    id: 'policy',
    title: 'An Azure Policy forbids it',
    says: 'RequestDisallowedByPolicy: Resource … was disallowed by policy',
    match: codeIs('RequestDisallowedByPolicy'),
    cause: (fault) => {
      const names = policyNames(fault).map((name) => `"${name}"`);
      return `Policy ${names.join(', ') || '<policy>'} denies ${messageText(fault, /Resource '([^']+)' was disallowed/, fault.target ?? '<resource>')}.`;
    },
    who: (_, { tenantId }) =>
      `${workflowAuthor}, or whoever assigned the policy, in the VM's tenant (${tenantId})`,
    fix: (fault, known) => {
      const id = messageText(fault, /"policyAssignment":\{[^}]*"id":"([^"]+)"/, '<policy-assignment-id>');
      const names = policyNames(fault).join(' ');
      const hints = policyHints.filter(([about]) => about.test(names)).map(([, hint]) => hint);
      const [scope, name] = id.split('/providers/Microsoft.Authorization/policyAssignments/');
      return [
        `Change the input that the policy objects to${hints.length > 0 ? `; by its name, ${hints.join(' or ')}` : ''}. What it demands:`,
        `az policy assignment show --name ${quoteForShell(name ?? '<policy-assignment>')} --scope ${quoteForShell(name ? (scope ?? '') : '<scope>')}`,
        'Or have the resource group exempted:',
        `az policy exemption create --name cross-tenant-vm --policy-assignment ${quoteForShell(id)} --exemption-category Waiver --scope /subscriptions/${known.subscriptionId}/resourceGroups/${quoteForShell(known.resourceGroup)}`,
      ];
    },
  },
  {
    id: 'group-not-found',
    title: 'There is no such resource group',
    says: 'ResourceGroupNotFound: Resource group … could not be found',
    match: codeIs('ResourceGroupNotFound'),
    cause: (fault, known) =>
      `Subscription ${known.subscriptionId} has no resource group ${messageText(fault, /Resource group '([^']+)'/i, known.resourceGroup)}.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      'Check `resource-group` and `subscription-id`. To have the group made by the action give `location`, which takes a right on the subscription; or make it once:',
      `az group create --subscription ${known.subscriptionId} -n ${quoteForShell(messageText(fault, /Resource group '([^']+)'/i, known.resourceGroup))} -l ${quoteForShell(known.location)}`,
    ],
  },
  {
    // https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found
    id: 'subscription-not-found',
    title: 'There is no such subscription',
    says: 'SubscriptionNotFound: The subscription … could not be found',
    match: codeIs('SubscriptionNotFound'),
    cause: (fault, known) =>
      `Subscription ${messageText(fault, /subscription '([^']+)'/i, known.subscriptionId)} does not exist in this cloud, or is not visible to app ${known.clientId}.`,
    who: workflowAuthor,
    fix: [
      'Check `subscription-id`, `image-id` and `environment`; signed in as the app, this lists what it sees:',
      'az account list --all --query "[].{name:name, id:id, tenant:tenantId, state:state}" -o table',
    ],
  },
  {
    // https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled
    id: 'subscription-disabled',
    title: 'The subscription is disabled',
    says: 'ReadOnlyDisabledSubscription: The subscription … is disabled and therefore marked as read only',
    match: codeIs('ReadOnlyDisabledSubscription'),
    cause: (fault, known) =>
      `Subscription ${messageText(fault, /subscription '([^']+)'/i, known.subscriptionId)} is disabled: a credit or payment has run out, or it was cancelled. Nothing can be made or changed in it.`,
    who: subscriptionOwner,
    fix: [
      'Have it enabled again:',
      'https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled',
    ],
  },
  {
    id: 'provider-not-registered',
    title: 'The resource provider is not registered',
    says: 'MissingSubscriptionRegistration: The subscription is not registered to use namespace',
    match: codeIs('MissingSubscriptionRegistration'),
    cause: (fault, known) =>
      `Subscription ${known.subscriptionId} is not registered for ${messageText(fault, /namespace '([^']+)'/, '<namespace>')}.`,
    who: subscriptionOwner,
    fix: (fault, known) => [
      'Register it once per subscription (it takes a minute or two):',
      `az provider register --namespace ${messageText(fault, /namespace '([^']+)'/, '<namespace>')} --subscription ${known.subscriptionId} --wait`,
    ],
  },
  {
    id: 'principal-not-found',
    title: 'A new identity is not known everywhere yet',
    says: 'PrincipalNotFound: Principal … does not exist in the directory',
    match: codeIs('PrincipalNotFound'),
    cause: (fault) =>
      `Identity ${messageText(fault, /Principal (\S+) does not exist/, '<principal-id>')} has not reached all of directory ${messageText(fault, /in the directory ([\w-]+)/, '<tenant-id>')} yet; that took from 6 seconds to 4½ minutes in recorded cases.`,
    who: nobodyNeedsToAct,
    fix: [
      "The action sends the principal's type and tries for five minutes. If it gave up, run the job again.",
    ],
  },
  {
    id: 'role-exists',
    title: 'The role is assigned already',
    says: 'RoleAssignmentExists: The role assignment already exists',
    match: codeIs('RoleAssignmentExists'),
    cause: (fault) =>
      `The identity has this role on this scope already, by another assignment${conflictingAssignment(fault)}.`,
    who: 'nobody: it is what was wanted, and the action takes it as such',
    fix: (fault) => [
      'Nothing. To see who has which role there:',
      `az role assignment list --scope ${quoteForShell(assignedScope(fault.url) || '<scope>')} -o table`,
    ],
  },
  {
    // https://learn.microsoft.com/azure/role-based-access-control/troubleshooting
    id: 'role-of-another',
    title: 'A stale role assignment is in the way',
    says: 'RoleAssignmentUpdateNotPermitted: Tenant ID, application ID, principal ID, and scope are not allowed to be updated',
    match: codeIs('RoleAssignmentUpdateNotPermitted'),
    cause:
      'A role assignment of the same name exists for another identity, most often one that was deleted and made again under its old name.',
    who: deniedWho,
    fix: (fault) => [
      'Delete the stale assignment (its identity shows as "not found" in the portal) and run the job again:',
      `az role assignment delete --ids ${quoteForShell(/roleAssignments\//i.test(fault.url) ? fault.url : '<role-assignment-id>')}`,
    ],
  },
];

function conflictingAssignment(fault: AzureErrorInfo): string {
  const id = /conflicting role assignment is ([0-9a-f]{32})/i.exec(wordsOf(fault))?.[1];
  return id ? ` (${id})` : '';
}
