/**
 * From what Azure answered to findings: what is well, what stands in the way, what cannot be known, and for each what to
 * do. Pure: it asks nothing.
 */
import type { Disk, VirtualMachine } from '@azure/arm-compute';
import { validateAdminAccount } from './admin-account.ts';
import type { Result } from './azure.ts';
import { explain, type ErrorContext } from './explain.ts';
import { workflowAuthor, type FilledErrorContext, fillPlaceholders } from './explain/entry.ts';
import {
  assignedScope,
  grantCommand,
  roleGranter,
  roleDelay,
  quoteForShell,
} from './explain/ids-and-roles.ts';
import type { ResourceGroup, Subscription, ExistingResources } from './facts.ts';
import { AzureError, type AzureErrorInfo, ActionError, rootDetail } from './failure.ts';
import type { ImageInspection } from './image.ts';
import type { DeployInputs } from './inputs.ts';
import { classifyOwnership, type WorkflowRun, assertOwned } from './ledger.ts';
import { type Placement, resourceIds, resourceNames, type Plan } from './plan.ts';
import {
  compareVm,
  compareNetwork,
  type Difference,
  driftFix,
  type ProvisioningFailure,
  isFailedState,
  assertRecreatable,
  assertNoOrphanedDisk,
  logAddedByOthers,
} from './rerun.ts';
import { normaliseRegion, resourceId, sameId } from './resource-id.ts';
import { evaluatePermissions, actionMatches, type Permission, type RequiredPermission } from './rights.ts';
import type { TenantSignIn } from './session.ts';
import {
  capabilitiesFromName,
  capabilitiesFromSku,
  capability,
  sizeRequirements,
  overridesAffectSize,
  incompatibilities,
  retirementDate,
  securityTypeIncompatibility,
  type Sku,
} from './size.ts';
import { hasSucceeded, provisioningStateOf } from './waiting.ts';

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
interface RuleContext {
  readonly facts: CheckFacts;
  readonly subscriptionFacts: SubscriptionFacts;
  readonly plan: Plan;
  readonly known: FilledErrorContext;
}

/**
 * Judges the facts against the plan.
 * @param plan of the image that was read, or of one that stands in for it; undefined where there is no subscription.
 */
export function evaluateChecks(facts: CheckFacts, plan: Plan | undefined): Finding[] {
  const known = fillPlaceholders(facts.situation);
  const { subscriptionFacts } = facts;
  const before = [...facts.signIns.map((signIn) => checkSignIn(signIn, known)), ...checkSubscription(facts)];
  if (!subscriptionFacts || !plan) {
    const asked = 'everything in the subscription';
    return [
      ...before,
      unknownFinding('deployment', asked, 'Not asked: it takes a token of the tenant and a subscription.'),
    ];
  }
  const context = { facts, subscriptionFacts, plan, known };
  return [
    ...before,
    ...checkResourceGroup(context),
    ...checkProviders(context),
    ...checkImage(context),
    ...checkPermissions(context),
    ...checkRoleAssignments(context),
    ...checkNames(context),
    ...checkReferenced(context),
    ...checkNetwork(context),
    ...checkVm(context),
    ...checkPublicIpQuota(context),
    ...checkLocks(context),
    ...checkDenyAssignments(context),
    ...plan.warnings.map((warning) =>
      warnFinding('inbound', 'what `allow-inbound` opens', warning, workflowAuthor, [
        'Name the addresses that need it in `allow-inbound`.',
      ]),
    ),
  ];
}

// Findings

function okFinding(id: string, asked: string, answer: string): Finding {
  return { id, level: 'ok', asked, answer, who: '', fix: [] };
}

function unknownFinding(
  id: string,
  asked: string,
  answer: string,
  who = '',
  fix: readonly string[] = [],
): Finding {
  return { id, level: 'unknown', asked, answer, who, fix };
}

function warnFinding(
  id: string,
  asked: string,
  answer: string,
  who: string,
  fix: readonly string[],
): Finding {
  return { id, level: 'warning', asked, answer, who, fix };
}

function faultFinding(
  id: string,
  asked: string,
  answer: string,
  who: string,
  fix: readonly string[],
): Finding {
  return { id, level: 'fault', asked, answer, who, fix };
}

/** The first of the causes that is an answer of Azure's. */
function azureErrorIn(error: unknown): AzureErrorInfo | undefined {
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
function faultFromError(id: string, asked: string, refusal: unknown, known: FilledErrorContext): Finding {
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
function unknownFromError(
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
function unreadable(
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

// Tenants, subscription, group

function checkSignIn({ tenant, role, result }: TenantSignIn, known: FilledErrorContext): Finding {
  const id = role === 'auxiliary' ? `sign-in/auxiliary/${tenant}` : `sign-in/${role}`;
  const input = { tenant: 'tenant-id', 'image-tenant': 'image-tenant-id', auxiliary: 'auxiliary-tenant-ids' };
  const asked = `a token of tenant ${tenant} (\`${input[role]}\`) for app ${known.clientId}`;
  if ('error' in result) return faultFromError(id, asked, result.error, known);
  const { objectId } = result.value;
  return okFinding(
    id,
    asked,
    objectId
      ? `Signed in as service principal ${objectId}.`
      : 'Signed in; as which service principal the token does not say.',
  );
}

/** https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states */
const readOnlyStates = new Set(['Disabled', 'Warned', 'Expired', 'Deleted']);

function checkSubscription({ subscription, inputs, situation }: CheckFacts): Finding[] {
  if (!subscription) return [];
  const known = fillPlaceholders(situation);
  const asked = `subscription ${inputs.subscriptionId ?? 'to deploy to (`subscription-id` is not given)'}`;
  if ('error' in subscription) {
    const right = {
      action: 'Microsoft.Resources/subscriptions/read',
      scope: `/subscriptions/${inputs.subscriptionId ?? ''}`,
    };
    return [
      azureErrorIn(subscription.error)?.status === 403
        ? unknownFromError('subscription', asked, subscription.error, right, known)
        : faultFromError('subscription', asked, subscription.error, known),
    ];
  }
  const { displayName, subscriptionId, state } = subscription.value;
  const name = `${displayName} (${subscriptionId})`;
  if (readOnlyStates.has(state)) {
    return [
      faultFinding(
        'subscription',
        asked,
        `${name} is ${state}: nothing can be made in it.`,
        `the owner of subscription ${subscriptionId}`,
        [
          'Have it enabled again:',
          'https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-disabled',
        ],
      ),
    ];
  }
  if (state === 'PastDue') {
    return [
      warnFinding(
        'subscription',
        asked,
        `${name} is past due: it will be disabled unless the bill is paid.`,
        `the owner of subscription ${subscriptionId}`,
        ['https://learn.microsoft.com/azure/cost-management-billing/manage/resolve-past-due-balance'],
      ),
    ];
  }
  return [okFinding('subscription', asked, `${name} is ${state}.`)];
}

function checkResourceGroup({ facts: { inputs }, subscriptionFacts, known }: RuleContext): Finding[] {
  const id = 'resource-group';
  const asked = `resource group ${inputs.resourceGroup}`;
  if ('error' in subscriptionFacts.group)
    return [faultFromError(id, asked, subscriptionFacts.group.error, known)];
  const { location, exists } = subscriptionFacts.group.value;
  return [
    okFinding(
      id,
      asked,
      exists
        ? `It is there; the deployment goes to ${location}.`
        : `It does not exist, and will be created in ${location}.`,
    ),
  ];
}

/** A group that is yet to be made has no locks and no deny assignments. */
function isNamespaceMissing(group: SubscriptionFacts['group']): boolean {
  return 'value' in group && !group.value.exists;
}

function checkProviders({ subscriptionFacts, known }: RuleContext): Finding[] {
  return subscriptionFacts.providers.map(({ namespace, state }) => {
    const id = `provider/${namespace}`;
    const asked = `resource provider ${namespace} in the subscription`;
    const command = `az provider register --namespace ${namespace} --subscription ${known.subscriptionId} --wait`;
    const owner = `the owner of subscription ${known.subscriptionId}`;
    if ('error' in state) {
      const right = {
        action: 'Microsoft.Resources/subscriptions/providers/read',
        scope: `/subscriptions/${subscriptionFacts.subscriptionId}`,
      };
      return unknownFromError(id, asked, state.error, right, known);
    }
    if (state.value === 'Registered') return okFinding(id, asked, 'Registered.');
    if (state.value === 'Registering') {
      return warnFinding(id, asked, 'Being registered; that takes a minute or two.', owner, [
        'Wait for its end:',
        command,
      ]);
    }
    return faultFinding(id, asked, `${state.value}: Azure refuses to make anything of its kind.`, owner, [
      'Register it once per subscription (it takes a minute or two):',
      command,
    ]);
  });
}

// Image

function checkImage({ facts, subscriptionFacts, known }: RuleContext): Finding[] {
  const { inputs } = facts;
  const asked = `image ${inputs.image.id}`;
  if (!subscriptionFacts.image) {
    const signedIn = facts.signIns.every(({ role, result }) => role !== 'image-tenant' || 'value' in result);
    const why = signedIn ? 'the region is not known' : 'there is no token of the image tenant';
    return [unknownFinding('image', asked, `Not asked: ${why}.`)];
  }
  if ('error' in subscriptionFacts.image)
    return [faultFromError('image', asked, subscriptionFacts.image.error, known)];
  const { facts: image, unusable, unread } = subscriptionFacts.image.value;
  const findings: Finding[] = [];
  if (!unusable) {
    const generation = image.generation ? `, generation ${image.generation.replace('V', '')}` : '';
    findings.push(
      okFinding(
        'image',
        asked,
        `Version ${image.version} can be used: ${image.osType}, ${image.osState}, ${image.architecture}${generation}.`,
      ),
    );
  } else {
    const refusal = faultFromError('image', asked, unusable.refusal, known);
    const waits = unusable.passing && inputs.imageWaitMinutes > 0;
    findings.push(waits ? { ...refusal, level: 'warning' } : refusal);
  }
  if (unread !== undefined) {
    const isOwn = 'subscriptionId' in inputs.image;
    const right = {
      action: 'Microsoft.Compute/galleries/images/read',
      // Others' galleries are read through the subscription of the deployment.
      scope: isOwn
        ? inputs.image.id.replace(/\/versions\/[^/]+$/i, '')
        : `/subscriptions/${subscriptionFacts.subscriptionId}`,
    };
    const what =
      'generation, processor, security type and plan of the image, and whether it is specialized, which its definition names';
    findings.push(unknownFromError('image/definition', what, unread, right, known));
  }
  findings.push(
    ...image.warnings.map((warning) =>
      warnFinding('image/end-of-life', 'the end of life of the image', warning, 'the owner of the gallery', [
        'Deploy a newer version or another image (`image-id`).',
      ]),
    ),
    ...validateAdminAccount(inputs, image.osState === 'Specialized' ? undefined : image.osType).map(
      ({ input, message }) =>
        faultFinding(
          `input/${input}`,
          `\`${input}\` under the rules for ${image.osType}`,
          message,
          workflowAuthor,
          [`Correct \`${input}\`.`],
        ),
    ),
  );
  const security = securityTypeIncompatibility(image, inputs.securityType ?? image.securityType);
  if (overridesAffectSize(inputs)) {
    findings.push(
      unknownFinding(
        'overrides',
        'what `overrides` makes of the machine',
        'Not judged: only Azure can tell, when it is created.',
      ),
    );
  } else if (security) {
    findings.push(
      faultFinding('security-type', 'the security type that the image allows', security, workflowAuthor, [
        'Leave `security-type` out to have the one that the image definition names, or use another image.',
      ]),
    );
  }
  if (image.plan && subscriptionFacts.terms)
    findings.push(checkTerms(image.plan, subscriptionFacts.terms, known));
  return findings;
}

function checkTerms(
  { publisher, product, name }: NonNullable<ImageInspection['facts']['plan']>,
  terms: Result<boolean>,
  known: FilledErrorContext,
): Finding {
  const asked = `Marketplace terms of plan ${publisher}/${product}/${name} in the subscription`;
  if ('error' in terms) {
    const right = {
      action: 'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read',
      scope: `/subscriptions/${known.subscriptionId}`,
    };
    return unknownFromError('terms', asked, terms.error, right, known);
  }
  if (terms.value) return okFinding('terms', asked, 'Accepted.');
  const who = `the owner of subscription ${known.subscriptionId}, in the VM's tenant (${known.tenantId})`;
  return faultFinding('terms', asked, 'Not accepted: Azure refuses machines from this image.', who, [
    'Read and accept them, once per subscription:',
    `az vm image terms accept --subscription ${known.subscriptionId} --publisher ${quoteForShell(publisher)} --offer ${quoteForShell(product)} --plan ${quoteForShell(name)}`,
  ]);
}

// Rights

const permissionsReadAction = 'Microsoft.Authorization/permissions/read';

function checkPermissions({ subscriptionFacts, known }: RuleContext): Finding[] {
  return subscriptionFacts.rights.map(({ right, permissions }) => {
    const { id, scope, actions, why, weight } = right;
    const asked = `rights on ${scope} for ${why}`;
    if ('error' in permissions) {
      const toAsk = { action: permissionsReadAction, scope };
      return unknownFromError(id, asked, permissions.error, toAsk, known);
    }
    const denied = actions.filter((action) => evaluatePermissions(permissions.value, action) === 'denied');
    const conditional = actions.filter(
      (action) => evaluatePermissions(permissions.value, action) === 'conditional',
    );
    if (denied.length > 0) {
      const grants = [...new Set(denied.map((action) => grantCommand(action, scope, known)))];
      const without = { needed: 'fault', 'for clean-up': 'warning', 'for reruns': 'warning' } as const;
      return {
        id,
        level: weight === 'for checking' ? 'unknown' : without[weight],
        asked,
        answer: `Missing: ${denied.join(', ')}.`,
        who: roleGranter(denied[0] ?? '', scope, known),
        fix: ['Grant the role, or a custom role with just these actions:', ...grants, roleDelay],
      };
    }
    if (conditional.length > 0) return conditionCaveat(id, asked, conditional, permissions.value);
    return okFinding(id, asked, `All are there: ${actions.join(', ')}.`);
  });
}

/** Conditions are a language of their own, which Azure alone evaluates at each request. */
function conditionCaveat(
  id: string,
  asked: string,
  actions: readonly string[],
  permissions: readonly Permission[],
): Finding {
  const conditions = permissions
    .filter((permission) =>
      actions.some((action) => evaluatePermissions([permission], action) === 'conditional'),
    )
    .map(({ condition }) => condition ?? '');
  return unknownFinding(
    id,
    asked,
    `Granted under a condition, which only Azure can evaluate: ${actions.join(', ')}.`,
    workflowAuthor,
    [`Read whether it allows what the inputs ask for: ${[...new Set(conditions)].join(' — ')}`],
  );
}

const roleWrite = 'Microsoft.Authorization/roleAssignments/write';

function checkRoleAssignments({ subscriptionFacts, facts, known }: RuleContext): Finding[] {
  return subscriptionFacts.roles.flatMap(({ request, scope, survey, permissions }, index) => {
    const id = `role-assignment/${index + 1}`;
    const asked = `whether the app may grant ${request}`;
    if ('error' in survey) {
      const about = azureErrorIn(survey.error);
      // A given identity that is not there is told once, where it is given.
      const told =
        about?.status === 404 && facts.inputs.identity.given.some((one) => sameId(one.id, about.url));
      return told ? [] : [faultFromError(id, asked, survey.error, known)];
    }
    if ('error' in permissions) {
      const toAsk = { action: permissionsReadAction, scope };
      return [unknownFromError(id, asked, permissions.error, toAsk, known)];
    }
    const verdict = evaluatePermissions(permissions.value, roleWrite);
    if (verdict === 'conditional') return [conditionCaveat(id, asked, [roleWrite], permissions.value)];
    return [okFinding(id, asked, verdict === 'allowed' ? 'It may.' : 'It is granted already.')];
  });
}

function checkDenyAssignments({ facts: { inputs }, subscriptionFacts, known }: RuleContext): Finding[] {
  if (isNamespaceMissing(subscriptionFacts.group)) return [];
  const id = 'deny-assignments';
  const scope = `/subscriptions/${subscriptionFacts.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
  const asked = `deny assignments on resource group ${inputs.resourceGroup}`;
  if ('error' in subscriptionFacts.denyAssignments) {
    const right = { action: 'Microsoft.Authorization/denyAssignments/read', scope };
    return [unknownFromError(id, asked, subscriptionFacts.denyAssignments.error, right, known)];
  }
  const needed = subscriptionFacts.rights
    .filter(({ right }) => right.weight === 'needed' && right.scope.toLowerCase() === scope.toLowerCase())
    .flatMap(({ right }) => right.actions);
  const findings = subscriptionFacts.denyAssignments.value.flatMap(({ properties }): Finding[] => {
    const { permissions = [], principals = [], excludePrincipals = [] } = properties;
    const blocked = needed.filter((action) =>
      permissions.some(
        ({ actions = [], notActions = [] }) =>
          actions.some((pattern) => actionMatches(pattern, action)) &&
          !notActions.some((pattern) => actionMatches(pattern, action)),
      ),
    );
    const ownId = subscriptionFacts.objectId?.toLowerCase();
    const isUs = (one: { readonly id: string }) => one.id.toLowerCase() === ownId;
    if (blocked.length === 0 || excludePrincipals.some(isUs)) return [];
    const named = properties.denyAssignmentName ?? 'without a name';
    const answer = `Deny assignment "${named}" blocks ${blocked.join(', ')}`;
    const who = 'whoever made it: a managed application, a deployment stack or Azure itself';
    const fix = [
      'Deploy to another resource group, or have the app excluded from it:',
      'https://learn.microsoft.com/azure/role-based-access-control/deny-assignments',
    ];
    const hitsUs = principals.some((one) => isUs(one) || isEverybody(one));
    const others = hitsUs ? excludePrincipals : principals;
    const viaGroups = others.some(({ type }) => type === 'Group');
    // Any of them may be the app where its token does not say which one it is.
    if (ownId === undefined && others.length > 0) {
      const unnamed = `${answer}, for or except principals of which the app may be one; its token names none.`;
      return [unknownFinding(id, asked, unnamed, who, fix)];
    }
    if (hitsUs && !viaGroups) return [faultFinding(id, asked, `${answer}.`, who, fix)];
    return hitsUs || viaGroups
      ? [
          unknownFinding(
            id,
            asked,
            `${answer}, for or except members of a group; whose members is not known.`,
            who,
            fix,
          ),
        ]
      : [];
  });
  return findings.length > 0 ? findings : [okFinding(id, asked, 'None that concerns the app.')];
}

/** "All principals" is written as the empty GUID. */
function isEverybody({ id }: { readonly id: string }): boolean {
  return /^[0-]+$/.test(id);
}

function checkLocks(context: RuleContext): Finding[] {
  const {
    facts: { inputs },
    subscriptionFacts,
    known,
  } = context;
  if (isNamespaceMissing(subscriptionFacts.group)) return [];
  const id = 'locks';
  const group = `/subscriptions/${subscriptionFacts.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
  const asked = `locks on resource group ${inputs.resourceGroup}`;
  if ('error' in subscriptionFacts.locks) {
    const right = { action: 'Microsoft.Authorization/locks/read', scope: group };
    return [unknownFromError(id, asked, subscriptionFacts.locks.error, right, known)];
  }
  if (subscriptionFacts.locks.value.length === 0) return [okFinding(id, asked, 'None.')];
  const own = ownIds(context);
  const used = [...own, ...subscriptionFacts.given.map((one) => one.id)];
  const findings = subscriptionFacts.locks.value.flatMap((lock): Finding[] => {
    const scope = assignedScope(lock.id);
    const readOnly = lock.properties.level === 'ReadOnly';
    // What is given is never deleted, so that only a ReadOnly lock on it is in the way.
    const touched = readOnly ? used : own;
    if (!touched.some((one) => isWithinScope(one, scope) || isWithinScope(scope, one))) return [];
    const whole = isWithinScope(group, scope);
    const where = whole ? '' : ` on ${scope}`;
    const who = 'an Owner or User Access Administrator there';
    const fix = ['Take the lock away:', `az lock delete --ids ${quoteForShell(lock.id)}`];
    if (readOnly) {
      const effect = whole ? 'nothing can be created' : 'it can neither be changed nor joined';
      return [faultFinding(id, asked, `Lock "${lock.name}"${where} is ReadOnly: ${effect}.`, who, fix)];
    }
    const what = whole ? 'nothing' : 'not all';
    return [
      inputs.cleanup === 'never'
        ? okFinding(id, asked, `Lock "${lock.name}"${where} forbids deleting only; \`cleanup\` is \`never\`.`)
        : warnFinding(
            id,
            asked,
            `Lock "${lock.name}"${where} forbids deleting, so that ${what} can be cleaned up.`,
            who,
            fix,
          ),
    ];
  });
  return findings.length > 0 ? findings : [okFinding(id, asked, 'None that concerns the deployment.')];
}

/** IDs of what the deployment consists of, whether it is there or not. */
function ownIds({ plan, subscriptionFacts }: RuleContext): readonly string[] {
  const { nic, nsg, publicIp, vnet, vm, identities } = plan;
  const made = [nic, nsg, publicIp].flatMap((part) => (part?.origin === 'made' ? [part.id] : []));
  const { vm: found } = subscriptionFacts.existing;
  const { osDisk, dataDisks = [] } =
    (found && 'value' in found ? found.value?.storageProfile : undefined) ?? {};
  const disks = [osDisk, ...dataDisks].flatMap((disk) => disk?.managedDisk?.id ?? []);
  const planned = resourceId(
    plan.subscriptionId,
    plan.resourceGroup,
    'Microsoft.Compute/disks',
    vm.osDiskName,
  );
  return [vm.id, planned, ...disks, ...made, ...(vnet ? [vnet.id] : []), ...identities.map((one) => one.id)];
}

/** Whether an ID is a scope or lies below it: a lock goes for all that is below its own. */
function isWithinScope(id: string, scope: string): boolean {
  return sameId(id, scope) || id.toLowerCase().startsWith(`${scope.toLowerCase()}/`);
}

// Names and given resources

const partTitles = {
  vm: 'virtual machine',
  nsg: 'network security group',
  vnet: 'virtual network',
  publicIp: 'public IP',
  nic: 'network interface',
  osDisk: 'disk',
} as const;

function checkNames(context: RuleContext): Finding[] {
  const { facts, subscriptionFacts, known } = context;
  const { inputs, run } = facts;
  const names = resourceNames(inputs.vmName);
  const ids = resourceIds(subscriptionFacts.subscriptionId, inputs.resourceGroup, names);
  const looked = { ...subscriptionFacts.existing, osDisk: subscriptionFacts.osDisk };
  const { vm } = subscriptionFacts.existing;
  const isThere = vm && 'value' in vm ? vm.value !== undefined : undefined;
  return Object.entries(looked).map(([key, found]) => {
    const part = key as keyof typeof partTitles;
    const what = `${partTitles[part]} ${names[part]}`;
    const id = `name/${partTitles[part].replaceAll(' ', '-').toLowerCase()}`;
    const asked = `whether the name of ${what} is free`;
    if ('error' in found) {
      // `create` does without the disk: Azure itself refuses a name that is taken.
      if (part !== 'osDisk') return unreadable(id, asked, found.error, ids[part], context);
      const group = `/subscriptions/${subscriptionFacts.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
      const right = { action: 'Microsoft.Compute/disks/read', scope: group };
      return unknownFromError(id, asked, found.error, right, known);
    }
    if (!found.value) return okFinding(id, asked, 'Free.');
    // Nobody asks about the disk of a machine that is there: it goes with that.
    if (part === 'osDisk' && isThere) return okFinding(id, asked, 'It is there, and so is its machine.');
    try {
      assertOwned(what, ids[part], found.value.tags, inputs.vmName, run);
      if (part === 'osDisk' && isThere === false) assertNoOrphanedDisk(found.value, ids.osDisk, inputs);
      return okFinding(id, asked, "It is there and is this deployment's.");
    } catch (refusal) {
      return faultFromError(id, asked, refusal, known);
    }
  });
}

/** Of the parts that are this deployment's: about those that are not, `create` says no more than that. */
function checkNetwork({ facts: { inputs, run }, subscriptionFacts, plan }: RuleContext): Finding[] {
  const own = Object.entries(subscriptionFacts.existing).flatMap(([part, found]) =>
    part !== 'machine' &&
    'value' in found &&
    found.value &&
    classifyOwnership(found.value.tags, inputs.vmName, run) === 'ours'
      ? [[part, found.value] as const]
      : [],
  );
  if (own.length === 0) return [];
  const asked = `whether the network of deployment ${plan.deployment}, as far as it exists, is as asked for`;
  const { differences } = compareNetwork(Object.fromEntries(own), plan);
  return [checkDrift('rerun/network', asked, differences, plan, 'It is, and would be left as it is.')];
}

/** @param same the answer where there are none. */
function checkDrift(
  id: string,
  asked: string,
  differences: readonly Difference[],
  plan: Plan,
  same: string,
): Finding {
  if (differences.length === 0) return okFinding(id, asked, same);
  const lines = differences.map(
    ({ property, actual, expected }) => `${property}: it has ${actual}, the inputs ask for ${expected}`,
  );
  return faultFinding(
    id,
    asked,
    `It is another one. ${lines.join('; ')}.`,
    workflowAuthor,
    driftFix(plan, differences),
  );
}

const referencedActions: Readonly<Record<ReferencedResource['kind'], string>> = {
  subnet: 'Microsoft.Network/virtualNetworks/read',
  'network security group': 'Microsoft.Network/networkSecurityGroups/read',
  'public IP': 'Microsoft.Network/publicIPAddresses/read',
  'network interface': 'Microsoft.Network/networkInterfaces/read',
  identity: 'Microsoft.ManagedIdentity/userAssignedIdentities/read',
};

function checkReferenced({ subscriptionFacts, plan, known }: RuleContext): Finding[] {
  return subscriptionFacts.given.map(({ kind, id: resource, found }) => {
    const name = resource.split('/').at(-1) ?? '';
    const id = `given/${kind.toLowerCase().replaceAll(' ', '-')}${kind === 'identity' ? `/${name}` : ''}`;
    const asked = `${kind} ${resource}`;
    if ('error' in found) {
      const azure = azureErrorIn(found.error);
      // `create` itself reads these two.
      const mustRead = kind === 'network interface' || kind === 'public IP';
      return azure?.status === 401 || (azure?.status === 403 && mustRead)
        ? faultFromError(id, asked, found.error, known)
        : unknownFromError(
            id,
            asked,
            found.error,
            { action: referencedActions[kind], scope: resource },
            known,
          );
    }
    if (!found.value) {
      return faultFinding(id, asked, 'There is no such thing.', workflowAuthor, ['Correct the ID.']);
    }
    const { location, usedBy } = found.value;
    if (kind !== 'identity' && location && normaliseRegion(location) !== plan.location) {
      return faultFinding(
        id,
        asked,
        `It is in ${normaliseRegion(location)}, and the machine goes to ${plan.location}: both must be in one region.`,
        workflowAuthor,
        [`Give \`location: ${normaliseRegion(location)}\`, or another ${kind} in ${plan.location}.`],
      );
    }
    const users = [plan.vm.id, plan.nic.id];
    if (
      usedBy &&
      !users.some((own) => sameId(own, usedBy) || usedBy.toLowerCase().startsWith(`${own.toLowerCase()}/`))
    ) {
      return faultFinding(id, asked, `It is in use by ${usedBy}.`, workflowAuthor, [
        `Give another ${kind}, or free this one first; it can serve one machine only.`,
      ]);
    }
    const where = location ? ` in ${normaliseRegion(location)}` : '; its region could not be read';
    return okFinding(id, asked, `It is there${where}${usedBy ? ", used by this deployment's own" : ''}.`);
  });
}

// Sizes and quotas

/** What is wrong with one attempt at placing the machine. */
interface SizeProblem {
  readonly id: string;
  readonly asked: string;
  readonly text: string;
  /** `create` goes on to the next attempt after quota and capacity; anything else ends it. */
  readonly ends: boolean;
  readonly who: string;
  readonly fix: readonly string[];
}

function checkVm(context: RuleContext): Finding[] {
  const { vm } = context.subscriptionFacts.existing;
  const existing = vm && 'value' in vm ? vm.value : undefined;
  if (!existing) return checkSizes(context);
  const { inputs, run } = context.facts;
  return classifyOwnership(existing.tags, inputs.vmName, run) === 'ours' ? checkRerun(context, existing) : [];
}

function checkSizes(context: RuleContext): Finding[] {
  const { facts, subscriptionFacts, plan, known } = context;
  const imageRead = subscriptionFacts.image && 'value' in subscriptionFacts.image;
  if (!imageRead && facts.inputs.sizes.length === 0) {
    return [
      unknownFinding(
        'size',
        'the size',
        'Not asked: the default size depends on the image, which could not be read.',
      ),
    ];
  }
  const { attempts } = plan.vm;
  const sizes = [...new Set(attempts.map(({ size }) => size))];
  const problems = attempts.map((attempt) => sizeProblems(context, attempt));
  const levels = severityByPlacement(problems);
  const findings: Finding[] = [];
  if (!subscriptionFacts.skus) {
    findings.push(unknownFinding('size', 'the sizes', 'Not asked: the region is not known.'));
  } else if ('error' in subscriptionFacts.skus) {
    const right = {
      action: 'Microsoft.Compute/skus/read',
      scope: `/subscriptions/${subscriptionFacts.subscriptionId}`,
    };
    findings.push(
      unknownFromError(
        'size',
        `whether ${sizes.join(', ')} can be had in ${plan.location}`,
        subscriptionFacts.skus.error,
        right,
        known,
      ),
    );
  }
  const told = problems.flatMap((list, index) =>
    list.map((problem) => ({ problem, level: levels[index] ?? 'fault' })),
  );
  for (const id of [...new Set(told.map(({ problem }) => problem.id))]) {
    const same = told.filter(({ problem }) => problem.id === id);
    const [first] = same;
    if (!first) continue;
    const level = same.some((one) => one.level === 'fault') ? 'fault' : 'warning';
    const answer = [...new Set(same.map(({ problem }) => problem.text))].join(' ');
    const { asked, who, fix } = first.problem;
    findings.push({ id, level, asked, answer, who, fix });
  }
  const troubled = new Set(findings.map(({ id }) => id));
  return [
    ...findings,
    ...sizesThatFit(context, sizes).filter(({ id }) => !troubled.has(id)),
    ...checkQuota(context, sizes).filter(({ id }) => !troubled.has(id)),
    ...sizes.flatMap((size) => {
      const end = retirementDate(size);
      const asked = `the retirement of size ${size}`;
      return end
        ? [
            warnFinding(
              `retirement/${size}`,
              asked,
              `Azure retires ${size} on ${end}; capacity gets scarce before that.`,
              workflowAuthor,
              [
                'Use a newer size, e.g. Standard_D2s_v5:',
                'https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list',
              ],
            ),
          ]
        : [];
    }),
  ];
}

/**
 * `create` takes the first attempt that can be had. What is wrong with an attempt is a fault if it comes to that: if none
 * can be had, or if it ends the run before one is reached.
 */
function severityByPlacement(problems: readonly (readonly SizeProblem[])[]): ('fault' | 'warning')[] {
  const usable = problems.findIndex((list) => list.length === 0);
  return problems.map((list, index) => {
    if (usable < 0) return 'fault';
    return index < usable && list.some(({ ends }) => ends) ? 'fault' : 'warning';
  });
}

/** What `create` makes of a machine that is there: it is left as it is, made anew, or stands in the way. */
function checkRerun(context: RuleContext, vm: VirtualMachine): Finding[] {
  const {
    facts: { inputs },
    subscriptionFacts: { fate, image },
    plan,
    known,
  } = context;
  const id = 'rerun';
  const asked = `whether virtual machine ${plan.vm.name}, which exists, is as asked for`;
  const state = provisioningStateOf(vm);
  if (state === 'Deleting') {
    const answer = 'It is being deleted: the end of that would be waited for, and the machine made anew.';
    return [okFinding(id, asked, answer), ...checkSizes(context)];
  }
  if (isFailedState(vm) && fate) {
    if ('error' in fate) return [unreadable(id, asked, fate.error, plan.vm.id, context)];
    try {
      assertRecreatable(vm, fate.value, inputs);
    } catch (refusal) {
      return [faultFromError(id, asked, refusal, known)];
    }
    const answer = `An earlier run could not place it (${fate.value.fault.fault.code}): it would be removed and made anew.`;
    return [okFinding(id, asked, answer), ...checkSizes(context)];
  }
  if (!image || !('value' in image) || image.value.unusable) return [];
  const { differences, addedIdentities } = compareVm(vm, plan, image.value.facts, inputs);
  const same = hasSucceeded(vm)
    ? 'It is, and would be left as it is.'
    : `It is. Its state is ${state}: the end of that would be waited for.`;
  const besides = addedIdentities.length > 0 ? [logAddedByOthers(addedIdentities)] : [];
  return [checkDrift(id, asked, differences, plan, [same, ...besides].join(' '))];
}

function findSku({ subscriptionFacts }: RuleContext, size: string): Sku | undefined {
  if (!subscriptionFacts.skus || 'error' in subscriptionFacts.skus) return undefined;
  return subscriptionFacts.skus.value.find(
    ({ resourceType, name }) =>
      resourceType === 'virtualMachines' && name?.toLowerCase() === size.toLowerCase(),
  );
}

function sizeFix({ plan, known }: RuleContext, size: string): readonly string[] {
  const series = /^Standard_[A-Z]+\d+/i.exec(size)?.[0] ?? size;
  return [
    'Give another size in `vm-size`, or several: the first that can be had is taken. What the region offers:',
    `az vm list-skus --subscription ${known.subscriptionId} -l ${plan.location} --size ${quoteForShell(series)} --all -o table`,
  ];
}

function sizeProblems(context: RuleContext, { size, zone }: Placement): SizeProblem[] {
  const {
    facts: { inputs },
    subscriptionFacts,
    plan,
  } = context;
  const id = `size/${size}`;
  const asked = `size ${size} in ${plan.location}${inputs.zones.length > 0 ? `, zone ${inputs.zones.join(', ')}` : ''}`;
  const problem = (text: string, ends: boolean): SizeProblem => ({
    id,
    asked,
    text,
    ends,
    who: workflowAuthor,
    fix: sizeFix(context, size),
  });
  const sku = findSku(context, size);
  if (subscriptionFacts.skus && 'value' in subscriptionFacts.skus && !sku) {
    return [problem(`There is no size ${size} in ${plan.location}.`, false)];
  }
  const found: SizeProblem[] = [];
  if (sku) {
    const zones = sku.locationInfo?.flatMap(({ zones = [] }) => zones) ?? [];
    if (zone && !zones.includes(zone)) {
      const which = zones.length > 0 ? `zones ${zones.toSorted().join(', ')} only` : 'no zone at all';
      found.push(problem(`${size} is offered in ${which} of ${plan.location}, not in zone ${zone}.`, false));
    }
    for (const { type, restrictionInfo, reasonCode } of sku.restrictions ?? []) {
      const zoned = type === 'Zone';
      if (zoned && (!zone || !restrictionInfo?.zones?.includes(zone))) continue;
      const where = zoned ? `zone ${zone} of ${plan.location}` : plan.location;
      found.push(
        problem(
          `${size} is not offered to this subscription in ${where} (${reasonCode ?? 'restricted'}).`,
          false,
        ),
      );
    }
    found.push(...quotaProblems(context, size, sku));
  }
  const image =
    subscriptionFacts.image && 'value' in subscriptionFacts.image
      ? subscriptionFacts.image.value.facts
      : undefined;
  if (image && !overridesAffectSize(inputs)) {
    const abilities = sku ? capabilitiesFromSku(sku) : capabilitiesFromName(size);
    found.push(
      ...incompatibilities(abilities, image, sizeRequirements(inputs, image)).map((text) =>
        problem(`${size} ${text}.`, true),
      ),
    );
  }
  return found;
}

function sizesThatFit(context: RuleContext, sizes: readonly string[]): Finding[] {
  const { facts, subscriptionFacts, plan } = context;
  const image =
    subscriptionFacts.image && 'value' in subscriptionFacts.image
      ? subscriptionFacts.image.value.facts
      : undefined;
  // Only what `misfits` has compared: it needs the image definition, and a VM that `overrides` do not change.
  const isCompared = image?.generation !== undefined && !overridesAffectSize(facts.inputs);
  const boots = isCompared ? ' The image boots on it.' : ' Not compared with the image.';
  return sizes.flatMap((size) => {
    const sku = findSku(context, size);
    if (!sku) return [];
    const zones = (sku.locationInfo?.flatMap(({ zones = [] }) => zones) ?? []).toSorted();
    const where = zones.length > 0 ? `${plan.location}, zones ${zones.join(', ')}` : plan.location;
    const answer = `Offered in ${where}: ${capability(sku, 'vCPUs') ?? '?'} vCPUs, ${capability(sku, 'MemoryGB') ?? '?'} GiB.${boots}`;
    return [okFinding(`size/${size}`, `size ${size} in ${plan.location}`, answer)];
  });
}

/** The quotas that a size counts against: Spot machines have one of their own for all families. */
function requiredQuotas({ facts: { inputs } }: RuleContext, sku: Sku): readonly string[] {
  return inputs.spot ? ['lowPriorityCores'] : ['cores', ...(sku.family ? [sku.family] : [])];
}

function findUsage(usages: Result<readonly Usage[]> | undefined, name: string): Usage | undefined {
  if (!usages || 'error' in usages) return undefined;
  return usages.value.find((usage) => usage.name.value?.toLowerCase() === name.toLowerCase());
}

function quotaProblems(context: RuleContext, size: string, sku: Sku): SizeProblem[] {
  const { subscriptionFacts, plan, known } = context;
  const cores = Number(capability(sku, 'vCPUs') ?? Number.NaN);
  return requiredQuotas(context, sku).flatMap((name): SizeProblem[] => {
    const usage = findUsage(subscriptionFacts.computeUsages, name);
    if (!usage || !(usage.limit - usage.currentValue < cores)) return [];
    const title = usage.name.localizedValue ?? name;
    return [
      {
        id: `quota/${name}`,
        asked: `quota "${title}" in ${plan.location}`,
        text: `${usage.currentValue} of ${usage.limit} are in use, and ${size} takes ${cores}.`,
        ends: false,
        who: `the owner of subscription ${known.subscriptionId}`,
        fix: quotaFix(context),
      },
    ];
  });
}

function quotaFix({ plan, known }: RuleContext): readonly string[] {
  return [
    'Delete what is not needed, use another size or `location`, or ask for more:',
    `az vm list-usage --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
    `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
  ];
}

function checkQuota(context: RuleContext, sizes: readonly string[]): Finding[] {
  const { subscriptionFacts, plan, known } = context;
  const asked = `quota of cores in ${plan.location}`;
  if (!subscriptionFacts.computeUsages) return [];
  if ('error' in subscriptionFacts.computeUsages) {
    const right = {
      action: 'Microsoft.Compute/locations/usages/read',
      scope: `/subscriptions/${subscriptionFacts.subscriptionId}`,
    };
    return [unknownFromError('quota', asked, subscriptionFacts.computeUsages.error, right, known)];
  }
  const skus = sizes.flatMap((size) => findSku(context, size) ?? []);
  const names = [...new Set(skus.flatMap((sku) => requiredQuotas(context, sku)))];
  return names.flatMap((name) => {
    const usage = findUsage(subscriptionFacts.computeUsages, name);
    if (!usage) return [];
    const title = usage.name.localizedValue ?? name;
    return [
      okFinding(
        `quota/${name}`,
        `quota "${title}" in ${plan.location}`,
        `${usage.limit - usage.currentValue} of ${usage.limit} are free.`,
      ),
    ];
  });
}

function checkPublicIpQuota(context: RuleContext): Finding[] {
  const { subscriptionFacts, plan, known, facts } = context;
  if (plan.publicIp?.origin !== 'made') return [];
  const there = subscriptionFacts.existing.publicIp;
  if (there && 'value' in there && there.value) return [];
  const scope = `/subscriptions/${subscriptionFacts.subscriptionId}`;
  const findings: Finding[] = [];
  if (subscriptionFacts.networkUsages) {
    const id = 'quota/public-ip';
    const asked = `quota of public IPs in ${plan.location}`;
    if ('error' in subscriptionFacts.networkUsages) {
      const right = { action: 'Microsoft.Network/locations/usages/read', scope };
      findings.push(unknownFromError(id, asked, subscriptionFacts.networkUsages.error, right, known));
    } else {
      const usages = ['StandardSkuPublicIpAddresses', 'PublicIPAddresses'].flatMap(
        (name) => findUsage(subscriptionFacts.networkUsages, name) ?? [],
      );
      const full = usages.find(({ limit, currentValue }) => limit - currentValue < 1);
      const [least] = usages;
      findings.push(
        full
          ? faultFinding(
              id,
              asked,
              `All ${full.limit} are in use.`,
              `the owner of subscription ${known.subscriptionId}`,
              [
                'Delete what is not needed, do without (`public-ip: false`), or ask for more:',
                `az network list-usages --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
                `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
              ],
            )
          : okFinding(
              id,
              asked,
              least ? `${least.limit - least.currentValue} of ${least.limit} are free.` : 'Azure lists none.',
            ),
      );
    }
  }
  const { network } = facts.inputs;
  const label =
    network.kind === 'new-nic' && network.publicIp.kind === 'new' ? network.publicIp.dnsLabel : undefined;
  if (label && subscriptionFacts.dnsLabelFree) {
    const id = 'name/dns-label';
    const asked = `whether DNS label ${label} is free in ${plan.location}`;
    if ('error' in subscriptionFacts.dnsLabelFree) {
      const right = { action: 'Microsoft.Network/locations/checkDnsNameAvailability/read', scope };
      findings.push(unknownFromError(id, asked, subscriptionFacts.dnsLabelFree.error, right, known));
    } else {
      findings.push(
        subscriptionFacts.dnsLabelFree.value
          ? okFinding(id, asked, 'Free.')
          : faultFinding(id, asked, 'Taken: labels are unique in a region.', workflowAuthor, [
              'Give another `dns-label`.',
            ]),
      );
    }
  }
  return findings;
}
