/**
 * From what Azure answered to findings: what is well, what stands in the way, what cannot be known, and for each what to
 * do. Pure: it asks nothing.
 */

import type { Disk } from '@azure/arm-compute';
import type { RequiredPermission } from '../access/required-permissions.ts';
import type { TenantSignIn } from '../auth/session.ts';
import type { Result } from '../azure/lookup.ts';
import type { Permission } from '../azure/permissions.ts';
import type { ResourceGroup, Subscription } from '../azure/subscriptions.ts';
import type { ExistingResources } from '../deployment/resources.ts';
import type { Plan } from '../deployment/plan.ts';
import { type FilledErrorContext, workflowAuthor } from '../error-catalog/entry.ts';
import { explain } from '../error-catalog/explain.ts';
import { grantCommand, roleDelay, roleGranter } from '../error-catalog/role-commands.ts';
import { ActionError, type ErrorContext } from '../errors/action-error.ts';
import { AzureError, type AzureErrorInfo, rootDetail } from '../errors/azure-error.ts';
import type { ImageInspection } from '../image/resolve-image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import type { Sku } from '../vm/sizes.ts';
import type { ProvisioningFailure } from '../vm/vm-status.ts';

/** One question and its answer, as the output `findings` has it. */
export interface Finding {
  /** Stable from run to run: `image`, `rights/resource-group`, `size/Standard_D2s_v5`. */
  readonly id: string;
  /** `fault` stands in the way of a deployment; `unknown` could not be asked, and stands in nobody's way. */
  readonly level: 'ok' | 'warning' | 'fault' | 'unknown';
  readonly asked: string;
  readonly answer: string;
  /** Who must act; empty where nobody has to. */
  readonly who: string;
  /** Sentences, and commands and URLs to copy as they stand. */
  readonly fix: readonly string[];
}

/** Something that the inputs name by ID. */
export interface ReferencedResource {
  readonly kind: 'subnet' | 'network security group' | 'public IP' | 'network interface' | 'identity';
  readonly id: string;
  /** Undefined: there is no such thing. */
  readonly found: Result<
    | {
        readonly location?: string;
        /** ID of what uses it already, where only one thing can. */
        readonly usedBy?: string;
      }
    | undefined
  >;
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

export interface DenyAssignment {
  readonly properties: {
    readonly denyAssignmentName?: string;
    readonly permissions?: readonly Permission[];
    readonly principals?: readonly { readonly id: string; readonly type?: string }[];
    readonly excludePrincipals?: readonly { readonly id: string; readonly type?: string }[];
  };
}

/** What was asked in the deployment's subscription. A question that had no sense is left out. */
export interface SubscriptionFacts {
  readonly subscriptionId: string;
  /** Of the app's service principal in the tenant; undefined where the token does not say. */
  readonly objectId: string | undefined;
  readonly group: Result<ResourceGroup>;
  readonly existing: { readonly [Part in keyof ExistingResources]?: Result<ExistingResources[Part]> };
  /** Of a machine that failed. */
  readonly fate?: Result<ProvisioningFailure>;
  readonly osDisk: Result<Disk | undefined>;
  readonly given: readonly ReferencedResource[];
  readonly rights: readonly {
    readonly right: RequiredPermission;
    readonly permissions: Result<readonly Permission[]>;
  }[];
  readonly roles: readonly {
    readonly request: string;
    readonly scope: string;
    /** Refused by what `create` would look at before its first write. */
    readonly survey: Result<unknown>;
    readonly permissions: Result<readonly Permission[]>;
  }[];
  readonly providers: readonly { readonly namespace: string; readonly state: Result<string> }[];
  readonly locks: Result<readonly Lock[]>;
  readonly denyAssignments: Result<readonly DenyAssignment[]>;
  /** The rest needs a region. */
  readonly skus?: Result<readonly Sku[]>;
  readonly computeUsages?: Result<readonly Usage[]>;
  readonly networkUsages?: Result<readonly Usage[]>;
  readonly dnsLabelFree?: Result<boolean>;
  /** The image's Marketplace terms: accepted or not. */
  readonly terms?: Result<boolean>;
  readonly image?: Result<ImageInspection>;
}

export interface CheckFacts {
  readonly inputs: DeployInputs;
  readonly run: Pick<WorkflowRun, 'runId' | 'job'>;
  readonly situation: ErrorContext;
  readonly signIns: readonly TenantSignIn[];
  readonly subscription?: Result<Subscription>;
  readonly subscriptionFacts?: SubscriptionFacts;
}

/** What the judgement of one part works with. */
export interface RuleContext {
  readonly facts: CheckFacts;
  readonly subscriptionFacts: SubscriptionFacts;
  readonly plan: Plan;
  readonly known: FilledErrorContext;
}

// Findings

export function okFinding(id: string, asked: string, answer: string): Finding {
  return { id, level: 'ok', asked, answer, who: '', fix: [] };
}

export function unknownFinding(
  id: string,
  asked: string,
  answer: string,
  who = '',
  fix: readonly string[] = [],
): Finding {
  return { id, level: 'unknown', asked, answer, who, fix };
}

export function warnFinding(
  id: string,
  asked: string,
  answer: string,
  who: string,
  fix: readonly string[],
): Finding {
  return { id, level: 'warning', asked, answer, who, fix };
}

export function faultFinding(
  id: string,
  asked: string,
  answer: string,
  who: string,
  fix: readonly string[],
): Finding {
  return { id, level: 'fault', asked, answer, who, fix };
}

/** The first of the causes that is an answer of Azure's. */
export function azureErrorIn(error: unknown): AzureErrorInfo | undefined {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (link instanceof AzureError) return link.fault;
  }
  return undefined;
}

function explanationIn(error: unknown): ActionError['explanation'] {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (link instanceof ActionError && link.explanation) return link.explanation;
  }
  return undefined;
}

/** A refusal that itself is the verdict: the deployment would meet it too. */
export function faultFromError(
  id: string,
  asked: string,
  refusal: unknown,
  known: FilledErrorContext,
): Finding {
  const azure = azureErrorIn(refusal);
  const explanation = explanationIn(refusal) ?? (azure && explain(azure, known));
  const said = azure ? quoteAzure(azure) : refusal instanceof Error ? refusal.message : String(refusal);
  const reference = azure?.correlationId ? [`Correlation ID: ${azure.correlationId}`] : [];
  if (!explanation) return faultFinding(id, asked, said, workflowAuthor, reference);
  const repeated = said === '' || explanation.cause.includes(said);
  const answer = repeated ? explanation.cause : `${explanation.cause} (${said})`;
  return faultFinding(id, asked, answer, explanation.who, explanation.fix);
}

function quoteAzure(azure: AzureErrorInfo): string {
  const { code, message } = rootDetail(azure);
  return `${code || `HTTP ${azure.status}`}: ${message.split(/\r?\n/)[0] ?? ''}`;
}

/** A question that was not answered: with the right that is missing, where that is the reason. */
export function unknownFromError(
  id: string,
  asked: string,
  refusal: unknown,
  right: { readonly action: string; readonly scope: string },
  known: FilledErrorContext,
): Finding {
  const azure = azureErrorIn(refusal);
  if (azure?.status !== 403) {
    const said = azure ? quoteAzure(azure) : refusal instanceof Error ? refusal.message : String(refusal);
    return unknownFinding(id, asked, `Azure did not say: ${said}`);
  }
  const denied = /perform action '([^']+)' over scope '([^']+)'/.exec(azure.message);
  const action = denied?.[1] ?? right.action;
  const scope = denied?.[2]?.startsWith('/') ? denied[2] : right.scope;
  return unknownFinding(
    id,
    asked,
    `The app may not ask: it lacks ${action} on ${scope}. A deployment does without.`,
    roleGranter(action, scope, known),
    ['To have this checked as well, grant the right:', grantCommand(action, right.scope, known)],
  );
}

/** Like `unanswered`, for what `create` reads before its first write: there a missing right ends the deployment. */
export function unreadable(
  id: string,
  asked: string,
  refusal: unknown,
  resource: string,
  { facts, subscriptionFacts, known }: RuleContext,
): Finding {
  const group = `/subscriptions/${subscriptionFacts.subscriptionId}/resourceGroups/${facts.inputs.resourceGroup}`;
  const type = /\/providers\/([^/]+\/[^/]+)/i.exec(resource)?.[1] ?? 'Microsoft.Resources';
  const right = { action: `${type}/read`, scope: resource };
  if (azureErrorIn(refusal)?.status !== 403) return unknownFromError(id, asked, refusal, right, known);
  // The same missing role; that finding has the fix.
  if ('error' in subscriptionFacts.group && azureErrorIn(subscriptionFacts.group.error)?.status === 403) {
    return unknownFinding(id, asked, `The app may not read resource group ${facts.inputs.resourceGroup}.`);
  }
  const answer = `The app may not read it: it lacks ${right.action} on ${resource}. A deployment reads it first, and fails without.`;
  return faultFinding(id, asked, answer, roleGranter(right.action, resource, known), [
    'Grant the right on the resource group:',
    // On the group, because the resource may not exist yet.
    grantCommand(right.action, group, known),
    roleDelay,
  ]);
}
