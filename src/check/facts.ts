/** What `operation: check` knows when it starts to decide, and the findings that it decides on. */

import type { Disk } from '@azure/arm-compute';
import type { RequiredPermission, Permission } from '../access/required-permissions.ts';
import type { TenantSignIn } from '../auth/session.ts';
import type { Result } from '../azure/lookup.ts';
import type { ResourceGroup, Subscription } from '../azure/subscriptions.ts';
import type { AdoptingRun } from '../deployment/ownership.ts';
import type { ExistingResources, Plan } from '../deployment/resources.ts';
import {
  type FilledErrorContext,
  grantCommand,
  roleDelay,
  roleGranter,
  workflowAuthor,
} from '../error-catalog/entry.ts';
import { explain } from '../error-catalog/explain.ts';
import { type ErrorContext, ActionError, errorChain, findAzureError, rootDetail } from '../errors/errors.ts';
import type { ResolvedImage, ImageInspection } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import type { Sku } from '../vm/sizes.ts';
import type { ProvisioningFailure } from '../vm/vm-status.ts';

/** One question and its answer, as in the output `findings`. */
export interface Finding {
  /** Stable from run to run: `image`, `rights/resource-group`, `size/Standard_D2s_v5`. */
  readonly id: string;
  /** `fault`: Azure would refuse the deployment. `unknown`: the check was skipped. */
  readonly level: 'ok' | 'warning' | 'fault' | 'unknown';
  readonly asked: string;
  readonly answer: string;
  /** Who must act; empty if nobody has to. */
  readonly who: string;
  /** Sentences, and commands and URLs to copy. */
  readonly fix: readonly string[];
  /** Why the check was skipped, if for lack of a permission. Not part of the output. */
  readonly missing?: MissingPermission;
}

/** A resource that an input names by ID. */
export interface ReferencedResource {
  readonly kind: 'subnet' | 'network security group' | 'public IP' | 'network interface' | 'identity';
  readonly id: string;
  /** Undefined: it does not exist. */
  readonly found: Result<ReferencedProperties | undefined>;
}

export interface ReferencedProperties {
  readonly location?: string;
  /** ID of the resource that uses it, if only one can. */
  readonly usedBy?: string;
  /** Zones of a zonal public IP. */
  readonly zones?: readonly string[];
  /** Of a subnet. */
  readonly prefixes?: readonly string[];
  readonly usedAddresses?: number;
}

export interface Usage {
  readonly name: { readonly value?: string; readonly localizedValue?: string };
  readonly currentValue: number;
  readonly limit: number;
}

export interface Lock {
  readonly name: string;
  readonly id: string;
  readonly properties: { readonly level: string };
}

interface DeniedPrincipal {
  readonly id: string;
  readonly type?: string;
}

export interface DenyAssignment {
  readonly properties: {
    readonly denyAssignmentName?: string;
    readonly permissions?: readonly Permission[];
    readonly principals?: readonly DeniedPrincipal[];
    readonly excludePrincipals?: readonly DeniedPrincipal[];
  };
}

/** A planned resource that a policy denies. */
export interface PolicyDenial {
  readonly resource: string;
  readonly policyAssignmentId: string;
  readonly reason?: string;
}

export interface SpotPrice {
  readonly size: string;
  /** US dollars an hour. */
  readonly price: number;
}

/** Answers from the target subscription. Questions that do not apply to the inputs are left out. */
export interface SubscriptionFacts {
  readonly subscriptionId: string;
  /** Of the app's service principal in the tenant; undefined if the token does not contain it. */
  readonly objectId: string | undefined;
  readonly group: Result<ResourceGroup>;
  readonly existing: { readonly [Part in keyof ExistingResources]?: Result<ExistingResources[Part]> };
  /** Why the existing VM failed, if it did. */
  readonly provisioningFailure?: Result<ProvisioningFailure>;
  readonly osDisk: Result<Disk | undefined>;
  readonly referenced: readonly ReferencedResource[];
  readonly permissions: readonly {
    readonly required: RequiredPermission;
    readonly held: Result<readonly Permission[]>;
  }[];
  readonly roles: readonly {
    readonly request: string;
    readonly scope: string;
    /** An error if `create` would refuse the role assignment before its first write. */
    readonly resolved: Result<unknown>;
    readonly held: Result<readonly Permission[]>;
  }[];
  readonly providers: readonly { readonly namespace: string; readonly state: Result<string> }[];
  /** State of the feature, if `encryption-at-host` needs it. */
  readonly encryptionAtHost?: Result<string>;
  readonly locks: Result<readonly Lock[]>;
  readonly denyAssignments: Result<readonly DenyAssignment[]>;
  /** Left out if the group could not be read. */
  readonly policyDenials?: Result<readonly PolicyDenial[]>;
  /** Left out, as everything below, if the region is not known. */
  readonly skus?: Result<readonly Sku[]>;
  readonly computeUsages?: Result<readonly Usage[]>;
  readonly networkUsages?: Result<readonly Usage[]>;
  /** With `max-price`. */
  readonly spotPrices?: Result<readonly SpotPrice[]>;
  readonly dnsLabelFree?: Result<boolean>;
  /** Of `private-ip-address` in an existing virtual network. */
  readonly privateAddressFree?: Result<boolean>;
  /** Whether the image's Marketplace terms are accepted. */
  readonly terms?: Result<boolean>;
  readonly image?: Result<ImageInspection>;
}

export interface CheckFacts {
  readonly inputs: DeployInputs;
  readonly run: AdoptingRun;
  readonly errorContext: ErrorContext;
  readonly signIns: readonly TenantSignIn[];
  readonly subscription?: Result<Subscription>;
  readonly subscriptionFacts?: SubscriptionFacts;
}

/** What the rules about the subscription work with. */
export interface RuleContext extends Pick<CheckFacts, 'inputs' | 'run' | 'signIns'> {
  readonly facts: SubscriptionFacts;
  readonly plan: Plan;
  readonly known: FilledErrorContext;
  /** Scopes that permissions are granted on. */
  readonly subscription: string;
  readonly group: string;
  /** Undefined if the image could not be read. */
  readonly image: ResolvedImage | undefined;
}

interface MissingPermission {
  readonly action: string;
  readonly scope: string;
}

/** What a finding answers. */
export interface Question {
  readonly id: string;
  readonly asked: string;
}

function findingOf(level: Finding['level']) {
  return ({ id, asked }: Question, answer: string, who = '', fix: readonly string[] = []): Finding => ({
    id,
    level,
    asked,
    answer,
    who,
    fix,
  });
}

export const okFinding = findingOf('ok');
export const unknownFinding = findingOf('unknown');
export const warnFinding = findingOf('warning');
export const faultFinding = findingOf('fault');

/** Applies a rule to an answer; no finding if the question was not asked. Without an answer the check is skipped, and the finding names the missing permission. */
export function answered<T>(
  question: Question & { readonly permission: MissingPermission },
  result: Result<T> | undefined,
  known: FilledErrorContext,
  rule: (value: T) => Finding | readonly Finding[],
): Finding[] {
  if (!result) return [];
  if ('error' in result) return [unknownFromError(question, result.error, question.permission, known)];
  return [rule(result.value)].flat();
}

export function isForbidden(error: unknown): boolean {
  return findAzureError(error)?.status === 403;
}

function explanationIn(error: unknown): ActionError['explanation'] {
  return errorChain(error).flatMap((link) => (link instanceof ActionError && link.explanation) || [])[0];
}

/** A fault for an error that `create` would run into as well. */
export function faultFromError(question: Question, error: unknown, known: FilledErrorContext): Finding {
  const azure = findAzureError(error);
  const explanation = explanationIn(error) ?? (azure && explain(azure, known));
  const message = errorMessage(error);
  const reference = azure?.correlationId ? [`Correlation ID: ${azure.correlationId}`] : [];
  if (!explanation) return faultFinding(question, message, workflowAuthor, reference);
  const repeated = message === '' || explanation.cause.includes(message);
  const answer = repeated ? explanation.cause : `${explanation.cause} (${message})`;
  return faultFinding(question, answer, explanation.who, explanation.fix);
}

function errorMessage(error: unknown): string {
  const azure = findAzureError(error);
  if (!azure) return error instanceof Error ? error.message : String(error);
  const { code, message } = rootDetail(azure);
  return `${code || `HTTP ${azure.status}`}: ${message.split(/\r?\n/)[0] ?? ''}`;
}

/** A skipped check of something that `create` does not read: with the missing permission, if that is the reason. */
export function unknownFromError(
  question: Question,
  error: unknown,
  permission: MissingPermission,
  known: FilledErrorContext,
): Finding {
  const azure = findAzureError(error);
  if (azure?.status !== 403) return unknownFinding(question, `Azure did not answer: ${errorMessage(error)}`);
  const denied = /perform action '([^']+)' over scope '([^']+)'/.exec(azure.message);
  const action = denied?.[1] ?? permission.action;
  const scope = denied?.[2]?.startsWith('/') ? denied[2] : permission.scope;
  const finding = unknownFinding(
    question,
    `Skipped: the app lacks ${action} on ${scope}, which creating the VM does not need.`,
    roleGranter(action, scope, known),
    ['Assign the role on that scope:', grantCommand(action, permission.scope, known)],
  );
  return { ...finding, missing: { action, scope } };
}

/** For a read that `create` makes before its first write: without the permission the deployment fails. */
export function requiredReadFinding(
  question: Question,
  error: unknown,
  resource: string,
  { inputs, facts, group, known }: RuleContext,
): Finding {
  const type = /\/providers\/([^/]+\/[^/]+)/i.exec(resource)?.[1] ?? 'Microsoft.Resources';
  const permission = { action: `${type}/read`, scope: resource };
  if (!isForbidden(error)) return unknownFromError(question, error, permission, known);
  // The same role is missing; that finding has the command.
  if ('error' in facts.group && isForbidden(facts.group.error)) {
    return unknownFinding(question, `The app may not read resource group ${inputs.resourceGroup}.`);
  }
  const answer = `The app lacks ${permission.action} on ${resource}. Creating the VM starts with this read, so it would fail.`;
  return faultFinding(question, answer, roleGranter(permission.action, resource, known), [
    'Assign the role on the resource group:',
    // The resource may not exist yet, so the role cannot be assigned on it.
    grantCommand(permission.action, group, known),
    roleDelay,
  ]);
}
