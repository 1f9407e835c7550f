import type { Usage as ComputeUsage } from '@azure/arm-compute';
import { requiredPermissions, type Permission } from '../access/required-permissions.ts';
import { listPermissions, resolveAccess } from '../access/resolve-access.ts';
import type { CheckSession, SessionOptions } from '../auth/session.ts';
import { apiVersions } from '../azure/api-versions.ts';
import { type Session, listAllPages } from '../azure/arm-client.ts';
import { type Result, settle, undefinedIfNotFound, valueOf } from '../azure/lookup.ts';
import { type ResourceGroup, readResourceGroup } from '../azure/subscriptions.ts';
import { existingResourceQueries, resourceNames } from '../deployment/resources.ts';
import type { ErrorContext } from '../errors/errors.ts';
import { type ResolvedImage, inspectImage } from '../image/image.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { asObject, flattenProperties } from '../lib/json.ts';
import type { WorkflowRun } from '../runner/environment.ts';
import { isFailedState, readProvisioningFailure } from '../vm/vm-status.ts';
import {
  type ExistingResults,
  type collectPolicyDenials,
  type collectSpotPrices,
  collectReferenced,
  readAddressAvailability,
} from './collect-resources.ts';

export interface CheckContext extends Omit<SessionOptions, 'patches'> {
  readonly run: WorkflowRun;
  /** What is known so far for filling in explanations. */
  readonly errorContext: () => ErrorContext;
}

/** Asks Azure everything in parallel and writes nothing; each failed request becomes a value. */
export async function collectFacts(
  { signIns, subscription, session, imageCompute }: CheckSession,
  inputs: DeployInputs,
  context: CheckContext,
) {
  const target = valueOf(signIns.find(({ role }) => role === 'tenant')?.result);
  const { run, signal, log } = context;
  const images = session && imageCompute && { imageCompute, compute: session.compute, signal, onWaiting: log.info };
  const subscriptionFacts =
    session && target && (await collectSubscriptionFacts(session, inputs, target.objectId, images));
  const group = valueOf(subscriptionFacts?.group);
  if (group) context.onContext({ location: group.location });
  return { inputs, run, errorContext: context.errorContext(), signIns, subscription, subscriptionFacts };
}

/** Asks once the region is known; not at all if it never is. */
type InRegion = <T>(question: (region: string) => Promise<T>) => Promise<Result<T> | undefined>;

/**
 * Answers from the target subscription. They are undefined if the question does not apply to the inputs, or if it is about
 * a region and none is known.
 */
export type SubscriptionFacts = Awaited<ReturnType<typeof collectSubscriptionFacts>> & {
  readonly policyDenials?: Awaited<ReturnType<typeof collectPolicyDenials>>;
  readonly spotPrices?: Awaited<ReturnType<typeof collectSpotPrices>>;
};

export type Usage = Pick<ComputeUsage, 'name' | 'currentValue' | 'limit'>;

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

/** What the app may do at a scope; each scope is read once. */
type PermissionsAt = (scope: string) => Promise<Result<readonly Permission[]>>;

async function collectSubscriptionFacts(
  session: Session,
  inputs: DeployInputs,
  objectId: string | undefined,
  images: Parameters<typeof inspectImage>[0] | undefined,
) {
  const { compute, subscriptionId } = session;
  const group = settle(() => readResourceGroup(session, inputs));
  const inRegion: InRegion = async (question) => {
    const region = valueOf(await group)?.location ?? inputs.location;
    return region === undefined ? undefined : settle(() => question(region));
  };
  const permissionsAt = createPermissionReader(session);
  const existing = collectExisting(session, inputs);
  const image = images && inRegion((region) => inspectImage(images, inputs, Promise.resolve(region)));
  const vm = existing.then((found) => ({ vm: valueOf(found.vm) }));
  return awaitProperties({
    subscriptionId,
    objectId,
    group,
    existing,
    provisioningFailure: vm.then((found) =>
      found.vm && isFailedState(found.vm)
        ? settle(() => readProvisioningFailure(session, { ...inputs, vm: { name: inputs.vmName } }))
        : undefined,
    ),
    osDisk: settle(() =>
      undefinedIfNotFound(compute.disks.get(inputs.resourceGroup, resourceNames(inputs.vmName).osDisk)),
    ),
    referenced: collectReferenced(session, inputs),
    permissions: group.then((answer) => collectPermissions(inputs, subscriptionId, answer, permissionsAt)),
    privateAddressFree: readAddressAvailability(session, inputs),
    roles: collectRoles(session, inputs, vm, permissionsAt),
    ...collectRestrictions(session, inputs),
    ...collectRegionalFacts(session, inputs, inRegion),
    image,
    terms: image?.then((answer) => {
      const plan = valueOf(answer)?.facts.plan;
      return plan && readTerms(session, plan);
    }),
  });
}

async function awaitProperties<T extends object>(fields: T) {
  const entries = Object.entries(fields).map(async ([key, value]) => [key, await value] as const);
  return Object.fromEntries(await Promise.all(entries)) as { readonly [Key in keyof T]: Awaited<T[Key]> };
}

function collectExisting(session: Session, inputs: DeployInputs): Promise<ExistingResults> {
  const queries = existingResourceQueries(session, inputs);
  const found = Object.entries(queries).map(([part, query]) => [part, settle<unknown>(query)] as const);
  return awaitProperties(Object.fromEntries(found));
}

function createPermissionReader({ arm }: Session): PermissionsAt {
  const answers = new Map<string, ReturnType<PermissionsAt>>();
  return (scope) => {
    const key = scope.toLowerCase();
    const answer = answers.get(key) ?? settle(() => listPermissions(arm, scope));
    answers.set(key, answer);
    return answer;
  };
}

async function collectPermissions(
  inputs: DeployInputs,
  subscriptionId: string,
  group: Result<ResourceGroup>,
  permissionsAt: PermissionsAt,
) {
  const groupExists = 'error' in group || group.value.exists;
  const all = requiredPermissions(inputs, { subscriptionId, groupExists });
  return Promise.all(all.map(async (required) => ({ required, held: await permissionsAt(required.scope) })));
}

function collectRoles(
  session: Session,
  inputs: DeployInputs,
  vm: Parameters<typeof resolveAccess>[2],
  permissionsAt: PermissionsAt,
) {
  return Promise.all(
    inputs.roleAssignments.map((request) =>
      awaitProperties({
        request: `${request.role} on ${request.scope}`,
        scope: request.scope,
        // An error if `create` would refuse the role assignment before its first write.
        resolved: settle<unknown>(() => resolveAccess(session, { ...inputs, roleAssignments: [request] }, vm)),
        held: permissionsAt(request.scope),
      }),
    ),
  );
}

/** What an administrator has set on the subscription or the group. */
function collectRestrictions(session: Session, inputs: DeployInputs) {
  const { arm, subscriptionId } = session;
  const subscription = `/subscriptions/${subscriptionId}`;
  const feature = `${subscription}/providers/Microsoft.Features/providers/Microsoft.Compute/features/EncryptionAtHost`;
  const authorization = `${subscription}/resourceGroups/${inputs.resourceGroup}/providers/Microsoft.Authorization`;
  const namespaces = [
    'Microsoft.Compute',
    'Microsoft.Network',
    ...(inputs.identity.named.length > 0 ? ['Microsoft.ManagedIdentity'] : []),
  ];
  return {
    providers: Promise.all(
      namespaces.map(async (namespace) => {
        const path = `${subscription}/providers/${namespace}`;
        return { namespace, state: await readField<string>(session, path, apiVersions.providers, 'registrationState') };
      }),
    ),
    encryptionAtHost: inputs.encryptionAtHost
      ? readField<string>(session, feature, apiVersions.features, 'state')
      : undefined,
    locks: settle(() => listAllPages<Lock>(arm, `${authorization}/locks`, apiVersions.locks)),
    denyAssignments: settle(() =>
      listAllPages<DenyAssignment>(arm, `${authorization}/denyAssignments`, apiVersions.denyAssignments),
    ),
  };
}

function collectRegionalFacts({ compute, network }: Session, { network: choice }: DeployInputs, inRegion: InRegion) {
  const dnsLabel = choice.kind === 'new-nic' && choice.publicIp.kind === 'new' ? choice.publicIp.dnsLabel : undefined;
  return {
    skus: inRegion((region) => Array.fromAsync(compute.resourceSkus.list({ filter: `location eq '${region}'` }))),
    computeUsages: inRegion((region) => Array.fromAsync<Usage>(compute.usage.list(region))),
    networkUsages: inRegion((region) => Array.fromAsync<Usage>(network.usages.list(region))),
    dnsLabelFree: dnsLabel
      ? inRegion(async (region) => (await network.checkDnsNameAvailability(region, dnsLabel)).available === true)
      : undefined,
  };
}

function readTerms(session: Session, { publisher, product, name }: NonNullable<ResolvedImage['plan']>) {
  const plan = ['publishers', publisher, 'offers', product, 'plans', name].map(encodeURIComponent).join('/');
  const path = `/subscriptions/${session.subscriptionId}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/${plan}/agreements/current`;
  return readField<boolean>(session, path, apiVersions.marketplaceTerms, 'accepted');
}

/** A field of an answer or of its `properties`, if it is there. */
function readField<T>({ arm }: Session, path: string, api: string, field: string): Promise<Result<T | undefined>> {
  return settle(async () => asObject(flattenProperties(await arm('GET', path, api)))[field] as T | undefined);
}
