import { apiVersions } from '../azure/api-versions.ts';
import type { AzureErrorInfo } from '../errors/azure-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import { type FilledErrorContext, tenantName, wordsOf } from './entry.ts';

/** A name out of a Resource Manager ID, tolerant of parts and placeholders, which messages are full of. */
export function idSegment(id: string, type: string): string | undefined {
  return new RegExp(`/${type}/([^/'"\\s]+)`, 'i').exec(id)?.[1];
}

const subscriptionScope = (scope: string) => /^\/subscriptions\/[^/]+/i.exec(scope)?.[0] ?? scope;

export const groupScope = (scope: string) =>
  /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(scope)?.[0] ?? scope;

/** New versions of an image come all the time: a role on the definition reaches them too. */
export const definitionScope = (scope: string) => scope.replace(/\/versions\/.*$/i, '');

/** A role assignment is written at the resource that it is for. */
export const assignedScope = (scope: string) =>
  scope.replace(/\/providers\/Microsoft\.Authorization\/.*$/i, '') || scope;

const wholeScope = (scope: string) => scope;

/**
 * The narrowest sensible built-in role per action (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles).
 * Virtual Machine Contributor holds only read and join on networks, which makes it the smallest role for a given subnet.
 */
const roles: readonly (readonly [action: RegExp, role: string, on: (scope: string) => string])[] = [
  [
    /^Microsoft\.Compute\/galleries\/images\/(?:versions\/)?read$/i,
    'Compute Gallery Image Reader',
    definitionScope,
  ],
  [/^Microsoft\.Authorization\/roleAssignments\//i, 'Role Based Access Control Administrator', assignedScope],
  [
    /^Microsoft\.ManagedIdentity\/userAssignedIdentities\/assign\/action$/i,
    'Managed Identity Operator',
    wholeScope,
  ],
  [/^Microsoft\.ManagedIdentity\/.*\/(?:write|delete)$/i, 'Managed Identity Contributor', groupScope],
  [/^Microsoft\.Resources\/subscriptions\/resourceGroups\/write$/i, 'Contributor', subscriptionScope],
  [/\/register\/action$/i, 'Contributor', subscriptionScope],
  [/^Microsoft\.Resources\/tags\/write$/i, 'Tag Contributor', groupScope],
  [
    /^Microsoft\.Network\/(?:virtualNetworks\/subnets|networkSecurityGroups|publicIPAddresses|networkInterfaces)\/join\/action$/i,
    'Virtual Machine Contributor',
    wholeScope,
  ],
  [/^Microsoft\.Network\/.*\/join\w*\/action$/i, 'Network Contributor', wholeScope],
  [/\/read$/i, 'Reader', wholeScope],
  [/^Microsoft\.Compute\/(?:virtualMachines|disks)\//i, 'Virtual Machine Contributor', groupScope],
  [/^Microsoft\.Network\//i, 'Network Contributor', groupScope],
];

/** The command that gives the app the role that an action takes. */
export function grantCommand(action: string, scope: string, { clientId }: FilledErrorContext): string {
  const [, role, on] = roles.find(([pattern]) => pattern.test(action)) ?? [/./, 'Contributor', groupScope];
  const name = action === '<action>' ? '<role>' : role;
  return `az role assignment create --assignee ${quoteForShell(clientId)} --role "${name}" --scope ${quoteForShell(on(scope))}`;
}

/** Who may grant a role for an action on a scope, and in which tenant, as far as the inputs tell. */
export function roleGranter(action: string, scope: string, known: FilledErrorContext): string {
  return `whoever may grant roles there (Owner, User Access Administrator or Role Based Access Control Administrator), in ${subscriptionTenant(action, scope, known)}`;
}

function subscriptionTenant(action: string, scope: string, known: FilledErrorContext): string {
  const subscription = idSegment(scope, 'subscriptions')?.toLowerCase();
  const ofVm = subscription === undefined || subscription === known.subscriptionId.toLowerCase();
  const ofImage =
    subscription !== undefined && subscription === idSegment(known.imageId, 'subscriptions')?.toLowerCase();
  if (ofImage || /\/galleries\//i.test(action)) return tenantName(known.imageTenantId, known);
  return ofVm ? tenantName(known.tenantId, known) : `the tenant that owns subscription ${subscription}`;
}

export const roleDelay = 'A new role takes up to 10 minutes to work everywhere; then run the job again.';

/** `az sig image-version …` options that name the image: out of the message, else the URL, else the input. */
export function imageOptions(
  fault: AzureErrorInfo,
  { imageId }: FilledErrorContext,
  withVersion = false,
): string {
  const words = wordsOf(fault);
  const source = [words, fault.url, imageId].find((id) => /\/galleries\/[^/]/i.test(id)) ?? '';
  const names = [source, imageId].map((id) => imageNames.exec(id)?.groups ?? {});
  const name = (part: string) => names.find((found) => found[part])?.[part];
  const word = (value: string | undefined, placeholder: string) =>
    value ? quoteForShell(value) : `<${placeholder}>`;
  const group = /under resource group '([^']+)'/.exec(words)?.[1] ?? idSegment(source, 'resourceGroups');
  const subscription = idSegment(source, 'subscriptions') ?? idSegment(imageId, 'subscriptions');
  return [
    `--subscription ${word(subscription, 'image-subscription-id')}`,
    `-g ${word(group ?? idSegment(imageId, 'resourceGroups'), 'gallery-resource-group')}`,
    `-r ${word(name('gallery'), 'gallery')}`,
    `-i ${word(name('definition'), 'image-definition')}`,
    ...(withVersion ? [`-e ${word(name('version'), 'image-version')}`] : []),
  ].join(' ');
}

/** A gallery may well be called "images", so that the names are read in one go. */
const imageNames =
  /\/galleries\/(?<gallery>[^/'"\s]+)(?:\/images\/(?<definition>[^/'"\s]+)(?:\/versions\/(?<version>[^/'"\s]+))?)?/i;

export function vmOptions(
  { subscriptionId, resourceGroup, vmName }: FilledErrorContext,
  name = vmName,
): string {
  return `--subscription ${quoteForShell(subscriptionId)} -g ${quoteForShell(resourceGroup)} -n ${quoteForShell(name)}`;
}

export function ownerLookup(subscription: string, { resourceManager }: FilledErrorContext): string[] {
  return [
    "Find the tenant that owns the subscription. It takes no right at all: the refusal's WWW-Authenticate header names it.",
    `curl -si "${resourceManager}/subscriptions/${subscription}?api-version=${apiVersions.subscriptions}" | grep -i authorization_uri`,
  ];
}
