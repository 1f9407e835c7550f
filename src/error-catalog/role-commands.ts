import { apiVersions } from '../azure/api-versions.ts';
import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { shellCommand } from '../lib/escape.ts';
import { type FilledErrorContext, messageText, messagesOf, tenantName } from './entry.ts';

/** A name in a Resource Manager ID. Messages also quote incomplete IDs, which `parseResourceId` would refuse. */
export function idSegment(id: string, type: string): string | undefined {
  return new RegExp(`/${type}/([^/'"\\s]+)`, 'i').exec(id)?.[1];
}

const subscriptionScope = (scope: string) => /^\/subscriptions\/[^/]+/i.exec(scope)?.[0] ?? scope;

export const groupScope = (scope: string) =>
  /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(scope)?.[0] ?? scope;

/** A role on the definition covers versions that are published later. */
export const definitionScope = (scope: string) => scope.replace(/\/versions\/.*$/i, '');

/** The scope that a role assignment or lock applies to. */
export const assignedScope = (scope: string) =>
  scope.replace(/\/providers\/Microsoft\.Authorization\/.*$/i, '') || scope;

const sameScope = (scope: string) => scope;

/**
 * The built-in role with the fewest permissions for each action
 * (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles). For networks, Virtual Machine Contributor
 * has only read and join, so it is the smallest role for an existing subnet.
 */
const roles: readonly (readonly [action: RegExp, role: string, on: (scope: string) => string])[] = [
  [/^Microsoft\.Compute\/galleries\/images\/(?:versions\/)?read$/i, 'Compute Gallery Image Reader', definitionScope],
  [/^Microsoft\.Authorization\/roleAssignments\//i, 'Role Based Access Control Administrator', assignedScope],
  [/^Microsoft\.ManagedIdentity\/userAssignedIdentities\/assign\/action$/i, 'Managed Identity Operator', sameScope],
  [/^Microsoft\.ManagedIdentity\/.*\/(?:write|delete)$/i, 'Managed Identity Contributor', groupScope],
  [/^Microsoft\.Resources\/subscriptions\/resourceGroups\/write$/i, 'Contributor', subscriptionScope],
  [/\/register\/action$/i, 'Contributor', subscriptionScope],
  [/^Microsoft\.Resources\/tags\/write$/i, 'Tag Contributor', groupScope],
  [
    /^Microsoft\.Network\/(?:virtualNetworks\/subnets|networkSecurityGroups|publicIPAddresses|networkInterfaces)\/join\/action$/i,
    'Virtual Machine Contributor',
    sameScope,
  ],
  [/^Microsoft\.Network\/.*\/join\w*\/action$/i, 'Network Contributor', sameScope],
  [/\/read$/i, 'Reader', sameScope],
  [/^Microsoft\.Compute\/(?:virtualMachines|disks)\//i, 'Virtual Machine Contributor', groupScope],
  [/^Microsoft\.Network\//i, 'Network Contributor', groupScope],
];

/** The command that gives the app a role with the action. */
export function grantCommand(action: string, scope: string, { clientId }: FilledErrorContext): string {
  const [, role, on] = roles.find(([pattern]) => pattern.test(action)) ?? [/./, 'Contributor', groupScope];
  return assignCommand(action === '<action>' ? '<role>' : role, on(scope), clientId);
}

export function assignCommand(role: string, scope: string, clientId: string): string {
  return shellCommand`az role assignment create --assignee ${clientId} --role ${role} --scope ${scope}`;
}

/** Who can grant a role with the action on the scope, and in which tenant. */
export function roleGranter(action: string, scope: string, known: FilledErrorContext): string {
  return `an Owner, User Access Administrator or Role Based Access Control Administrator of that scope, in ${subscriptionTenant(action, scope, known)}`;
}

function subscriptionTenant(action: string, scope: string, known: FilledErrorContext): string {
  const subscription = idSegment(scope, 'subscriptions')?.toLowerCase();
  const isImages =
    subscription !== undefined && subscription === idSegment(known.imageId, 'subscriptions')?.toLowerCase();
  if (isImages || /\/galleries\//i.test(action)) return tenantName(known.imageTenantId, known);
  const isVms = subscription === undefined || subscription === known.subscriptionId.toLowerCase();
  return isVms ? tenantName(known.tenantId, known) : `the tenant that owns subscription ${subscription}`;
}

export const roleDelay = 'A new role assignment can take up to 10 minutes to take effect; then run the job again.';

/** Options of `az sig …` that name the image: from the message, else from the request, else from `image-id`. */
export function imageOptions(fault: AzureErrorInfo, { imageId }: FilledErrorContext, withVersion = false): string {
  const messages = messagesOf(fault);
  const source = [messages, fault.url, imageId].find((id) => /\/galleries\/[^/]/i.test(id)) ?? '';
  const names = [source, imageId].map((id) => imageNames.exec(id)?.groups ?? {});
  const name = (part: string) => names.find((found) => found[part])?.[part];
  const group = /under resource group '([^']+)'/.exec(messages)?.[1] ?? idSegment(source, 'resourceGroups');
  const subscription = idSegment(source, 'subscriptions') ?? idSegment(imageId, 'subscriptions');
  const options = shellCommand`--subscription ${subscription ?? '<image-subscription-id>'} -g ${group ?? idSegment(imageId, 'resourceGroups') ?? '<gallery-resource-group>'} -r ${name('gallery') ?? '<gallery>'} -i ${name('definition') ?? '<image-definition>'}`;
  return withVersion ? `${options} ${shellCommand`-e ${name('version') ?? '<image-version>'}`}` : options;
}

/** One pattern for all names, because a gallery may be called "images". */
const imageNames =
  /\/galleries\/(?<gallery>[^/'"\s]+)(?:\/images\/(?<definition>[^/'"\s]+)(?:\/versions\/(?<version>[^/'"\s]+))?)?/i;

export function resourceGroupOptions({ subscriptionId, resourceGroup }: FilledErrorContext): string {
  return shellCommand`--subscription ${subscriptionId} -g ${resourceGroup}`;
}

export function vmOptions(known: FilledErrorContext, name = known.vmName): string {
  return `${resourceGroupOptions(known)} ${shellCommand`-n ${name}`}`;
}

/** The size that the message names. */
export const sizeIn = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  messageText(fault, /(?:VM size|Virtual Machine size|of size) '?(Standard_\w+|[^'\s]+)/i, known.vmSize);

export const showFeatures = (fault: AzureErrorInfo, known: FilledErrorContext) =>
  `az sig image-definition show ${imageOptions(fault, known)} --query "{generation:hyperVGeneration, architecture:architecture, features:features}"`;

export const sizeCapability = (fault: AzureErrorInfo, known: FilledErrorContext, filter: string) =>
  shellCommand`az vm list-skus -l ${known.location} --size ${sizeIn(fault, known)} --query ${`[].capabilities[?${filter}][]`}`;

export function ownerLookup(subscription: string, { resourceManager }: FilledErrorContext): string[] {
  return [
    'Find the tenant that owns the subscription. This needs no permission: the WWW-Authenticate header of the 401 names it.',
    `${shellCommand`curl -si ${`${resourceManager}/subscriptions/${subscription}?api-version=${apiVersions.subscriptions}`}`} | grep -i authorization_uri`,
  ];
}
