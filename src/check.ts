import { surveyAccess } from './access.ts';
import { ask, type Asked, listAll, orUndefined, type Session } from './azure.ts';
import type { Situation } from './explain.ts';
import { lookUps, readResourceGroup, type Survey } from './facts.ts';
import { Failure, isVerbatim } from './failure.ts';
import { type ImageFacts, lookAtImage } from './image.ts';
import type { DeployInputs, RoleRequest } from './inputs.ts';
import {
  type DenyAssignment,
  type Facts,
  type Finding,
  type Given,
  judge,
  type Lock,
  type SiteFacts,
} from './judge.ts';
import { ownershipTags, type Run } from './ledger.ts';
import { makePlan, namesOf, type Plan } from './plan.ts';
import { lookInto } from './machine.ts';
import type { Report } from './report.ts';
import { hasFailed } from './rerun.ts';
import type { ResourceId } from './resource-id.ts';
import { neededRights, type Permission } from './rights.ts';
import { type CheckSession, openCheckSession, type SessionOptions } from './session.ts';

export interface CheckDesk extends Omit<SessionOptions, 'log' | 'patches'> {
  readonly report: Report;
  readonly run: Run;
  /** What the inputs say and has been learned since, to fill in explanations with. */
  readonly situation: () => Situation;
}

/**
 * Asks everything that could refuse the deployment, without a single write, and tells all of it at once.
 * @throws Failure that lists the faults, if there are any; the signal's reason.
 */
export async function checkDeployment(inputs: DeployInputs, desk: CheckDesk): Promise<void> {
  const { report, signal } = desk;
  const session = await report.stage('Sign in', () => openCheckSession(inputs, { ...desk, log: report.log }));
  const facts = await report.stage('Ask Azure', () => gather(session, inputs, desk));
  signal.throwIfAborted();
  const image = facts.site?.image;
  if (image && 'value' in image) {
    report.know({ image: image.value.facts });
    // So that a later job can create from the very version that was checked, whatever is published in between.
    report.output('image-version-id', image.value.facts.referenceId);
    report.output('image-version', image.value.facts.version);
  }
  const findings = judge(facts, planOf(facts, desk.run));
  report.outputFindings(findings);
  tell(findings, report);
  const faults = findings.filter(({ level }) => level === 'fault');
  if (faults.length > 0) throw refusal(findings.length, faults);
}

/** Asks everything side by side; each refusal becomes a value. */
export async function gather(session: CheckSession, inputs: DeployInputs, desk: CheckDesk): Promise<Facts> {
  const { signIns, subscription } = session;
  const own = signIns.find(({ as }) => as === 'tenant')?.result;
  const site =
    session.session && own && 'value' in own
      ? await gatherSite(session, session.session, own.value.objectId, inputs, desk)
      : undefined;
  if (site && 'value' in site.group) desk.learn({ location: site.group.value.location });
  return {
    inputs,
    run: desk.run,
    situation: desk.situation(),
    signIns,
    ...(subscription ? { subscription } : {}),
    ...(site ? { site } : {}),
  };
}

const authorization = '/providers/Microsoft.Authorization';

async function gatherSite(
  { imageCompute }: CheckSession,
  session: Session,
  objectId: string | undefined,
  inputs: DeployInputs,
  desk: CheckDesk,
): Promise<SiteFacts> {
  const { arm, compute, network, subscriptionId, waiting } = session;
  const subscription = `/subscriptions/${subscriptionId}`;
  const ofGroup = (what: string) =>
    `${subscription}/resourceGroups/${inputs.resourceGroup}${authorization}/${what}`;
  const group = ask(() => readResourceGroup(session, inputs));
  /** Asks what needs the region as soon as that is known; not at all if it never is. */
  const inRegion = async <T>(question: (region: string) => Promise<T>): Promise<Asked<T> | undefined> => {
    const answer = await group;
    const region = 'value' in answer ? answer.value.location : inputs.location;
    return region === undefined ? undefined : ask(() => question(region));
  };
  const names = namesOf(inputs.vmName);
  const parts = Object.entries(lookUps(session, inputs, names)).map(async ([part, lookUp]) => {
    const found = await ask<Survey[keyof Survey]>(lookUp);
    return [part, found] as const;
  });
  const existing = Promise.all(parts).then((found) => Object.fromEntries(found) as SiteFacts['existing']);
  const survey = existing.then(({ machine }) =>
    machine && 'value' in machine && machine.value ? { machine: machine.value } : {},
  );
  const fate = existing.then(({ machine }) => {
    const failed = machine && 'value' in machine && machine.value && hasFailed(machine.value);
    const place = { resourceGroup: inputs.resourceGroup, machine: { name: inputs.vmName } };
    return failed ? ask(() => lookInto(session, place)) : undefined;
  });
  const image =
    imageCompute &&
    inRegion((region) =>
      lookAtImage(
        { imageCompute, compute, signal: waiting.signal, onWaiting: desk.report.log.info },
        inputs,
        Promise.resolve(region),
      ),
    );
  const dnsLabel = dnsLabelOf(inputs);
  const permissions = permissionsAt(session);
  return together<SiteFacts>({
    subscriptionId,
    objectId,
    group,
    existing,
    fate,
    osDisk: ask(() => orUndefined(compute.disks.get(inputs.resourceGroup, names.osDisk))),
    given: Promise.all(givenIn(inputs).map((one) => lookAtGiven(session, one))),
    rights: group.then((answer) => gatherRights(inputs, subscriptionId, answer, permissions)),
    roles: Promise.all(
      inputs.roleAssignments.map((request) =>
        together<SiteFacts['roles'][number]>({
          request: titleOf(request),
          scope: request.scope,
          survey: ask(() => surveyAccess(session, { ...inputs, roleAssignments: [request] }, survey)),
          permissions: permissions(request.scope),
        }),
      ),
    ),
    providers: Promise.all(
      namespacesOf(inputs).map((namespace) =>
        together<SiteFacts['providers'][number]>({
          namespace,
          state: ask(() => registrationOf(session, namespace)),
        }),
      ),
    ),
    locks: ask(() => listAll<Lock>(arm, ofGroup('locks'), '2020-05-01')),
    denyAssignments: ask(() => listAll<DenyAssignment>(arm, ofGroup('denyAssignments'), '2022-04-01')),
    skus: inRegion((region) => everyOne(compute.resourceSkus.list({ filter: `location eq '${region}'` }))),
    computeUsages: inRegion((region) => everyOne(compute.usage.list(region))),
    networkUsages: inRegion((region) => everyOne(network.usages.list(region))),
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
      return plan && ask(() => termsAccepted(session, plan));
    }),
  });
}

/** Waits for all fields of an object; those that come to nothing are left out. */
async function together<T extends object>(
  fields: {
    readonly [Key in keyof T]-?: T[Key] | Promise<T[Key] | undefined> | undefined;
  },
): Promise<T> {
  const found = await Promise.all(
    Object.entries(fields).map(async ([key, value]) => [key, await value] as const),
  );
  return Object.fromEntries(found.filter(([, value]) => value !== undefined)) as T;
}

async function everyOne<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of pages) items.push(item);
  return items;
}

type PermissionsAt = (scope: string) => Promise<Asked<readonly Permission[]>>;

/** What the app may do at a scope; each scope is asked about once. */
function permissionsAt({ arm }: Session): PermissionsAt {
  const asked = new Map<string, Promise<Asked<readonly Permission[]>>>();
  return (scope) => {
    const key = scope.toLowerCase();
    const answer =
      asked.get(key) ??
      ask(() => listAll<Permission>(arm, `${scope}${authorization}/permissions`, '2022-04-01'));
    asked.set(key, answer);
    return answer;
  };
}

/** The image is left out, because it is read, and so are the rights to check: their absence shows by itself. */
async function gatherRights(
  inputs: DeployInputs,
  subscriptionId: string,
  group: SiteFacts['group'],
  permissions: PermissionsAt,
): Promise<SiteFacts['rights']> {
  const groupExists = 'refusal' in group || group.value.exists;
  const rights = neededRights(inputs, { subscriptionId, groupExists }).filter(
    ({ tenant, weight, id }) =>
      // Whether a role may be granted has questions of its own.
      tenant === 'tenant' && weight !== 'for checking' && id.split('/')[1] !== 'role-assignment',
  );
  return Promise.all(rights.map(async (right) => ({ right, permissions: await permissions(right.scope) })));
}

function titleOf({ role, scope }: RoleRequest): string {
  return `${role.kind === 'name' ? role.name : role.guid} on ${scope}`;
}

function dnsLabelOf({ network }: DeployInputs): string | undefined {
  return network.kind === 'new-nic' && network.publicIp.kind === 'new'
    ? network.publicIp.dnsLabel
    : undefined;
}

function namespacesOf({ identity }: DeployInputs): readonly string[] {
  return [
    'Microsoft.Compute',
    'Microsoft.Network',
    ...(identity.named.length > 0 ? ['Microsoft.ManagedIdentity'] : []),
  ];
}

async function registrationOf({ arm, subscriptionId }: Session, namespace: string): Promise<string> {
  const path = `/subscriptions/${subscriptionId}/providers/${namespace}`;
  const { registrationState } = await arm<{ registrationState?: string }>('GET', path, '2021-04-01');
  return registrationState ?? 'Unknown';
}

async function termsAccepted(
  { arm, subscriptionId }: Session,
  { publisher, product, name }: NonNullable<ImageFacts['plan']>,
): Promise<boolean> {
  const parts = ['publishers', publisher, 'offers', product, 'plans', name].map(encodeURIComponent).join('/');
  const offers = `/subscriptions/${subscriptionId}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine`;
  const path = `${offers}/${parts}/agreements/current`;
  const { properties } = await arm<{ properties?: { accepted?: boolean } }>('GET', path, '2021-01-01');
  return properties?.accepted === true;
}

type GivenId = Pick<Given, 'kind'> & { readonly id: ResourceId };

function givenIn({ network, identity }: DeployInputs): GivenId[] {
  const identities = identity.given.map((id): GivenId => ({ kind: 'identity', id }));
  if (network.kind === 'given-nic') return [{ kind: 'network interface', id: network.nicId }, ...identities];
  const { subnet, nsg, publicIp } = network;
  return [
    ...(subnet.kind === 'given' ? [{ kind: 'subnet', id: subnet.id } as const] : []),
    ...(nsg.kind === 'given' ? [{ kind: 'network security group', id: nsg.id } as const] : []),
    ...(publicIp.kind === 'given' ? [{ kind: 'public IP', id: publicIp.id } as const] : []),
    ...identities,
  ];
}

async function lookAtGiven(session: Session, { kind, id }: GivenId): Promise<Given> {
  const found = await ask(() =>
    kind === 'subnet' ? lookAtSubnet(session, id) : orUndefined(lookAtOne(session, kind, id.id)),
  );
  return { kind, id: id.id, found };
}

const networkApi = '2024-05-01';
const identityApi = '2024-11-30';

interface Shown {
  readonly location?: string;
  readonly properties?: {
    readonly virtualMachine?: { readonly id: string };
    readonly ipConfiguration?: { readonly id: string };
    readonly subnets?: readonly { readonly name: string }[];
  };
}

async function lookAtOne({ arm }: Session, kind: Given['kind'], id: string) {
  const api = kind === 'identity' ? identityApi : networkApi;
  const { location, properties } = await arm<Shown>('GET', id, api);
  const usedBy = properties?.virtualMachine?.id ?? properties?.ipConfiguration?.id;
  return { ...(location ? { location } : {}), ...(usedBy ? { usedBy } : {}) };
}

/** The region is the network's. Who may only join the subnet may not read that, but perhaps the subnet. */
async function lookAtSubnet({ arm }: Session, { id, name }: ResourceId) {
  const vnet = await ask(() =>
    orUndefined(arm<Shown>('GET', id.replace(/\/subnets\/[^/]+$/i, ''), networkApi)),
  );
  if ('value' in vnet) {
    const isThere = vnet.value?.properties?.subnets?.some(
      (subnet) => subnet.name.toLowerCase() === name.toLowerCase(),
    );
    return isThere && vnet.value?.location ? { location: vnet.value.location } : undefined;
  }
  const subnet = await ask(() => orUndefined(arm('GET', id, networkApi)));
  if ('refusal' in subnet) throw vnet.refusal;
  return subnet.value === undefined ? undefined : {};
}

/** The plan of the image as far as it could be read; where it could not, of one that stands in for it. */
function planOf({ inputs, site }: Facts, run: Run): Plan | undefined {
  if (!site) return undefined;
  const image = site.image && 'value' in site.image ? site.image.value.facts : standIn(inputs);
  const location = 'value' in site.group ? site.group.value.location : (inputs.location ?? '');
  return makePlan(inputs, image, {
    subscriptionId: site.subscriptionId,
    location,
    ownership: ownershipTags(run, inputs.vmName, inputs.cleanup),
    generated: {},
  });
}

function standIn({ image, osType = 'Linux', securityType = 'Standard' }: DeployInputs): ImageFacts {
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
function tell(findings: readonly Finding[], { log }: Report): void {
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
      for (const step of fix) log.info(isVerbatim(step) ? `      ${step}` : `    - ${step}`);
    }
  }
}

function refusal(asked: number, faults: readonly Finding[]): Failure {
  const lines = faults.map(({ id, answer }) => `- ${id}: ${answer}`);
  return new Failure('checking the deployment', {
    message: `${faults.length} of ${asked} findings stand in its way:\n${lines.join('\n')}`,
    explanation: {
      cause: 'As things are, Azure would refuse the deployment. Nothing was created or changed.',
      who: [...new Set(faults.map(({ who }) => who))].join('; '),
      fix: ['The log above and the output `findings` say what to do about each, with commands and URLs.'],
    },
  });
}
