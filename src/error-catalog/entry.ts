import { sameTenant } from '../azure/resource-id.ts';
import {
  type AzureErrorInfo,
  type ErrorContext,
  type ErrorDetail,
  type FilledErrorContext,
  unknownContext,
} from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import { omitUndefined } from '../lib/json.ts';

/** An error of Azure, and what is known of the run that met it. */
export type Failure = AzureErrorInfo & FilledErrorContext;

/** One error of Azure: how to recognise it, and what it means for this action. */
export interface Entry {
  /** Azure's text as users search for it, with `…` for what varies. */
  readonly says: string;
  /** One of them, in the error or its details; none for any code. By default, those that `says` lists before its colon. */
  readonly codes?: readonly string[];
  /** In the message that has the code. */
  readonly message?: RegExp;
  /** What else must hold. */
  readonly when?: boolean;
  /** The first sentence is the title of the annotation: short, and with the values of this run. */
  readonly cause: string;
  /** By default, the author of the workflow. */
  readonly who?: string;
  /** A condition that does not hold leaves its line out. */
  readonly fix: readonly (string | false)[];
}

/** Entries by their heading in docs/troubleshooting.md, for the failure at hand. */
export type Entries = Readonly<Record<string, (failure: Failure) => Entry>>;

/** The context with a `<placeholder>` for every unknown value. */
export function fillPlaceholders(context: ErrorContext): FilledErrorContext {
  const filled = { ...unknownContext, ...omitUndefined(context) };
  const origin = (url: string) => url.replace(/\/$/, '');
  return {
    ...filled,
    loginEndpoint: origin(filled.loginEndpoint),
    portal: origin(filled.portal),
    resourceManager: origin(filled.resourceManager),
  };
}

const levelsOf = (fault: AzureErrorInfo): AzureErrorInfo['details'] => [fault, ...fault.details];

/** Every provider uses these codes; the texts of the catalogue are Compute's. */
const codesOfCompute = ['BadRequest', 'InvalidParameter', 'NotSupported'];

export function matches(entry: Entry, failure: Failure): boolean {
  const listed = /^[A-Za-z]\w+(?:, [A-Za-z]\w+)*(?=:|$)/.exec(entry.says)?.[0].split(', ') ?? [];
  const { codes = listed, message, when = true } = entry;
  const isCompute = /\/Microsoft\.Compute\//i.test(failure.url);
  const isMeant = ({ code }: ErrorDetail) =>
    codes.length === 0 || (codes.includes(code) && (isCompute || !codesOfCompute.includes(code)));
  return when && levelsOf(failure).some((level) => isMeant(level) && (message?.test(level.message) ?? true));
}

/** The outer code or one of the details'. */
export const hasCode = (fault: AzureErrorInfo, ...codes: readonly string[]) =>
  levelsOf(fault).some(({ code }) => codes.includes(code));

export const messagesOf = (fault: AzureErrorInfo) => Array.from(levelsOf(fault), ({ message }) => message).join('\n');

/** The group of the pattern in the messages; `…` counts as absent, see `Entry.says`. */
export function messageText(fault: AzureErrorInfo, pattern: RegExp, placeholder: string): string {
  const [, ...groups] = pattern.exec(messagesOf(fault)) ?? [];
  const found = groups.find((group) => group !== undefined);
  return found && found !== '…' ? found : placeholder;
}

// Who must act. Tenants and apps are named, so that the sentence can be forwarded.

export const workflowAuthor = "the workflow's author";

export const nobodyNeedsToAct = 'nobody: the error is transient; if the action has given up, run the job again';

export const runnerOwner = 'the operator of the runner';

export const appOwner = ({ clientId }: Failure) => `the owner of the app registration ${clientId}, in its home tenant`;

export const subscriptionOwner = ({ subscriptionId, tenantId }: FilledErrorContext) =>
  `the owner of subscription ${subscriptionId}, in the VM's tenant (${tenantId})`;

export const authorOrSubscriptionOwner = (failure: Failure) => `${workflowAuthor}, or ${subscriptionOwner(failure)}`;

export const authorOrPolicyOwner = ({ tenantId }: FilledErrorContext) =>
  `${workflowAuthor}, or the owner of the policy in the VM's tenant (${tenantId})`;

export const imageOwner = ({ imageTenantId }: FilledErrorContext) =>
  `the owner of the gallery, in the image tenant (${imageTenantId})`;

export const authorOrImageOwner = (failure: Failure) => `${workflowAuthor}, or ${imageOwner(failure)}`;

/** The GUID of a tenant that an input names by a domain, if a sign-in has revealed it; otherwise the name. */
function guidOf(tenant: string, { tenantGuids }: FilledErrorContext): string {
  return tenantGuids.get(tenant.toLowerCase()) ?? tenant;
}

/** ` (GUID)` after a tenant that an input names by a domain, because Azure names tenants by GUID. */
export function guidSuffix(tenant: string, known: FilledErrorContext): string {
  const guid = guidOf(tenant, known);
  return sameTenant(guid, tenant) ? '' : ` (${guid})`;
}

/** Whether two names, each a domain or a GUID, are known to mean the same tenant. */
export function areSameTenant(tenant: string, other: string, known: FilledErrorContext): boolean {
  return sameTenant(guidOf(tenant, known), guidOf(other, known));
}

export function tenantName(id: string, known: FilledErrorContext): string {
  const isImageTenant = areSameTenant(id, known.imageTenantId, known);
  const isVmTenant = areSameTenant(id, known.tenantId, known);
  if (isImageTenant && isVmTenant) return `tenant ${id}`;
  if (isImageTenant) return `the image tenant (${id})`;
  if (isVmTenant) return `the VM's tenant (${id})`;
  return isAuxiliary(id, known) ? `the auxiliary tenant ${id}` : `tenant ${id}`;
}

export function isAuxiliary(id: string, known: FilledErrorContext): boolean {
  return known.auxiliaryTenantIds.some((tenant) => areSameTenant(id, tenant, known));
}

// Commands with the names that the error or the run has.

/** A name in a Resource Manager ID. Messages also quote incomplete IDs, which `parseResourceId` would refuse. */
export function idSegment(id: string, type: string): string | undefined {
  return new RegExp(`/${type}/([^/'"\\s]+)`, 'i').exec(id)?.[1];
}

export function isInSubscription(id: string, subscription: string): boolean {
  return idSegment(id, 'subscriptions')?.toLowerCase() === subscription.toLowerCase();
}

/** Whether the request went to the subscription of the image. */
export function isInImageSubscription({ url, imageId }: Pick<Failure, 'url' | 'imageId'>): boolean {
  const image = idSegment(imageId, 'subscriptions');
  return image !== undefined && isInSubscription(url, image);
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

export function grantCommand(action: string, scope: string, { clientId }: FilledErrorContext): string {
  const [, role, on] = roles.find(([pattern]) => pattern.test(action)) ?? [/./, 'Contributor', groupScope];
  return assignCommand(action === '<action>' ? '<role>' : role, on(scope), clientId);
}

export function assignCommand(role: string, scope: string, clientId: string): string {
  return shellCommand`az role assignment create --assignee ${clientId} --role ${role} --scope ${scope}`;
}

/** Who can grant a role with the action on the scope, and in which tenant. */
export function roleGranter(action: string, scope: string, known: FilledErrorContext): string {
  const subscription = idSegment(scope, 'subscriptions')?.toLowerCase();
  const isVms = subscription === undefined || isInSubscription(scope, known.subscriptionId);
  const isImages = isInImageSubscription({ url: scope, imageId: known.imageId }) || /\/galleries\//i.test(action);
  const other = isVms ? tenantName(known.tenantId, known) : `the tenant that owns subscription ${subscription}`;
  const tenant = isImages ? tenantName(known.imageTenantId, known) : other;
  return `an Owner, User Access Administrator or Role Based Access Control Administrator of that scope, in ${tenant}`;
}

export const roleDelay = 'A new role assignment can take up to 10 minutes to take effect; then run the job again.';

/** Words of `az sig …` that name the image: from the message, else from the request, else from `image-id`. */
export function imageOptions(failure: Failure, withVersion = false): readonly string[] {
  const { url, imageId } = failure;
  const messages = messagesOf(failure);
  const source = [messages, url, imageId].find((id) => /\/galleries\/[^/]/i.test(id)) ?? '';
  const names = [source, imageId].map((id) => imageNames.exec(id)?.groups ?? {});
  const name = (part: string) => names.find((found) => found[part])?.[part];
  const group = /under resource group '([^']+)'/.exec(messages)?.[1] ?? idSegment(source, 'resourceGroups');
  const subscription = idSegment(source, 'subscriptions') ?? idSegment(imageId, 'subscriptions');
  return [
    ...['--subscription', subscription ?? '<image-subscription-id>'],
    ...['-g', group ?? idSegment(imageId, 'resourceGroups') ?? '<gallery-resource-group>'],
    ...['-r', name('gallery') ?? '<gallery>'],
    ...['-i', name('definition') ?? '<image-definition>'],
    ...(withVersion ? ['-e', name('version') ?? '<image-version>'] : []),
  ];
}

/** One pattern for all names, because a gallery may be called "images". */
const imageNames =
  /\/galleries\/(?<gallery>[^/'"\s]+)(?:\/images\/(?<definition>[^/'"\s]+)(?:\/versions\/(?<version>[^/'"\s]+))?)?/i;

export type VmNames = Pick<FilledErrorContext, 'subscriptionId' | 'resourceGroup' | 'vmName'>;

export const resourceGroupOptions = ({ subscriptionId, resourceGroup }: Omit<VmNames, 'vmName'>) =>
  ['--subscription', subscriptionId, '-g', resourceGroup] as const;

export const vmOptions = (known: VmNames, name = known.vmName) => [...resourceGroupOptions(known), '-n', name] as const;

export const quotaPage = ({ portal }: FilledErrorContext) =>
  `${portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`;

export const sizeIn = (failure: Failure) =>
  messageText(failure, /(?:VM size|Virtual Machine size|of size) '?(Standard_\w+|[^'\s]+)/i, failure.vmSize);

export const showFeatures = (failure: Failure) =>
  shellCommand`az sig image-definition show ${imageOptions(failure)} --query "{generation:hyperVGeneration, architecture:architecture, features:features}"`;

export const sizeCapability = (failure: Failure, filter: string) =>
  shellCommand`az vm list-skus --subscription ${failure.subscriptionId} -l ${failure.location} --size ${sizeIn(failure)} --query ${`[].capabilities[?${filter}][]`}`;
