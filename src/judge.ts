/**
 * From what Azure answered to findings: what is well, what stands in the way, what cannot be known, and for each what to
 * do. Pure: it asks nothing.
 */
import type { Disk, VirtualMachine } from '@azure/arm-compute';
import { adminFaults } from './admin-account.ts';
import type { Asked } from './azure.ts';
import { explain, type Situation } from './explain.ts';
import { author, type Known, withPlaceholders } from './explain/entry.ts';
import { assignedScope, grant, granter, roleDelay, shell } from './explain/ids-and-roles.ts';
import type { ResourceGroup, Subscription, Survey } from './facts.ts';
import { AzureError, type AzureFault, Failure, innermost } from './failure.ts';
import type { ImageLook } from './image.ts';
import type { DeployInputs } from './inputs.ts';
import { ownershipOf, type Run, refuseForeign } from './ledger.ts';
import { type Attempt, idsOf, namesOf, type Plan } from './plan.ts';
import {
  compare,
  compareNetwork,
  type Difference,
  differenceFix,
  type Fate,
  hasFailed,
  refuseFailed,
  refuseStrayDisk,
  tellAdded,
} from './rerun.ts';
import { normaliseRegion, resourceId, sameId } from './resource-id.ts';
import { allows, covers, type Permission, type Right } from './rights.ts';
import type { SignIn } from './session.ts';
import {
  abilitiesOfName,
  abilitiesOfSku,
  capability,
  demandsOf,
  isReshaped,
  misfits,
  retirementOf,
  securityMisfit,
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
export interface Given {
  readonly kind: 'subnet' | 'network security group' | 'public IP' | 'network interface' | 'identity';
  readonly id: string;
  /** Undefined: there is no such thing. */
  readonly found: Asked<
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
export interface SiteFacts {
  readonly subscriptionId: string;
  /** Of the app's service principal in the tenant; undefined where the token does not say. */
  readonly objectId: string | undefined;
  readonly group: Asked<ResourceGroup>;
  readonly existing: { readonly [Part in keyof Survey]?: Asked<Survey[Part]> };
  /** Of a machine that failed. */
  readonly fate?: Asked<Fate>;
  readonly osDisk: Asked<Disk | undefined>;
  readonly given: readonly Given[];
  readonly rights: readonly { readonly right: Right; readonly permissions: Asked<readonly Permission[]> }[];
  readonly roles: readonly {
    readonly request: string;
    readonly scope: string;
    /** Refused by what `create` would look at before its first write. */
    readonly survey: Asked<unknown>;
    readonly permissions: Asked<readonly Permission[]>;
  }[];
  readonly providers: readonly { readonly namespace: string; readonly state: Asked<string> }[];
  readonly locks: Asked<readonly Lock[]>;
  readonly denyAssignments: Asked<readonly DenyAssignment[]>;
  /** The rest needs a region. */
  readonly skus?: Asked<readonly Sku[]>;
  readonly computeUsages?: Asked<readonly Usage[]>;
  readonly networkUsages?: Asked<readonly Usage[]>;
  readonly dnsLabelFree?: Asked<boolean>;
  /** The image's Marketplace terms: accepted or not. */
  readonly terms?: Asked<boolean>;
  readonly image?: Asked<ImageLook>;
}

export interface Facts {
  readonly inputs: DeployInputs;
  readonly run: Pick<Run, 'runId' | 'job'>;
  readonly situation: Situation;
  readonly signIns: readonly SignIn[];
  readonly subscription?: Asked<Subscription>;
  readonly site?: SiteFacts;
}

/** What the judgement of one part works with. */
interface Bench {
  readonly facts: Facts;
  readonly site: SiteFacts;
  readonly plan: Plan;
  readonly known: Known;
}

/**
 * Judges the facts against the plan.
 * @param plan of the image that was read, or of one that stands in for it; undefined where there is no subscription.
 */
export function judge(facts: Facts, plan: Plan | undefined): Finding[] {
  const known = withPlaceholders(facts.situation);
  const { site } = facts;
  const before = [...facts.signIns.map((signIn) => judgeSignIn(signIn, known)), ...judgeSubscription(facts)];
  if (!site || !plan) {
    const asked = 'everything in the subscription';
    return [
      ...before,
      unknown('deployment', asked, 'Not asked: it takes a token of the tenant and a subscription.'),
    ];
  }
  const bench = { facts, site, plan, known };
  return [
    ...before,
    ...judgeGroup(bench),
    ...judgeProviders(bench),
    ...judgeImage(bench),
    ...judgeRights(bench),
    ...judgeRoles(bench),
    ...judgeNames(bench),
    ...judgeGiven(bench),
    ...judgeNetwork(bench),
    ...judgeMachine(bench),
    ...judgePublicIp(bench),
    ...judgeLocks(bench),
    ...judgeDenyAssignments(bench),
    ...plan.warnings.map((warning) =>
      warn('inbound', 'what `allow-inbound` opens', warning, author, [
        'Name the addresses that need it in `allow-inbound`.',
      ]),
    ),
  ];
}

// Findings

function ok(id: string, asked: string, answer: string): Finding {
  return { id, level: 'ok', asked, answer, who: '', fix: [] };
}

function unknown(id: string, asked: string, answer: string, who = '', fix: readonly string[] = []): Finding {
  return { id, level: 'unknown', asked, answer, who, fix };
}

function warn(id: string, asked: string, answer: string, who: string, fix: readonly string[]): Finding {
  return { id, level: 'warning', asked, answer, who, fix };
}

function fault(id: string, asked: string, answer: string, who: string, fix: readonly string[]): Finding {
  return { id, level: 'fault', asked, answer, who, fix };
}

/** The first of the causes that is an answer of Azure's. */
function faultIn(error: unknown): AzureFault | undefined {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (link instanceof AzureError) return link.fault;
  }
  return undefined;
}

function explanationIn(error: unknown): Failure['explanation'] {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (link instanceof Failure && link.explanation) return link.explanation;
  }
  return undefined;
}

/** A refusal that itself is the verdict: the deployment would meet it too. */
function refused(id: string, asked: string, refusal: unknown, known: Known): Finding {
  const azure = faultIn(refusal);
  const explanation = explanationIn(refusal) ?? (azure && explain(azure, known));
  const said = azure ? sayingOf(azure) : refusal instanceof Error ? refusal.message : String(refusal);
  const reference = azure?.correlationId ? [`Correlation ID: ${azure.correlationId}`] : [];
  if (!explanation) return fault(id, asked, said, author, reference);
  const repeated = said === '' || explanation.cause.includes(said);
  const answer = repeated ? explanation.cause : `${explanation.cause} (${said})`;
  return fault(id, asked, answer, explanation.who, explanation.fix);
}

function sayingOf(azure: AzureFault): string {
  const { code, message } = innermost(azure);
  return `${code || `HTTP ${azure.status}`}: ${message.split(/\r?\n/)[0] ?? ''}`;
}

/** A question that was not answered: with the right that is missing, where that is the reason. */
function unanswered(
  id: string,
  asked: string,
  refusal: unknown,
  right: { readonly action: string; readonly scope: string },
  known: Known,
): Finding {
  const azure = faultIn(refusal);
  if (azure?.status !== 403) {
    const said = azure ? sayingOf(azure) : refusal instanceof Error ? refusal.message : String(refusal);
    return unknown(id, asked, `Azure did not say: ${said}`);
  }
  const denied = /perform action '([^']+)' over scope '([^']+)'/.exec(azure.message);
  const action = denied?.[1] ?? right.action;
  const scope = denied?.[2]?.startsWith('/') ? denied[2] : right.scope;
  return unknown(
    id,
    asked,
    `The app may not ask: it lacks ${action} on ${scope}. A deployment does without.`,
    granter(action, scope, known),
    ['To have this checked as well, grant the right:', grant(action, right.scope, known)],
  );
}

/** Like `unanswered`, for what `create` reads before its first write: there a missing right ends the deployment. */
function unreadable(
  id: string,
  asked: string,
  refusal: unknown,
  resource: string,
  { facts, site, known }: Bench,
): Finding {
  const group = `/subscriptions/${site.subscriptionId}/resourceGroups/${facts.inputs.resourceGroup}`;
  const type = /\/providers\/([^/]+\/[^/]+)/i.exec(resource)?.[1] ?? 'Microsoft.Resources';
  const right = { action: `${type}/read`, scope: resource };
  if (faultIn(refusal)?.status !== 403) return unanswered(id, asked, refusal, right, known);
  // The same missing role; that finding has the fix.
  if ('refusal' in site.group && faultIn(site.group.refusal)?.status === 403) {
    return unknown(id, asked, `The app may not read resource group ${facts.inputs.resourceGroup}.`);
  }
  const answer = `The app may not read it: it lacks ${right.action} on ${resource}. A deployment reads it first, and fails without.`;
  return fault(id, asked, answer, granter(right.action, resource, known), [
    'Grant the right on the resource group:',
    // On the group, because the resource may not exist yet.
    grant(right.action, group, known),
    roleDelay,
  ]);
}

// Tenants, subscription, group

function judgeSignIn({ tenant, as, result }: SignIn, known: Known): Finding {
  const id = as === 'auxiliary' ? `sign-in/auxiliary/${tenant}` : `sign-in/${as}`;
  const input = { tenant: 'tenant-id', 'image-tenant': 'image-tenant-id', auxiliary: 'auxiliary-tenant-ids' };
  const asked = `a token of tenant ${tenant} (\`${input[as]}\`) for app ${known.clientId}`;
  if ('refusal' in result) return refused(id, asked, result.refusal, known);
  const { objectId } = result.value;
  return ok(
    id,
    asked,
    objectId
      ? `Signed in as service principal ${objectId}.`
      : 'Signed in; as which service principal the token does not say.',
  );
}

/** https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states */
const readOnlyStates = new Set(['Disabled', 'Warned', 'Expired', 'Deleted']);

function judgeSubscription({ subscription, inputs, situation }: Facts): Finding[] {
  if (!subscription) return [];
  const known = withPlaceholders(situation);
  const asked = `subscription ${inputs.subscriptionId ?? 'to deploy to (`subscription-id` is not given)'}`;
  if ('refusal' in subscription) {
    const right = {
      action: 'Microsoft.Resources/subscriptions/read',
      scope: `/subscriptions/${inputs.subscriptionId ?? ''}`,
    };
    return [
      faultIn(subscription.refusal)?.status === 403
        ? unanswered('subscription', asked, subscription.refusal, right, known)
        : refused('subscription', asked, subscription.refusal, known),
    ];
  }
  const { displayName, subscriptionId, state } = subscription.value;
  const name = `${displayName} (${subscriptionId})`;
  if (readOnlyStates.has(state)) {
    return [
      fault(
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
      warn(
        'subscription',
        asked,
        `${name} is past due: it will be disabled unless the bill is paid.`,
        `the owner of subscription ${subscriptionId}`,
        ['https://learn.microsoft.com/azure/cost-management-billing/manage/resolve-past-due-balance'],
      ),
    ];
  }
  return [ok('subscription', asked, `${name} is ${state}.`)];
}

function judgeGroup({ facts: { inputs }, site, known }: Bench): Finding[] {
  const id = 'resource-group';
  const asked = `resource group ${inputs.resourceGroup}`;
  if ('refusal' in site.group) return [refused(id, asked, site.group.refusal, known)];
  const { location, exists } = site.group.value;
  return [
    ok(
      id,
      asked,
      exists
        ? `It is there; the deployment goes to ${location}.`
        : `It does not exist, and will be created in ${location}.`,
    ),
  ];
}

/** A group that is yet to be made has no locks and no deny assignments. */
function isMissing(group: SiteFacts['group']): boolean {
  return 'value' in group && !group.value.exists;
}

function judgeProviders({ site, known }: Bench): Finding[] {
  return site.providers.map(({ namespace, state }) => {
    const id = `provider/${namespace}`;
    const asked = `resource provider ${namespace} in the subscription`;
    const command = `az provider register --namespace ${namespace} --subscription ${known.subscriptionId} --wait`;
    const owner = `the owner of subscription ${known.subscriptionId}`;
    if ('refusal' in state) {
      const right = {
        action: 'Microsoft.Resources/subscriptions/providers/read',
        scope: `/subscriptions/${site.subscriptionId}`,
      };
      return unanswered(id, asked, state.refusal, right, known);
    }
    if (state.value === 'Registered') return ok(id, asked, 'Registered.');
    if (state.value === 'Registering') {
      return warn(id, asked, 'Being registered; that takes a minute or two.', owner, [
        'Wait for its end:',
        command,
      ]);
    }
    return fault(id, asked, `${state.value}: Azure refuses to make anything of its kind.`, owner, [
      'Register it once per subscription (it takes a minute or two):',
      command,
    ]);
  });
}

// Image

function judgeImage({ facts, site, known }: Bench): Finding[] {
  const { inputs } = facts;
  const asked = `image ${inputs.image.id}`;
  if (!site.image) {
    const signedIn = facts.signIns.every(({ as, result }) => as !== 'image-tenant' || 'value' in result);
    const why = signedIn ? 'the region is not known' : 'there is no token of the image tenant';
    return [unknown('image', asked, `Not asked: ${why}.`)];
  }
  if ('refusal' in site.image) return [refused('image', asked, site.image.refusal, known)];
  const { facts: image, unusable, unread } = site.image.value;
  const findings: Finding[] = [];
  if (!unusable) {
    const generation = image.generation ? `, generation ${image.generation.replace('V', '')}` : '';
    findings.push(
      ok(
        'image',
        asked,
        `Version ${image.version} can be used: ${image.osType}, ${image.osState}, ${image.architecture}${generation}.`,
      ),
    );
  } else {
    const refusal = refused('image', asked, unusable.refusal, known);
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
        : `/subscriptions/${site.subscriptionId}`,
    };
    const what =
      'generation, processor, security type and plan of the image, and whether it is specialized, which its definition names';
    findings.push(unanswered('image/definition', what, unread, right, known));
  }
  findings.push(
    ...image.warnings.map((warning) =>
      warn('image/end-of-life', 'the end of life of the image', warning, 'the owner of the gallery', [
        'Deploy a newer version or another image (`image-id`).',
      ]),
    ),
    ...adminFaults(inputs, image.osState === 'Specialized' ? undefined : image.osType).map(
      ({ input, message }) =>
        fault(`input/${input}`, `\`${input}\` under the rules for ${image.osType}`, message, author, [
          `Correct \`${input}\`.`,
        ]),
    ),
  );
  const security = securityMisfit(image, inputs.securityType ?? image.securityType);
  if (isReshaped(inputs)) {
    findings.push(
      unknown(
        'overrides',
        'what `overrides` makes of the machine',
        'Not judged: only Azure can tell, when it is created.',
      ),
    );
  } else if (security) {
    findings.push(
      fault('security-type', 'the security type that the image allows', security, author, [
        'Leave `security-type` out to have the one that the image definition names, or use another image.',
      ]),
    );
  }
  if (image.plan && site.terms) findings.push(judgeTerms(image.plan, site.terms, known));
  return findings;
}

function judgeTerms(
  { publisher, product, name }: NonNullable<ImageLook['facts']['plan']>,
  terms: Asked<boolean>,
  known: Known,
): Finding {
  const asked = `Marketplace terms of plan ${publisher}/${product}/${name} in the subscription`;
  if ('refusal' in terms) {
    const right = {
      action: 'Microsoft.MarketplaceOrdering/offertypes/publishers/offers/plans/agreements/read',
      scope: `/subscriptions/${known.subscriptionId}`,
    };
    return unanswered('terms', asked, terms.refusal, right, known);
  }
  if (terms.value) return ok('terms', asked, 'Accepted.');
  const who = `the owner of subscription ${known.subscriptionId}, in the VM's tenant (${known.tenantId})`;
  return fault('terms', asked, 'Not accepted: Azure refuses machines from this image.', who, [
    'Read and accept them, once per subscription:',
    `az vm image terms accept --subscription ${known.subscriptionId} --publisher ${shell(publisher)} --offer ${shell(product)} --plan ${shell(name)}`,
  ]);
}

// Rights

const permissionsRead = 'Microsoft.Authorization/permissions/read';

function judgeRights({ site, known }: Bench): Finding[] {
  return site.rights.map(({ right, permissions }) => {
    const { id, scope, actions, why, weight } = right;
    const asked = `rights on ${scope} for ${why}`;
    if ('refusal' in permissions) {
      const toAsk = { action: permissionsRead, scope };
      return unanswered(id, asked, permissions.refusal, toAsk, known);
    }
    const denied = actions.filter((action) => allows(permissions.value, action) === 'denied');
    const conditional = actions.filter((action) => allows(permissions.value, action) === 'conditional');
    if (denied.length > 0) {
      const grants = [...new Set(denied.map((action) => grant(action, scope, known)))];
      const without = { needed: 'fault', 'for clean-up': 'warning', 'for reruns': 'warning' } as const;
      return {
        id,
        level: weight === 'for checking' ? 'unknown' : without[weight],
        asked,
        answer: `Missing: ${denied.join(', ')}.`,
        who: granter(denied[0] ?? '', scope, known),
        fix: ['Grant the role, or a custom role with just these actions:', ...grants, roleDelay],
      };
    }
    if (conditional.length > 0) return underCondition(id, asked, conditional, permissions.value);
    return ok(id, asked, `All are there: ${actions.join(', ')}.`);
  });
}

/** Conditions are a language of their own, which Azure alone evaluates at each request. */
function underCondition(
  id: string,
  asked: string,
  actions: readonly string[],
  permissions: readonly Permission[],
): Finding {
  const conditions = permissions
    .filter((permission) => actions.some((action) => allows([permission], action) === 'conditional'))
    .map(({ condition }) => condition ?? '');
  return unknown(
    id,
    asked,
    `Granted under a condition, which only Azure can evaluate: ${actions.join(', ')}.`,
    author,
    [`Read whether it allows what the inputs ask for: ${[...new Set(conditions)].join(' — ')}`],
  );
}

const roleWrite = 'Microsoft.Authorization/roleAssignments/write';

function judgeRoles({ site, facts, known }: Bench): Finding[] {
  return site.roles.flatMap(({ request, scope, survey, permissions }, index) => {
    const id = `role-assignment/${index + 1}`;
    const asked = `whether the app may grant ${request}`;
    if ('refusal' in survey) {
      const about = faultIn(survey.refusal);
      // A given identity that is not there is told once, where it is given.
      const told =
        about?.status === 404 && facts.inputs.identity.given.some((one) => sameId(one.id, about.url));
      return told ? [] : [refused(id, asked, survey.refusal, known)];
    }
    if ('refusal' in permissions) {
      const toAsk = { action: permissionsRead, scope };
      return [unanswered(id, asked, permissions.refusal, toAsk, known)];
    }
    const verdict = allows(permissions.value, roleWrite);
    if (verdict === 'conditional') return [underCondition(id, asked, [roleWrite], permissions.value)];
    return [ok(id, asked, verdict === 'allowed' ? 'It may.' : 'It is granted already.')];
  });
}

function judgeDenyAssignments({ facts: { inputs }, site, known }: Bench): Finding[] {
  if (isMissing(site.group)) return [];
  const id = 'deny-assignments';
  const scope = `/subscriptions/${site.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
  const asked = `deny assignments on resource group ${inputs.resourceGroup}`;
  if ('refusal' in site.denyAssignments) {
    const right = { action: 'Microsoft.Authorization/denyAssignments/read', scope };
    return [unanswered(id, asked, site.denyAssignments.refusal, right, known)];
  }
  const needed = site.rights
    .filter(({ right }) => right.weight === 'needed' && right.scope.toLowerCase() === scope.toLowerCase())
    .flatMap(({ right }) => right.actions);
  const findings = site.denyAssignments.value.flatMap(({ properties }): Finding[] => {
    const { permissions = [], principals = [], excludePrincipals = [] } = properties;
    const blocked = needed.filter((action) =>
      permissions.some(
        ({ actions = [], notActions = [] }) =>
          actions.some((pattern) => covers(pattern, action)) &&
          !notActions.some((pattern) => covers(pattern, action)),
      ),
    );
    const ownId = site.objectId?.toLowerCase();
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
      return [unknown(id, asked, unnamed, who, fix)];
    }
    if (hitsUs && !viaGroups) return [fault(id, asked, `${answer}.`, who, fix)];
    return hitsUs || viaGroups
      ? [
          unknown(
            id,
            asked,
            `${answer}, for or except members of a group; whose members is not known.`,
            who,
            fix,
          ),
        ]
      : [];
  });
  return findings.length > 0 ? findings : [ok(id, asked, 'None that concerns the app.')];
}

/** "All principals" is written as the empty GUID. */
function isEverybody({ id }: { readonly id: string }): boolean {
  return /^[0-]+$/.test(id);
}

function judgeLocks(bench: Bench): Finding[] {
  const {
    facts: { inputs },
    site,
    known,
  } = bench;
  if (isMissing(site.group)) return [];
  const id = 'locks';
  const group = `/subscriptions/${site.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
  const asked = `locks on resource group ${inputs.resourceGroup}`;
  if ('refusal' in site.locks) {
    const right = { action: 'Microsoft.Authorization/locks/read', scope: group };
    return [unanswered(id, asked, site.locks.refusal, right, known)];
  }
  if (site.locks.value.length === 0) return [ok(id, asked, 'None.')];
  const own = ownIds(bench);
  const used = [...own, ...site.given.map((one) => one.id)];
  const findings = site.locks.value.flatMap((lock): Finding[] => {
    const scope = assignedScope(lock.id);
    const readOnly = lock.properties.level === 'ReadOnly';
    // What is given is never deleted, so that only a ReadOnly lock on it is in the way.
    const touched = readOnly ? used : own;
    if (!touched.some((one) => isWithin(one, scope) || isWithin(scope, one))) return [];
    const whole = isWithin(group, scope);
    const where = whole ? '' : ` on ${scope}`;
    const who = 'an Owner or User Access Administrator there';
    const fix = ['Take the lock away:', `az lock delete --ids ${shell(lock.id)}`];
    if (readOnly) {
      const effect = whole ? 'nothing can be created' : 'it can neither be changed nor joined';
      return [fault(id, asked, `Lock "${lock.name}"${where} is ReadOnly: ${effect}.`, who, fix)];
    }
    const what = whole ? 'nothing' : 'not all';
    return [
      inputs.cleanup === 'never'
        ? ok(id, asked, `Lock "${lock.name}"${where} forbids deleting only; \`cleanup\` is \`never\`.`)
        : warn(
            id,
            asked,
            `Lock "${lock.name}"${where} forbids deleting, so that ${what} can be cleaned up.`,
            who,
            fix,
          ),
    ];
  });
  return findings.length > 0 ? findings : [ok(id, asked, 'None that concerns the deployment.')];
}

/** IDs of what the deployment consists of, whether it is there or not. */
function ownIds({ plan, site }: Bench): readonly string[] {
  const { nic, nsg, publicIp, vnet, machine, identities } = plan;
  const made = [nic, nsg, publicIp].flatMap((part) => (part?.origin === 'made' ? [part.id] : []));
  const { machine: found } = site.existing;
  const { osDisk, dataDisks = [] } =
    (found && 'value' in found ? found.value?.storageProfile : undefined) ?? {};
  const disks = [osDisk, ...dataDisks].flatMap((disk) => disk?.managedDisk?.id ?? []);
  const planned = resourceId(
    plan.subscriptionId,
    plan.resourceGroup,
    'Microsoft.Compute/disks',
    machine.osDiskName,
  );
  return [
    machine.id,
    planned,
    ...disks,
    ...made,
    ...(vnet ? [vnet.id] : []),
    ...identities.map((one) => one.id),
  ];
}

/** Whether an ID is a scope or lies below it: a lock goes for all that is below its own. */
function isWithin(id: string, scope: string): boolean {
  return sameId(id, scope) || id.toLowerCase().startsWith(`${scope.toLowerCase()}/`);
}

// Names and given resources

const partTitles = {
  machine: 'virtual machine',
  nsg: 'network security group',
  vnet: 'virtual network',
  publicIp: 'public IP',
  nic: 'network interface',
  osDisk: 'disk',
} as const;

function judgeNames(bench: Bench): Finding[] {
  const { facts, site, known } = bench;
  const { inputs, run } = facts;
  const names = namesOf(inputs.vmName);
  const ids = idsOf(site.subscriptionId, inputs.resourceGroup, names);
  const looked = { ...site.existing, osDisk: site.osDisk };
  const { machine } = site.existing;
  const isThere = machine && 'value' in machine ? machine.value !== undefined : undefined;
  return Object.entries(looked).map(([key, found]) => {
    const part = key as keyof typeof partTitles;
    const what = `${partTitles[part]} ${names[part]}`;
    const id = `name/${partTitles[part].replaceAll(' ', '-').toLowerCase()}`;
    const asked = `whether the name of ${what} is free`;
    if ('refusal' in found) {
      // `create` does without the disk: Azure itself refuses a name that is taken.
      if (part !== 'osDisk') return unreadable(id, asked, found.refusal, ids[part], bench);
      const group = `/subscriptions/${site.subscriptionId}/resourceGroups/${inputs.resourceGroup}`;
      const right = { action: 'Microsoft.Compute/disks/read', scope: group };
      return unanswered(id, asked, found.refusal, right, known);
    }
    if (!found.value) return ok(id, asked, 'Free.');
    // Nobody asks about the disk of a machine that is there: it goes with that.
    if (part === 'osDisk' && isThere) return ok(id, asked, 'It is there, and so is its machine.');
    try {
      refuseForeign(what, ids[part], found.value.tags, inputs.vmName, run);
      if (part === 'osDisk' && isThere === false) refuseStrayDisk(found.value, ids.osDisk, inputs);
      return ok(id, asked, "It is there and is this deployment's.");
    } catch (refusal) {
      return refused(id, asked, refusal, known);
    }
  });
}

/** Of the parts that are this deployment's: about those that are not, `create` says no more than that. */
function judgeNetwork({ facts: { inputs, run }, site, plan }: Bench): Finding[] {
  const own = Object.entries(site.existing).flatMap(([part, found]) =>
    part !== 'machine' &&
    'value' in found &&
    found.value &&
    ownershipOf(found.value.tags, inputs.vmName, run) === 'ours'
      ? [[part, found.value] as const]
      : [],
  );
  if (own.length === 0) return [];
  const asked = `whether the network of deployment ${plan.deployment}, as far as it exists, is as asked for`;
  const { differences } = compareNetwork(Object.fromEntries(own), plan);
  return [judgeDifferences('rerun/network', asked, differences, plan, 'It is, and would be left as it is.')];
}

/** @param same the answer where there are none. */
function judgeDifferences(
  id: string,
  asked: string,
  differences: readonly Difference[],
  plan: Plan,
  same: string,
): Finding {
  if (differences.length === 0) return ok(id, asked, same);
  const lines = differences.map(
    ({ what, has, wanted }) => `${what}: it has ${has}, the inputs ask for ${wanted}`,
  );
  return fault(
    id,
    asked,
    `It is another one. ${lines.join('; ')}.`,
    author,
    differenceFix(plan, differences),
  );
}

const givenActions: Readonly<Record<Given['kind'], string>> = {
  subnet: 'Microsoft.Network/virtualNetworks/read',
  'network security group': 'Microsoft.Network/networkSecurityGroups/read',
  'public IP': 'Microsoft.Network/publicIPAddresses/read',
  'network interface': 'Microsoft.Network/networkInterfaces/read',
  identity: 'Microsoft.ManagedIdentity/userAssignedIdentities/read',
};

function judgeGiven({ site, plan, known }: Bench): Finding[] {
  return site.given.map(({ kind, id: resource, found }) => {
    const name = resource.split('/').at(-1) ?? '';
    const id = `given/${kind.toLowerCase().replaceAll(' ', '-')}${kind === 'identity' ? `/${name}` : ''}`;
    const asked = `${kind} ${resource}`;
    if ('refusal' in found) {
      const azure = faultIn(found.refusal);
      // `create` itself reads these two.
      const mustRead = kind === 'network interface' || kind === 'public IP';
      return azure?.status === 401 || (azure?.status === 403 && mustRead)
        ? refused(id, asked, found.refusal, known)
        : unanswered(id, asked, found.refusal, { action: givenActions[kind], scope: resource }, known);
    }
    if (!found.value) {
      return fault(id, asked, 'There is no such thing.', author, ['Correct the ID.']);
    }
    const { location, usedBy } = found.value;
    if (kind !== 'identity' && location && normaliseRegion(location) !== plan.location) {
      return fault(
        id,
        asked,
        `It is in ${normaliseRegion(location)}, and the machine goes to ${plan.location}: both must be in one region.`,
        author,
        [`Give \`location: ${normaliseRegion(location)}\`, or another ${kind} in ${plan.location}.`],
      );
    }
    const users = [plan.machine.id, plan.nic.id];
    if (
      usedBy &&
      !users.some((own) => sameId(own, usedBy) || usedBy.toLowerCase().startsWith(`${own.toLowerCase()}/`))
    ) {
      return fault(id, asked, `It is in use by ${usedBy}.`, author, [
        `Give another ${kind}, or free this one first; it can serve one machine only.`,
      ]);
    }
    const where = location ? ` in ${normaliseRegion(location)}` : '; its region could not be read';
    return ok(id, asked, `It is there${where}${usedBy ? ", used by this deployment's own" : ''}.`);
  });
}

// Sizes and quotas

/** What is wrong with one attempt at placing the machine. */
interface Problem {
  readonly id: string;
  readonly asked: string;
  readonly text: string;
  /** `create` goes on to the next attempt after quota and capacity; anything else ends it. */
  readonly ends: boolean;
  readonly who: string;
  readonly fix: readonly string[];
}

function judgeMachine(bench: Bench): Finding[] {
  const { machine } = bench.site.existing;
  const existing = machine && 'value' in machine ? machine.value : undefined;
  if (!existing) return judgeSizes(bench);
  const { inputs, run } = bench.facts;
  return ownershipOf(existing.tags, inputs.vmName, run) === 'ours' ? judgeRerun(bench, existing) : [];
}

function judgeSizes(bench: Bench): Finding[] {
  const { facts, site, plan, known } = bench;
  const imageRead = site.image && 'value' in site.image;
  if (!imageRead && facts.inputs.sizes.length === 0) {
    return [
      unknown(
        'size',
        'the size',
        'Not asked: the default size depends on the image, which could not be read.',
      ),
    ];
  }
  const { attempts } = plan.machine;
  const sizes = [...new Set(attempts.map(({ size }) => size))];
  const problems = attempts.map((attempt) => problemsOf(bench, attempt));
  const levels = levelsOf(problems);
  const findings: Finding[] = [];
  if (!site.skus) {
    findings.push(unknown('size', 'the sizes', 'Not asked: the region is not known.'));
  } else if ('refusal' in site.skus) {
    const right = { action: 'Microsoft.Compute/skus/read', scope: `/subscriptions/${site.subscriptionId}` };
    findings.push(
      unanswered(
        'size',
        `whether ${sizes.join(', ')} can be had in ${plan.location}`,
        site.skus.refusal,
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
    ...sizesThatFit(bench, sizes).filter(({ id }) => !troubled.has(id)),
    ...judgeQuota(bench, sizes).filter(({ id }) => !troubled.has(id)),
    ...sizes.flatMap((size) => {
      const end = retirementOf(size);
      const asked = `the retirement of size ${size}`;
      return end
        ? [
            warn(
              `retirement/${size}`,
              asked,
              `Azure retires ${size} on ${end}; capacity gets scarce before that.`,
              author,
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
function levelsOf(problems: readonly (readonly Problem[])[]): ('fault' | 'warning')[] {
  const usable = problems.findIndex((list) => list.length === 0);
  return problems.map((list, index) => {
    if (usable < 0) return 'fault';
    return index < usable && list.some(({ ends }) => ends) ? 'fault' : 'warning';
  });
}

/** What `create` makes of a machine that is there: it is left as it is, made anew, or stands in the way. */
function judgeRerun(bench: Bench, machine: VirtualMachine): Finding[] {
  const {
    facts: { inputs },
    site: { fate, image },
    plan,
    known,
  } = bench;
  const id = 'rerun';
  const asked = `whether virtual machine ${plan.machine.name}, which exists, is as asked for`;
  const state = provisioningStateOf(machine);
  if (state === 'Deleting') {
    const answer = 'It is being deleted: the end of that would be waited for, and the machine made anew.';
    return [ok(id, asked, answer), ...judgeSizes(bench)];
  }
  if (hasFailed(machine) && fate) {
    if ('refusal' in fate) return [unreadable(id, asked, fate.refusal, plan.machine.id, bench)];
    try {
      refuseFailed(machine, fate.value, inputs);
    } catch (refusal) {
      return [refused(id, asked, refusal, known)];
    }
    const answer = `An earlier run could not place it (${fate.value.fault.fault.code}): it would be removed and made anew.`;
    return [ok(id, asked, answer), ...judgeSizes(bench)];
  }
  if (!image || !('value' in image) || image.value.unusable) return [];
  const { differences, addedIdentities } = compare(machine, plan, image.value.facts, inputs);
  const same = hasSucceeded(machine)
    ? 'It is, and would be left as it is.'
    : `It is. Its state is ${state}: the end of that would be waited for.`;
  const besides = addedIdentities.length > 0 ? [tellAdded(addedIdentities)] : [];
  return [judgeDifferences(id, asked, differences, plan, [same, ...besides].join(' '))];
}

function skuOf({ site }: Bench, size: string): Sku | undefined {
  if (!site.skus || 'refusal' in site.skus) return undefined;
  return site.skus.value.find(
    ({ resourceType, name }) =>
      resourceType === 'virtualMachines' && name?.toLowerCase() === size.toLowerCase(),
  );
}

function sizeFix({ plan, known }: Bench, size: string): readonly string[] {
  const series = /^Standard_[A-Z]+\d+/i.exec(size)?.[0] ?? size;
  return [
    'Give another size in `vm-size`, or several: the first that can be had is taken. What the region offers:',
    `az vm list-skus --subscription ${known.subscriptionId} -l ${plan.location} --size ${shell(series)} --all -o table`,
  ];
}

function problemsOf(bench: Bench, { size, zone }: Attempt): Problem[] {
  const {
    facts: { inputs },
    site,
    plan,
  } = bench;
  const id = `size/${size}`;
  const asked = `size ${size} in ${plan.location}${inputs.zones.length > 0 ? `, zone ${inputs.zones.join(', ')}` : ''}`;
  const problem = (text: string, ends: boolean): Problem => ({
    id,
    asked,
    text,
    ends,
    who: author,
    fix: sizeFix(bench, size),
  });
  const sku = skuOf(bench, size);
  if (site.skus && 'value' in site.skus && !sku) {
    return [problem(`There is no size ${size} in ${plan.location}.`, false)];
  }
  const found: Problem[] = [];
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
    found.push(...quotaProblems(bench, size, sku));
  }
  const image = site.image && 'value' in site.image ? site.image.value.facts : undefined;
  if (image && !isReshaped(inputs)) {
    const abilities = sku ? abilitiesOfSku(sku) : abilitiesOfName(size);
    found.push(
      ...misfits(abilities, image, demandsOf(inputs, image)).map((text) => problem(`${size} ${text}.`, true)),
    );
  }
  return found;
}

function sizesThatFit(bench: Bench, sizes: readonly string[]): Finding[] {
  const { facts, site, plan } = bench;
  const image = site.image && 'value' in site.image ? site.image.value.facts : undefined;
  // Only what `misfits` has compared: it needs the image definition, and a VM that `overrides` do not change.
  const isCompared = image?.generation !== undefined && !isReshaped(facts.inputs);
  const boots = isCompared ? ' The image boots on it.' : ' Not compared with the image.';
  return sizes.flatMap((size) => {
    const sku = skuOf(bench, size);
    if (!sku) return [];
    const zones = (sku.locationInfo?.flatMap(({ zones = [] }) => zones) ?? []).toSorted();
    const where = zones.length > 0 ? `${plan.location}, zones ${zones.join(', ')}` : plan.location;
    const answer = `Offered in ${where}: ${capability(sku, 'vCPUs') ?? '?'} vCPUs, ${capability(sku, 'MemoryGB') ?? '?'} GiB.${boots}`;
    return [ok(`size/${size}`, `size ${size} in ${plan.location}`, answer)];
  });
}

/** The quotas that a size counts against: Spot machines have one of their own for all families. */
function quotasOf({ facts: { inputs } }: Bench, sku: Sku): readonly string[] {
  return inputs.spot ? ['lowPriorityCores'] : ['cores', ...(sku.family ? [sku.family] : [])];
}

function usageOf(usages: Asked<readonly Usage[]> | undefined, name: string): Usage | undefined {
  if (!usages || 'refusal' in usages) return undefined;
  return usages.value.find((usage) => usage.name.value?.toLowerCase() === name.toLowerCase());
}

function quotaProblems(bench: Bench, size: string, sku: Sku): Problem[] {
  const { site, plan, known } = bench;
  const cores = Number(capability(sku, 'vCPUs') ?? Number.NaN);
  return quotasOf(bench, sku).flatMap((name): Problem[] => {
    const usage = usageOf(site.computeUsages, name);
    if (!usage || !(usage.limit - usage.currentValue < cores)) return [];
    const title = usage.name.localizedValue ?? name;
    return [
      {
        id: `quota/${name}`,
        asked: `quota "${title}" in ${plan.location}`,
        text: `${usage.currentValue} of ${usage.limit} are in use, and ${size} takes ${cores}.`,
        ends: false,
        who: `the owner of subscription ${known.subscriptionId}`,
        fix: quotaFix(bench),
      },
    ];
  });
}

function quotaFix({ plan, known }: Bench): readonly string[] {
  return [
    'Delete what is not needed, use another size or `location`, or ask for more:',
    `az vm list-usage --subscription ${known.subscriptionId} -l ${plan.location} -o table`,
    `${known.portal}/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas`,
  ];
}

function judgeQuota(bench: Bench, sizes: readonly string[]): Finding[] {
  const { site, plan, known } = bench;
  const asked = `quota of cores in ${plan.location}`;
  if (!site.computeUsages) return [];
  if ('refusal' in site.computeUsages) {
    const right = {
      action: 'Microsoft.Compute/locations/usages/read',
      scope: `/subscriptions/${site.subscriptionId}`,
    };
    return [unanswered('quota', asked, site.computeUsages.refusal, right, known)];
  }
  const skus = sizes.flatMap((size) => skuOf(bench, size) ?? []);
  const names = [...new Set(skus.flatMap((sku) => quotasOf(bench, sku)))];
  return names.flatMap((name) => {
    const usage = usageOf(site.computeUsages, name);
    if (!usage) return [];
    const title = usage.name.localizedValue ?? name;
    return [
      ok(
        `quota/${name}`,
        `quota "${title}" in ${plan.location}`,
        `${usage.limit - usage.currentValue} of ${usage.limit} are free.`,
      ),
    ];
  });
}

function judgePublicIp(bench: Bench): Finding[] {
  const { site, plan, known, facts } = bench;
  if (plan.publicIp?.origin !== 'made') return [];
  const there = site.existing.publicIp;
  if (there && 'value' in there && there.value) return [];
  const scope = `/subscriptions/${site.subscriptionId}`;
  const findings: Finding[] = [];
  if (site.networkUsages) {
    const id = 'quota/public-ip';
    const asked = `quota of public IPs in ${plan.location}`;
    if ('refusal' in site.networkUsages) {
      const right = { action: 'Microsoft.Network/locations/usages/read', scope };
      findings.push(unanswered(id, asked, site.networkUsages.refusal, right, known));
    } else {
      const usages = ['StandardSkuPublicIpAddresses', 'PublicIPAddresses'].flatMap(
        (name) => usageOf(site.networkUsages, name) ?? [],
      );
      const full = usages.find(({ limit, currentValue }) => limit - currentValue < 1);
      const [least] = usages;
      findings.push(
        full
          ? fault(
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
          : ok(
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
  if (label && site.dnsLabelFree) {
    const id = 'name/dns-label';
    const asked = `whether DNS label ${label} is free in ${plan.location}`;
    if ('refusal' in site.dnsLabelFree) {
      const right = { action: 'Microsoft.Network/locations/checkDnsNameAvailability/read', scope };
      findings.push(unanswered(id, asked, site.dnsLabelFree.refusal, right, known));
    } else {
      findings.push(
        site.dnsLabelFree.value
          ? ok(id, asked, 'Free.')
          : fault(id, asked, 'Taken: labels are unique in a region.', author, ['Give another `dns-label`.']),
      );
    }
  }
  return findings;
}
