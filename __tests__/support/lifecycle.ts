/** What the life-cycle scenarios share: a group with strangers in it, what is ours in it, and rules that always hold. */
import { afterAll, expect } from '@jest/globals';
import type { FaultMatch } from '../../simulator/engine/faults.ts';
import type { Exchange } from '../../simulator/engine/journal.ts';
import { defaults, type Simulator, type SimulatorOptions, startSimulator, type World } from '../../simulator/index.ts';
import { type ActionOptions, defaultInputs, type Phase, type Run, runAction } from './harness.ts';

const open: Simulator[] = [];
afterAll(async () => {
  await Promise.all(open.splice(0).map((sim) => sim.close()));
});

/** A simulator at five hundred times the real speed; closed when the file ends, because tests run side by side. */
export async function startWorld(options: SimulatorOptions = {}): Promise<Simulator> {
  const sim = await startSimulator({ timeScale: 0.002, ...options });
  open.push(sim);
  return sim;
}

/** Runs the main step for deployment `vm1`. */
export const act = (
  sim: Simulator,
  inputs: Readonly<Record<string, string>> = {},
  options: Partial<Omit<ActionOptions, 'inputs' | 'sim'>> = {},
): Promise<Run> => runAction({ sim, inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs }, ...options });

/** Runs the main and the post step for deployment `vm1`. */
export const actWithPost: typeof act = (sim, inputs, options) =>
  act(sim, inputs, { phases: ['main', 'post'], ...options });

/** Settles when the first request that matches has arrived, before it is handled and after `act`. */
export function arrivalOf(sim: Simulator, match: FaultMatch, act?: () => void): Promise<void> {
  return new Promise((arrived) => {
    const onArrival = (): void => {
      act?.();
      arrived();
    };
    sim.faults.add({ match, effect: { onArrival } });
  });
}

export const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;

/** IDs of the parts of deployment `name`, as the README derives them. */
export function partsOf(name: string) {
  return {
    machine: `${group}/providers/Microsoft.Compute/virtualMachines/${name}`,
    osDisk: `${group}/providers/Microsoft.Compute/disks/${name}-osdisk`,
    nic: `${group}/providers/Microsoft.Network/networkInterfaces/${name}-nic`,
    nsg: `${group}/providers/Microsoft.Network/networkSecurityGroups/${name}-nsg`,
    vnet: `${group}/providers/Microsoft.Network/virtualNetworks/${name}-vnet`,
    publicIp: `${group}/providers/Microsoft.Network/publicIPAddresses/${name}-ip`,
  };
}

/** A shared virtual network of somebody else, to be used by `subnet-id`. */
export const sharedSubnet = `${group}/providers/Microsoft.Network/virtualNetworks/shared/subnets/machines`;

/** Puts a resource there that this action did not make. */
export function addStranger(world: World, id: string, tags?: Record<string, string>): void {
  const [, type = '', name = ''] = /\/providers\/([^/]+\/[^/]+)\/([^/]+)$/.exec(id) ?? [];
  const properties: Record<string, unknown> = { provisioningState: 'Succeeded' };
  if (/networkSecurityGroups/i.test(type)) properties['securityRules'] = [];
  if (/virtualNetworks$/i.test(type)) {
    properties['addressSpace'] = { addressPrefixes: ['10.20.0.0/16'] };
    properties['subnets'] = [
      {
        id: `${id}/subnets/machines`,
        name: 'machines',
        properties: { provisioningState: 'Succeeded', addressPrefix: '10.20.0.0/22' },
      },
    ];
  }
  if (/publicIPAddresses/i.test(type)) properties['ipAddress'] = '203.0.113.77';
  if (/networkInterfaces/i.test(type)) properties['ipConfigurations'] = [];
  if (/disks/i.test(type)) Object.assign(properties, { diskState: 'Unattached', diskSizeGB: 64 });
  world.resources.put({
    id,
    type,
    body: {
      id,
      name,
      type,
      location: defaults.location,
      ...(tags ? { tags } : {}),
      ...(/disks/i.test(type) ? { sku: { name: 'Premium_LRS' } } : {}),
      properties,
    },
  });
}

/** An identity that someone else made, known to Entra for long. @returns its principal ID. */
export function addIdentity(world: World, id: string, tags: Record<string, string> = {}): string {
  const type = 'Microsoft.ManagedIdentity/userAssignedIdentities';
  const name = id.split('/').at(-1) ?? '';
  const [oid, app, tenant] = [world.uuid(), world.uuid(), defaults.tenantId];
  world.addPrincipal({ oid, app, tenant, type: 'ManagedIdentity', displayName: name });
  const properties = { tenantId: tenant, principalId: oid, clientId: app };
  world.resources.put({ id, type, body: { id, name, type, location: defaults.location, tags, properties } });
  return oid;
}

/** Gives another deployment the same resources, as a create with this `vm-name` would. */
export function copyDeployment({ world }: Simulator, from: string, to: string): void {
  const ids = new Set(Object.values(partsOf(from)).map((id) => id.toLowerCase()));
  for (const { id, type, body } of [...world.resources.all()].filter((one) => ids.has(one.id.toLowerCase()))) {
    const renamed = (text: string) => text.replaceAll(new RegExp(`([/"])${from}(?=[-/"])`, 'g'), `$1${to}`);
    world.resources.put({ id: renamed(`${id}/`).slice(0, -1), type, body: JSON.parse(renamed(JSON.stringify(body))) });
  }
}

/** Tags of the resources of a deployment with `cleanup: always`. */
export function tagsOf(deployment: string, runId = '9876543210'): Record<string, string> {
  return {
    'cross-tenant-vm': deployment,
    cleanup: 'always',
    'github-run-id': runId,
    'github-job': 'deploy',
    'github-repository': 'contoso/deploy',
    'github-server-url': 'https://github.com',
  };
}

/** Strangers of every kind that is ever deleted, some with tags that were copied from a deployment of ours. */
export function addStrangers(world: World, deployment: string): void {
  const copied = { ...tagsOf(deployment), 'expires-on': '2020-01-01T00:00:00Z' };
  const other = partsOf('elsewhere');
  addStranger(world, other.nsg, { 'cross-tenant-vm': 'elsewhere' });
  addStranger(world, other.osDisk, { 'cross-tenant-vm': 'elsewhere' });
  const copies = partsOf(`copy-of-${deployment}`);
  addStranger(world, copies.nsg, copied);
  addStranger(world, copies.publicIp, copied);
  addStranger(world, copies.osDisk, copied);
  addStranger(world, `${group}/providers/Microsoft.Network/networkSecurityGroups/plain`);
  addStranger(world, `${group}/providers/Microsoft.Network/virtualNetworks/shared`, {
    owner: 'network team',
  });
}

const deploymentTemplates = new Map<string, Promise<string>>();

/** The resources that a create step with `inputs` leaves, as JSON. */
async function createTemplate(inputs: Readonly<Record<string, string>>): Promise<string> {
  const sim = await startWorld();
  const before = snapshot(sim);
  const run = await act(sim, inputs);
  expect([errorOf(run), run.exitCode]).toEqual(['', 0]);
  // The guest has booted, which ends what the simulator still has to do for the VM.
  sim.world.clock.advance(600);
  return JSON.stringify([...sim.world.resources.all()].filter(({ id }) => !before.has(id.toLowerCase())));
}

export interface AddedDeployment {
  readonly name?: string;
  /** Replace tags of every resource. */
  readonly tags?: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, string>>;
}

/**
 * Puts the deployment there as an earlier create step left it, in the list of the group too. The first call of a test file
 * with these inputs runs that step, the others copy its resources: a create costs 0.3 s of CPU time.
 */
export async function addDeployment(
  { world }: Simulator,
  { name = 'vm1', tags = {}, inputs = {} }: AddedDeployment = {},
): Promise<void> {
  const key = JSON.stringify(inputs);
  const template = deploymentTemplates.get(key) ?? createTemplate(inputs);
  deploymentTemplates.set(key, template);
  const resources: Parameters<typeof world.resources.put>[0][] = JSON.parse((await template).replaceAll('vm1', name));
  for (const { id, type, body, internal } of resources) {
    if (body['tags']) Object.assign(body['tags'], tags);
    world.resources.put({ id, type, body, ...(internal && { internal }) });
  }
  world.clock.advance(60);
}

/** Everything that there is, by lower-cased ID. */
export function snapshot(sim: Simulator): ReadonlyMap<string, string> {
  return new Map([...sim.world.resources.all()].map(({ id, body }) => [id.toLowerCase(), JSON.stringify(body)]));
}

/** IDs of what came into being since `before` was taken and is still there; nested resources aside. */
export function since(sim: Simulator, before: ReadonlyMap<string, string>): string[] {
  return [...sim.world.resources.all()].map(({ id }) => id).filter((id) => !before.has(id.toLowerCase()));
}

/** What of `before` is gone or was changed. */
export function disturbed(sim: Simulator, before: ReadonlyMap<string, string>): string[] {
  const now = snapshot(sim);
  return [...before].filter(([id, body]) => now.get(id) !== body).map(([id]) => id);
}

export function warningsOf(...phases: readonly (Phase | undefined)[]): string {
  return phases
    .flatMap((phase) => phase?.annotations ?? [])
    .filter(({ level }) => level === 'warning')
    .map(({ message }) => message)
    .join('\n');
}

export function errorOf(phase: Phase): string {
  return phase.annotations
    .filter(({ level }) => level === 'error')
    .map(({ message }) => message)
    .join('\n');
}

export interface SavedCleanupState {
  readonly created: readonly string[];
  readonly pending: readonly string[];
  readonly completed: boolean;
  readonly privateKeyPath?: string;
}

export function cleanupStateOf(phase: Phase): SavedCleanupState | undefined {
  const text = phase.state['cleanup'];
  return !text ? undefined : (JSON.parse(text) as SavedCleanupState);
}

/** Writes to Resource Manager, without the polls that follow them. */
export function writesOf(journal: readonly Exchange[]): Exchange[] {
  return journal.filter(
    ({ host, method, kind }) =>
      // Reading the boot log and evaluating a policy are POSTs.
      host === 'arm' &&
      !['GET', 'HEAD'].includes(method) &&
      !['vm.bootDiagnostics', 'policy.check', 'graph.query'].includes(kind),
  );
}

/**
 * What must hold after every run: no deletion without a look at the same resource right
 * before, none of a group, no write to what was there before unless it is the deployment's own, no secret anywhere.
 */
export function brokenRules(
  journal: readonly Exchange[],
  strangers: ReadonlySet<string>,
  phases: readonly Phase[],
  run: Pick<Run, 'files'>,
  secrets: readonly string[],
): string[] {
  const broken: string[] = [];
  const looked = new Map<string, Exchange>();
  for (const one of journal) {
    if (one.host !== 'arm') continue;
    const path = one.path.toLowerCase();
    if (one.method === 'DELETE') {
      if (/\/resourcegroups\/[^/]+$/.test(path)) broken.push(`deleted a resource group: ${path}`);
      const look = looked.get(path);
      if (!look) broken.push(`DELETE without a look right before: ${path}`);
      looked.delete(path);
    } else if (one.method === 'GET' && (one.status === 200 || one.status === 0)) {
      looked.set(path, one);
    }
    const isWrite = !['GET', 'HEAD'].includes(one.method);
    const holder = path.replace(/\/providers\/microsoft\.resources\/tags\/default$/, '');
    if (isWrite && strangers.has(holder)) broken.push(`${one.method} to a stranger: ${path} (${one.status})`);
  }
  for (const phase of phases) {
    const log = phase.lines
      .filter(({ command }) => command !== 'add-mask')
      .map(({ text }) => text)
      .join('\n');
    const places = {
      log,
      state: phase.stateText,
      summary: phase.summary,
      outputs: JSON.stringify(phase.outputs),
    };
    for (const [place, text] of Object.entries(places)) {
      for (const secret of secrets) if (text.includes(secret)) broken.push(`a secret in the ${place}`);
      if (/eyJ[\w-]{20,}\.[\w-]{20,}/.test(text)) broken.push(`a token in the ${place}`);
      if (/PRIVATE KEY/.test(text)) broken.push(`a private key in the ${place}`);
    }
  }
  for (const [path, text] of Object.entries(run.files())) {
    if (/PRIVATE KEY/.test(text)) broken.push(`the private key is still there: ${path}`);
    for (const secret of secrets) if (text.includes(secret)) broken.push(`a secret in file ${path}`);
  }
  return broken;
}

/** Expects that everything that came since `before` is gone and nothing else was touched. */
export function expectAllGone(sim: Simulator, before: ReadonlyMap<string, string>): void {
  expect({ left: since(sim, before), disturbed: disturbed(sim, before) }).toEqual({
    left: [],
    disturbed: [],
  });
}

/** Moves the expiry of every resource and role assignment into the past. */
export function expireDeployments(sim: Simulator): void {
  for (const assignment of sim.world.roleAssignments) {
    const expired = assignment.description?.replace(/(?<=expires-on=)[^;]+/, '2026-01-01T00:00:00Z');
    if (expired) Object.assign(assignment, { description: expired });
  }
  for (const { body } of sim.world.resources.all()) {
    const tags = body['tags'] as Record<string, string> | undefined;
    if (tags?.['expires-on']) tags['expires-on'] = '2026-01-01T00:00:00Z';
  }
}
