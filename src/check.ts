import { resolveAccess } from './access.ts';
import { settle, type Result, listAllPages, undefinedIfNotFound, type Session } from './azure.ts';
import type { ErrorContext } from './explain.ts';
import { existingResourceQueries, readResourceGroup, type ExistingResources } from './facts.ts';
import { ActionError, isCommandOrUrl } from './failure.ts';
import { type ResolvedImage, inspectImage } from './image.ts';
import type { DeployInputs, RoleRequest } from './inputs.ts';
import {
  type DenyAssignment,
  type CheckFacts,
  type Finding,
  type ReferencedResource,
  evaluateChecks,
  type Lock,
  type SubscriptionFacts,
} from './judge.ts';
import { ownershipTags, type WorkflowRun } from './ledger.ts';
import { createPlan, resourceNames, type Plan } from './plan.ts';
import { readProvisioningFailure } from './machine.ts';
import type { Reporter } from './report.ts';
import { isFailedState } from './rerun.ts';
import type { ResourceId } from './resource-id.ts';
import { requiredPermissions, type Permission } from './rights.ts';
import { type CheckSession, openCheckSession, type SessionOptions } from './session.ts';

export interface CheckContext extends Omit<SessionOptions, 'log' | 'patches'> {
  readonly report: Reporter;
  readonly run: WorkflowRun;
  /** What the inputs say and has been learned since, to fill in explanations with. */
  readonly situation: () => ErrorContext;
}

/**
 * Asks everything that could refuse the deployment, without a single write, and tells all of it at once.
 * @throws Failure that lists the faults, if there are any; the signal's reason.
 */
export async function checkDeployment(inputs: DeployInputs, context: CheckContext): Promise<void> {
  const { report, signal } = context;
  const session = await report.stage('Sign in', () =>
    openCheckSession(inputs, { ...context, log: report.log }),
  );
  const facts = await report.stage('Ask Azure', () => collectFacts(session, inputs, context));
  signal.throwIfAborted();
  const image = facts.subscriptionFacts?.image;
  if (image && 'value' in image) {
    report.addFacts({ image: image.value.facts });
    // So that a later job can create from the very version that was checked, whatever is published in between.
    report.output('image-version-id', image.value.facts.referenceId);
    report.output('image-version', image.value.facts.version);
  }
  const findings = evaluateChecks(facts, planForCheck(facts, context.run));
  report.outputFindings(findings);
  logFindings(findings, report);
  const faults = findings.filter(({ level }) => level === 'fault');
  if (faults.length > 0) throw checkFailedError(findings.length, faults);
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
    locks: settle(() => listAllPages<Lock>(arm, ofGroup('locks'), '2020-05-01')),
    denyAssignments: settle(() =>
      listAllPages<DenyAssignment>(arm, ofGroup('denyAssignments'), '2022-04-01'),
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
      settle(() => listAllPages<Permission>(arm, `${scope}${authorizationPath}/permissions`, '2022-04-01'));
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
  const { registrationState } = await arm<{ registrationState?: string }>('GET', path, '2021-04-01');
  return registrationState ?? 'Unknown';
}

async function areTermsAccepted(
  { arm, subscriptionId }: Session,
  { publisher, product, name }: NonNullable<ResolvedImage['plan']>,
): Promise<boolean> {
  const parts = ['publishers', publisher, 'offers', product, 'plans', name].map(encodeURIComponent).join('/');
  const offers = `/subscriptions/${subscriptionId}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine`;
  const path = `${offers}/${parts}/agreements/current`;
  const { properties } = await arm<{ properties?: { accepted?: boolean } }>('GET', path, '2021-01-01');
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

const referencedNetworkApi = '2024-05-01';
const referencedIdentityApi = '2024-11-30';

interface ReferencedProperties {
  readonly location?: string;
  readonly properties?: {
    readonly virtualMachine?: { readonly id: string };
    readonly ipConfiguration?: { readonly id: string };
    readonly subnets?: readonly { readonly name: string }[];
  };
}

async function readReferencedResource({ arm }: Session, kind: ReferencedResource['kind'], id: string) {
  const api = kind === 'identity' ? referencedIdentityApi : referencedNetworkApi;
  const { location, properties } = await arm<ReferencedProperties>('GET', id, api);
  const usedBy = properties?.virtualMachine?.id ?? properties?.ipConfiguration?.id;
  return { ...(location ? { location } : {}), ...(usedBy ? { usedBy } : {}) };
}

/** The region is the network's. Who may only join the subnet may not read that, but perhaps the subnet. */
async function readReferencedSubnet({ arm }: Session, { id, name }: ResourceId) {
  const vnet = await settle(() =>
    undefinedIfNotFound(
      arm<ReferencedProperties>('GET', id.replace(/\/subnets\/[^/]+$/i, ''), referencedNetworkApi),
    ),
  );
  if ('value' in vnet) {
    const isThere = vnet.value?.properties?.subnets?.some(
      (subnet) => subnet.name.toLowerCase() === name.toLowerCase(),
    );
    return isThere && vnet.value?.location ? { location: vnet.value.location } : undefined;
  }
  const subnet = await settle(() => undefinedIfNotFound(arm('GET', id, referencedNetworkApi)));
  if ('error' in subnet) throw vnet.error;
  return subnet.value === undefined ? undefined : {};
}

/** The plan of the image as far as it could be read; where it could not, of one that stands in for it. */
function planForCheck({ inputs, subscriptionFacts }: CheckFacts, run: WorkflowRun): Plan | undefined {
  if (!subscriptionFacts) return undefined;
  const image =
    subscriptionFacts.image && 'value' in subscriptionFacts.image
      ? subscriptionFacts.image.value.facts
      : placeholderImage(inputs);
  const location =
    'value' in subscriptionFacts.group ? subscriptionFacts.group.value.location : (inputs.location ?? '');
  return createPlan(inputs, image, {
    subscriptionId: subscriptionFacts.subscriptionId,
    location,
    ownership: ownershipTags(run, inputs.vmName, inputs.cleanup),
    generated: {},
  });
}

function placeholderImage({
  image,
  osType = 'Linux',
  securityType = 'Standard',
}: DeployInputs): ResolvedImage {
  return {
    reference: {},
    referenceId: image.id,
    version: image.version ?? 'latest',
    osType,
    osState: 'Generalized',
    architecture: 'x64',
    securityType,
    dataDiskLuns: [],
    notices: [],
    warnings: [],
  };
}

/** Prints the findings, what stands in the way first. What is well takes a line; what has one remedy shares its lines. */
function logFindings(findings: readonly Finding[], { log }: Reporter): void {
  const titles = { fault: 'In the way', warning: 'Warnings', unknown: 'Not known', ok: 'Well' } as const;
  for (const level of ['fault', 'warning', 'unknown', 'ok'] as const) {
    const ofLevel = findings.filter((finding) => finding.level === level);
    if (ofLevel.length > 0) log.info(`${titles[level]} (${ofLevel.length})`);
    const byRemedy = Map.groupBy(ofLevel, ({ who, fix }) => JSON.stringify([who, fix]));
    for (const alike of byRemedy.values()) {
      for (const { id, asked, answer } of alike) {
        if (level === 'warning') log.warning(`${id}: ${asked}. ${answer}`);
        else log.info(level === 'ok' ? `  ${id}: ${answer}` : `  ${id}: ${asked}. ${answer}`);
      }
      const [{ who, fix } = { who: '', fix: [] }] = alike;
      if (who) log.info(`    Who must act: ${who}`);
      for (const step of fix) log.info(isCommandOrUrl(step) ? `      ${step}` : `    - ${step}`);
    }
  }
}

function checkFailedError(asked: number, faults: readonly Finding[]): ActionError {
  const lines = faults.map(({ id, answer }) => `- ${id}: ${answer}`);
  return new ActionError('checking the deployment', {
    message: `${faults.length} of ${asked} findings stand in its way:\n${lines.join('\n')}`,
    explanation: {
      cause: 'As things are, Azure would refuse the deployment. Nothing was created or changed.',
      who: [...new Set(faults.map(({ who }) => who))].join('; '),
      fix: ['The log above and the output `findings` say what to do about each, with commands and URLs.'],
    },
  });
}
