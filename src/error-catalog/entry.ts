import type { AzureErrorInfo } from '../errors/azure-error.ts';
import type { ErrorContext } from '../errors/action-error.ts';

/** A situation without gaps. */
export type FilledErrorContext = Readonly<Required<Omit<ErrorContext, 'oidc' | 'link'>>> &
  Pick<ErrorContext, 'oidc' | 'link'>;

export type Text = string | ((fault: AzureErrorInfo, known: FilledErrorContext) => string);

export type Lines =
  | readonly string[]
  | ((fault: AzureErrorInfo, known: FilledErrorContext) => readonly string[]);

/** One thing that Azure can say. */
export interface Entry {
  readonly id: string;
  readonly title: string;
  /** What people search for: Azure's own words, with `…` for what differs each time. */
  readonly says: string;
  readonly match: (fault: AzureErrorInfo) => boolean;
  readonly cause: Text;
  readonly who: Text;
  readonly fix: Lines;
}

/** Fills the gaps of a situation with `<placeholders>`. */
export function fillPlaceholders(situation: ErrorContext): FilledErrorContext {
  const endpoint = (given: string | undefined, usual: string) => (given ?? usual).replace(/\/$/, '');
  return {
    clientId: '<client-id>',
    tenantId: '<tenant-id>',
    imageTenantId: '<image-tenant-id>',
    auxiliaryTenantIds: [],
    subscriptionId: '<subscription-id>',
    resourceGroup: '<resource-group>',
    location: '<location>',
    vmName: '<vm-name>',
    vmSize: '<vm-size>',
    imageId: '<image-id>',
    tenantGuids: new Map(),
    ...situation,
    loginEndpoint: endpoint(situation.loginEndpoint, 'https://login.microsoftonline.com'),
    portal: endpoint(situation.portal, 'https://portal.azure.com'),
    resourceManager: endpoint(situation.resourceManager, 'https://management.azure.com'),
  };
}

export function resolve(value: Text, fault: AzureErrorInfo, known: FilledErrorContext): string {
  return typeof value === 'string' ? value : value(fault, known);
}

export type Match = (fault: AzureErrorInfo) => boolean;

/** The outer code or one of the details'. */
export function codeIs(...codes: readonly string[]): Match {
  return (fault) => [fault, ...fault.details].some((level) => codes.includes(level.code));
}

export function messageMatches(pattern: RegExp): Match {
  return (fault) => pattern.test(wordsOf(fault));
}

export function statusIs(...statuses: readonly number[]): Match {
  return (fault) => statuses.includes(fault.status);
}

export function urlMatches(pattern: RegExp): Match {
  return (fault) => pattern.test(fault.url);
}

export function all(...matches: readonly Match[]): Match {
  return (fault) => matches.every((match) => match(fault));
}

export function any(...matches: readonly Match[]): Match {
  return (fault) => matches.some((match) => match(fault));
}

export function not(match: Match): Match {
  return (fault) => !match(fault);
}

export const noCode: Match = (fault) => fault.code === '';

export function wordsOf(fault: AzureErrorInfo): string {
  return [fault, ...fault.details].map(({ message }) => message).join('\n');
}

/** What the message says at the first group of the pattern; `…` counts as nothing, see `Entry.says`. */
export function messageText(fault: AzureErrorInfo, pattern: RegExp, placeholder: string): string {
  const found = pattern.exec(wordsOf(fault))?.[1];
  return found && found !== '…' ? found : placeholder;
}

// Who must act. The names of tenants and apps are filled in, so that the sentence can be sent on to them.

export const workflowAuthor = "the workflow's author";

export const nobodyNeedsToAct = 'nobody: it passes by itself, and the action tries again';

export const runnerOwner = 'whoever runs the runner';

export const appOwner: Text = (_, { clientId }) =>
  `the owner of the app registration ${clientId}, in its home tenant`;

export const subscriptionOwner: Text = (_, { subscriptionId, tenantId }) =>
  `the owner of subscription ${subscriptionId}, in the VM's tenant (${tenantId})`;

export const imageOwner: Text = (_, { imageTenantId }) =>
  `the owner of the gallery, in the image tenant (${imageTenantId})`;

export const requestedTenantAdmin: Text = (fault, known) =>
  `an administrator of ${tenantName(requestedTenant(fault), known)}`;

export function isSameTenant(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** The GUID of a tenant that is named by a domain, once that is known; else the name as it is. */
function firstGuid(tenant: string, { tenantGuids }: FilledErrorContext): string {
  return tenantGuids.get(tenant.toLowerCase()) ?? tenant;
}

/** ` (GUID)` behind a tenant that is named by a domain, for comparing it with what Azure names. */
export function guidBeside(tenant: string, known: FilledErrorContext): string {
  const guid = firstGuid(tenant, known);
  return isSameTenant(guid, tenant) ? '' : ` (${guid})`;
}

/** Whether two names, of which either may be a domain, mean the same tenant, as far as is known. */
function mentionsTenant(one: string, other: string, known: FilledErrorContext): boolean {
  return isSameTenant(firstGuid(one, known), firstGuid(other, known));
}

export function tenantName(id: string, known: FilledErrorContext): string {
  const isImages = mentionsTenant(id, known.imageTenantId, known);
  const isVms = mentionsTenant(id, known.tenantId, known);
  if (isImages && isVms) return `tenant ${id}`;
  if (isImages) return `the image tenant (${id})`;
  if (isVms) return `the VM's tenant (${id})`;
  return isAuxiliary(id, known) ? `the auxiliary tenant ${id}` : `tenant ${id}`;
}

export function tenantInput(id: string, known: FilledErrorContext): string {
  if (mentionsTenant(id, known.tenantId, known)) return '`tenant-id`';
  if (mentionsTenant(id, known.imageTenantId, known)) return '`image-tenant-id`';
  return isAuxiliary(id, known) ? '`auxiliary-tenant-ids`' : '`tenant-id`';
}

function isAuxiliary(id: string, known: FilledErrorContext): boolean {
  return known.auxiliaryTenantIds.some((tenant) => mentionsTenant(id, tenant, known));
}

/** The tenant that Entra was asked for a token of. */
export function requestedTenant(fault: AzureErrorInfo): string {
  return fault.tenant ?? '<tenant-id>';
}
