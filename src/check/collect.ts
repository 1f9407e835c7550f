import { apiVersions } from '../azure/api-versions.ts';
import { requiredPermissions } from '../access/required-permissions.ts';
import { resolveAccess } from '../access/resolve-access.ts';
import type { CheckSession, SessionOptions } from '../auth/session.ts';
import { listAllPages, type Session } from '../azure/arm-client.ts';
import { type Result, settle, undefinedIfNotFound } from '../azure/lookup.ts';
import type { Permission } from '../azure/permissions.ts';
import type { ResourceId } from '../azure/resource-id.ts';
import { readResourceGroup } from '../azure/subscriptions.ts';
import { type ExistingResources, existingResourceQueries, resourceNames } from '../deployment/resources.ts';
import type { ErrorContext } from '../errors/action-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import { inspectImage } from '../image/resolve-image.ts';
import type { DeployInputs, RoleRequest } from '../inputs/inputs.ts';
import type { WorkflowRun } from '../runner/github-context.ts';
import type { Reporter } from '../summary/reporter.ts';
import { isFailedState, readProvisioningFailure } from '../vm/vm-status.ts';
import type { CheckFacts, DenyAssignment, Lock, ReferencedResource, SubscriptionFacts } from './facts.ts';

export interface CheckContext extends Omit<SessionOptions, 'log' | 'patches'> {
  readonly report: Reporter;
  readonly run: WorkflowRun;
  /** What the inputs say and has been learned since, to fill in explanations with. */
  readonly situation: () => ErrorContext;
}

/** Asks everything side by side; each refusal becomes a value. */
export async function collectFacts(
  session: CheckSession,
  inputs: DeployInputs,
  context: CheckContext,
): Promise<CheckFacts> {
  const { signIns, subscription } = session;
  const own = signIns.find(({ role }) => role === 'tenant')?.result;
  const subscriptionFacts =
    session.session && own && 'value' in own
      ? await collectSubscriptionFacts(session, session.session, own.value.objectId, inputs, context)
      : undefined;
  if (subscriptionFacts && 'value' in subscriptionFacts.group)
    context.onContext({ location: subscriptionFacts.group.value.location });
  return {
    inputs,
    run: context.run,
    situation: context.situation(),
    signIns,
    ...(subscription ? { subscription } : {}),
    ...(subscriptionFacts ? { subscriptionFacts } : {}),
  };
}

const authorizationPath = '/providers/Microsoft.Authorization';

async function collectSubscriptionFacts(
  { imageCompute }: CheckSession,
  session: Session,
  objectId: string | undefined,
  inputs: DeployInputs,
  context: CheckContext,
): Promise<SubscriptionFacts> {
  const { arm, compute, network, subscriptionId, waiting } = session;
  const subscription = `/subscriptions/${subscriptionId}`;
  const ofGroup = (what: string) =>
    `${subscription}/resourceGroups/${inputs.resourceGroup}${authorizationPath}/${what}`;
  const group = settle(() => readResourceGroup(session, inputs));
  /** Asks what needs the region as soon as that is known; not at all if it never is. */
  const inRegion = async <T>(question: (region: string) => Promise<T>): Promise<Result<T> | undefined> => {
    const answer = await group;
    const region = 'value' in answer ? answer.value.location : inputs.location;
    return region === undefined ? undefined : settle(() => question(region));
  };
  const names = resourceNames(inputs.vmName);
  const parts = Object.entries(existingResourceQueries(session, inputs, names)).map(
    async ([part, lookUp]) => {
      const found = await settle<ExistingResources[keyof ExistingResources]>(lookUp);
      return [part, found] as const;
    },
  );
  const existing = Promise.all(parts).then(
    (found) => Object.fromEntries(found) as SubscriptionFacts['existing'],
  );
  const survey = existing.then(({ vm }) => (vm && 'value' in vm && vm.value ? { vm: vm.value } : {}));
  const fate = existing.then(({ vm }) => {
    const failed = vm && 'value' in vm && vm.value && isFailedState(vm.value);
    const place = { resourceGroup: inputs.resourceGroup, vm: { name: inputs.vmName } };
    return failed ? settle(() => readProvisioningFailure(session, place)) : undefined;
  });
  const image =
    imageCompute &&
    inRegion((region) =>
      inspectImage(
        { imageCompute, compute, signal: waiting.signal, onWaiting: context.report.log.info },
        inputs,
        Promise.resolve(region),
      ),
    );
  const dnsLabel = plannedDnsLabel(inputs);
  const permissions = permissionsAt(session);
  return awaitProperties<SubscriptionFacts>({
    subscriptionId,
    objectId,
    group,
    existing,
    fate,
    osDisk: settle(() => undefinedIfNotFound(compute.disks.get(inputs.resourceGroup, names.osDisk))),
    given: Promise.all(referencedIds(inputs).map((one) => readReferenced(session, one))),
    rights: group.then((answer) => collectPermissions(inputs, subscriptionId, answer, permissions)),
    roles: Promise.all(
      inputs.roleAssignments.map((request) =>
        awaitProperties<SubscriptionFacts['roles'][number]>({
          request: permissionScopeTitle(request),
          scope: request.scope,
          survey: settle(() => resolveAccess(session, { ...inputs, roleAssignments: [request] }, survey)),
          permissions: permissions(request.scope),
        }),
      ),
    ),
    providers: Promise.all(
      requiredNamespaces(inputs).map((namespace) =>
        awaitProperties<SubscriptionFacts['providers'][number]>({
          namespace,
          state: settle(() => readRegistration(session, namespace)),
        }),
      ),
    ),
    locks: settle(() => listAllPages<Lock>(arm, ofGroup('locks'), apiVersions.locks)),
    denyAssignments: settle(() =>
      listAllPages<DenyAssignment>(arm, ofGroup('denyAssignments'), apiVersions.denyAssignments),
    ),
    skus: inRegion((region) => collectAll(compute.resourceSkus.list({ filter: `location eq '${region}'` }))),
    computeUsages: inRegion((region) => collectAll(compute.usage.list(region))),
    networkUsages: inRegion((region) => collectAll(network.usages.list(region))),
    dnsLabelFree:
      dnsLabel === undefined
        ? undefined
        : inRegion(async (region) => {
            const { available } = await network.checkDnsNameAvailability(region, dnsLabel);
            return available === true;
          }),
    image,
    terms: image?.then((answer) => {
      const plan = answer && 'value' in answer ? answer.value.facts.plan : undefined;
      return plan && settle(() => areTermsAccepted(session, plan));
    }),
  });
}

/** Waits for all fields of an object; those that come to nothing are left out. */
async function awaitProperties<T extends object>(
  fields: {
    readonly [Key in keyof T]-?: T[Key] | Promise<T[Key] | undefined> | undefined;
  },
): Promise<T> {
  const found = await Promise.all(
    Object.entries(fields).map(async ([key, value]) => [key, await value] as const),
  );
  return Object.fromEntries(found.filter(([, value]) => value !== undefined)) as T;
}

async function collectAll<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of pages) items.push(item);
  return items;
}

type PermissionsAt = (scope: string) => Promise<Result<readonly Permission[]>>;

/** What the app may do at a scope; each scope is asked about once. */
function permissionsAt({ arm }: Session): PermissionsAt {
  const asked = new Map<string, Promise<Result<readonly Permission[]>>>();
  return (scope) => {
    const key = scope.toLowerCase();
    const answer =
      asked.get(key) ??
      settle(() =>
        listAllPages<Permission>(arm, `${scope}${authorizationPath}/permissions`, apiVersions.permissions),
      );
    asked.set(key, answer);
    return answer;
  };
}

/** The image is left out, because it is read, and so are the rights to check: their absence shows by itself. */
async function collectPermissions(
  inputs: DeployInputs,
  subscriptionId: string,
  group: SubscriptionFacts['group'],
  permissions: PermissionsAt,
): Promise<SubscriptionFacts['rights']> {
  const groupExists = 'error' in group || group.value.exists;
  const rights = requiredPermissions(inputs, { subscriptionId, groupExists }).filter(
    ({ tenant, weight, id }) =>
      // Whether a role may be granted has questions of its own.
      tenant === 'tenant' && weight !== 'for checking' && id.split('/')[1] !== 'role-assignment',
  );
  return Promise.all(rights.map(async (right) => ({ right, permissions: await permissions(right.scope) })));
}

function permissionScopeTitle({ role, scope }: RoleRequest): string {
  return `${role.kind === 'name' ? role.name : role.guid} on ${scope}`;
}

function plannedDnsLabel({ network }: DeployInputs): string | undefined {
  return network.kind === 'new-nic' && network.publicIp.kind === 'new'
    ? network.publicIp.dnsLabel
    : undefined;
}

function requiredNamespaces({ identity }: DeployInputs): readonly string[] {
  return [
    'Microsoft.Compute',
    'Microsoft.Network',
    ...(identity.named.length > 0 ? ['Microsoft.ManagedIdentity'] : []),
  ];
}

async function readRegistration({ arm, subscriptionId }: Session, namespace: string): Promise<string> {
  const path = `/subscriptions/${subscriptionId}/providers/${namespace}`;
  const { registrationState } = await arm<{ registrationState?: string }>('GET', path, apiVersions.providers);
  return registrationState ?? 'Unknown';
}

async function areTermsAccepted(
  { arm, subscriptionId }: Session,
  { publisher, product, name }: NonNullable<ResolvedImage['plan']>,
): Promise<boolean> {
  const parts = ['publishers', publisher, 'offers', product, 'plans', name].map(encodeURIComponent).join('/');
  const offers = `/subscriptions/${subscriptionId}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine`;
  const path = `${offers}/${parts}/agreements/current`;
  const { properties } = await arm<{ properties?: { accepted?: boolean } }>(
    'GET',
    path,
    apiVersions.marketplaceTerms,
  );
  return properties?.accepted === true;
}

type ReferencedId = Pick<ReferencedResource, 'kind'> & { readonly id: ResourceId };

function referencedIds({ network, identity }: DeployInputs): ReferencedId[] {
  const identities = identity.given.map((id): ReferencedId => ({ kind: 'identity', id }));
  if (network.kind === 'given-nic') return [{ kind: 'network interface', id: network.nicId }, ...identities];
  const { subnet, nsg, publicIp } = network;
  return [
    ...(subnet.kind === 'given' ? [{ kind: 'subnet', id: subnet.id } as const] : []),
    ...(nsg.kind === 'given' ? [{ kind: 'network security group', id: nsg.id } as const] : []),
    ...(publicIp.kind === 'given' ? [{ kind: 'public IP', id: publicIp.id } as const] : []),
    ...identities,
  ];
}

async function readReferenced(session: Session, { kind, id }: ReferencedId): Promise<ReferencedResource> {
  const found = await settle(() =>
    kind === 'subnet'
      ? readReferencedSubnet(session, id)
      : undefinedIfNotFound(readReferencedResource(session, kind, id.id)),
  );
  return { kind, id: id.id, found };
}

interface ReferencedProperties {
  readonly location?: string;
  readonly properties?: {
    readonly virtualMachine?: { readonly id: string };
    readonly ipConfiguration?: { readonly id: string };
    readonly subnets?: readonly { readonly name: string }[];
  };
}

async function readReferencedResource({ arm }: Session, kind: ReferencedResource['kind'], id: string) {
  const api = kind === 'identity' ? apiVersions.identities : apiVersions.network;
  const { location, properties } = await arm<ReferencedProperties>('GET', id, api);
  const usedBy = properties?.virtualMachine?.id ?? properties?.ipConfiguration?.id;
  return { ...(location ? { location } : {}), ...(usedBy ? { usedBy } : {}) };
}

/** The region is the network's. Who may only join the subnet may not read that, but perhaps the subnet. */
async function readReferencedSubnet({ arm }: Session, { id, name }: ResourceId) {
  const vnet = await settle(() =>
    undefinedIfNotFound(
      arm<ReferencedProperties>('GET', id.replace(/\/subnets\/[^/]+$/i, ''), apiVersions.network),
    ),
  );
  if ('value' in vnet) {
    const isThere = vnet.value?.properties?.subnets?.some(
      (subnet) => subnet.name.toLowerCase() === name.toLowerCase(),
    );
    return isThere && vnet.value?.location ? { location: vnet.value.location } : undefined;
  }
  const subnet = await settle(() => undefinedIfNotFound(arm('GET', id, apiVersions.network)));
  if ('error' in subnet) throw vnet.error;
  return subnet.value === undefined ? undefined : {};
}
