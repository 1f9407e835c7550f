/** What the rules of `operation: check` work with, and the findings that they return. */

import type { TenantSignIn } from '../auth/session.ts';
import type { Result } from '../azure/lookup.ts';
import type { Subscription } from '../azure/subscriptions.ts';
import type { RunIdentity } from '../deployment/ownership.ts';
import type { Plan } from '../deployment/resources.ts';
import { grantCommand, roleDelay, roleGranter, workflowAuthor } from '../error-catalog/entry.ts';
import { explain } from '../error-catalog/explain.ts';
import {
  type ErrorContext,
  type FilledErrorContext,
  ActionError,
  errorChain,
  findAzureError,
  rootDetail,
} from '../errors/errors.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import type { SubscriptionFacts } from './collect.ts';

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

export interface CheckFacts {
  readonly inputs: DeployInputs;
  readonly run: RunIdentity;
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
  readonly image: ResolvedImage | undefined;
  /** @param action that reading the answer needs on the scope, by default the subscription. */
  readonly ask: (id: string, asked: string, action?: string, scope?: string) => Question;
}

interface MissingPermission {
  readonly action: string;
  readonly scope: string;
}

export type Question = ReturnType<typeof createQuestion>;

/** A question, with the permission that its answer needs, and the findings that can answer it. */
export function createQuestion(known: FilledErrorContext, id: string, asked: string, permission: MissingPermission) {
  const findingOf =
    (level: Finding['level'], author = '') =>
    (answer: string, fix: readonly string[] = [], who = author): Finding => ({ id, level, asked, answer, who, fix });
  const fault = findingOf('fault', workflowAuthor);
  const unknown = findingOf('unknown');

  /** A skipped check of something that `create` does not read: with the missing permission, if that is the reason. */
  function skipped(error: unknown): Finding {
    const azure = findAzureError(error);
    if (azure?.status !== 403) return unknown(`Azure did not answer: ${errorMessage(error)}`);
    const denied = /perform action '([^']+)' over scope '([^']+)'/.exec(azure.message);
    const action = denied?.[1] ?? permission.action;
    const scope = denied?.[2]?.startsWith('/') ? denied[2] : permission.scope;
    const finding = unknown(
      `Skipped: the app lacks ${action} on ${scope}, which creating the VM does not need.`,
      ['Assign the role on that scope:', grantCommand(action, permission.scope, known)],
      roleGranter(action, scope, known),
    );
    return { ...finding, missing: { action, scope } };
  }

  /** A fault for an error that `create` would run into as well. */
  function refused(error: unknown): Finding {
    const azure = findAzureError(error);
    const [own] = errorChain(error).flatMap((link) => (link instanceof ActionError && link.explanation) || []);
    const explanation = own ?? (azure && explain(azure, known));
    const message = errorMessage(error);
    if (!explanation) return fault(message, azure?.correlationId ? [`Correlation ID: ${azure.correlationId}`] : []);
    const { cause, who, fix } = explanation;
    return fault(message === '' || cause.includes(message) ? cause : `${cause} (${message})`, fix, who);
  }

  /** Applies a rule to an answer. No finding if the question was not asked. */
  function answered<T>(result: Result<T> | undefined, rule: (value: T) => Finding | readonly Finding[]): Finding[] {
    if (!result) return [];
    return 'error' in result ? [skipped(result.error)] : [rule(result.value)].flat();
  }

  const [ok, warning] = [findingOf('ok'), findingOf('warning', workflowAuthor)];
  return { id, asked, ok, warning, fault, unknown, skipped, refused, answered };
}

export function isForbidden(error: unknown): boolean {
  return findAzureError(error)?.status === 403;
}

function errorMessage(error: unknown): string {
  const azure = findAzureError(error);
  if (!azure) return error instanceof Error ? error.message : String(error);
  const { code, message } = rootDetail(azure);
  return `${code || `HTTP ${azure.status}`}: ${message.split(/\r?\n/)[0] ?? ''}`;
}

/** For a read that `create` makes before its first write: without the permission the deployment fails. */
export function refusedRead(context: RuleContext, { id, asked }: Question, resource: string, error: unknown): Finding {
  const { inputs, facts, group, known, ask } = context;
  const action = `${/\/providers\/([^/]+\/[^/]+)/i.exec(resource)?.[1] ?? 'Microsoft.Resources'}/read`;
  const question = ask(id, asked, action, resource);
  if (!isForbidden(error)) return question.skipped(error);
  // The same role is missing; that finding has the command.
  if ('error' in facts.group && isForbidden(facts.group.error)) {
    return question.unknown(`The app may not read resource group ${inputs.resourceGroup}.`);
  }
  return question.fault(
    `The app lacks ${action} on ${resource}. Creating the VM starts with this read, so it would fail.`,
    // The resource may not exist yet, so the role cannot be assigned on it.
    ['Assign the role on the resource group:', grantCommand(action, group, known), roleDelay],
    roleGranter(action, resource, known),
  );
}
