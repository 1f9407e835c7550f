/** Every row of docs/az-vm-create.yml on the wire: what an argument of `az vm create` stands for is what is sent here. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Argument, readArguments } from '../../scripts/docs/az-vm-create.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { acceptTerms } from '../../simulator/providers/marketplace.ts';
import type { Exchange } from '../../simulator/engine/journal.ts';
import { defaults, principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { mergePatch } from '../../src/lib/json.ts';
import { defaultInputs, type Run, runAction } from '../support/harness.ts';
import { issuesOf } from '../support/read-inputs.ts';

const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const { runs, rows } = readArguments();

/** With placeholders filled in. */
function filled<T>(value: T): T {
  const text = JSON.stringify(value)
    .replaceAll('{group}', group)
    .replaceAll('{subscription}', defaults.subscriptionId)
    .replaceAll('{image}', defaults.imageId('').replace(/\/$/, ''))
    .replaceAll('{key}', publicKey('one'))
    .replaceAll('{other-key}', publicKey('other'));
  return JSON.parse(text) as T;
}

/** A line that has the form of an Ed25519 key. Nobody has the other half. */
function publicKey(seed: string): string {
  const sized = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  const blob = [Buffer.from('ssh-ed25519'), createHash('sha256').update(seed).digest()].map(sized);
  return `ssh-ed25519 ${Buffer.concat(blob).toString('base64')}`;
}

/** The inputs of several rows as one step has them. */
function inputsOf(together: readonly Argument[], base: Readonly<Record<string, unknown>>) {
  const merged = together.reduce<unknown>((all, row) => mergePatch(all, filled(row.with ?? {})), filled(base));
  const inputs = Object.entries(merged as Record<string, unknown>).map(([name, value]) => [
    name,
    name === 'image-id' ? defaults.imageId(String(value)) : typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return Object.fromEntries(inputs) as Record<string, string>;
}

/** What a customer has there already: everything that a row refers to. */
function furnish(world: World): void {
  settings(world).quota['cores'] = { limit: 1000 };
  settings(world).quota['standardDSv5Family'] = { limit: 1000 };
  world.grant(principals.deploy, 'User Access Administrator', group);
  settings(world).encryptionAtHost.add(defaults.subscriptionId);
  acceptTerms(world, defaults.subscriptionId, {
    publisher: 'contoso',
    product: 'linux-images',
    name: 'hardened',
  });
  const ids = JSON.stringify(rows).match(/\{group\}[^"\\, ]+/g) ?? [];
  for (const id of new Set(ids.map((one) => filled(one).replace(/\/subnets\/.*$/, '')))) {
    const [, type = '', rest = ''] = /\/providers\/([^/]+)\/(.+)$/.exec(id) ?? [];
    const kinds = rest.split('/').filter((_, index) => index % 2 === 0);
    const name = id.slice(id.lastIndexOf('/') + 1);
    world.resources.put({
      id,
      type: [type, ...kinds].join('/'),
      body: {
        id,
        name,
        type: [type, ...kinds].join('/'),
        location: defaults.location,
        sku: { name: 'Standard' },
        properties: { provisioningState: 'Succeeded', ...particulars(world, id, kinds.at(-1) ?? '') },
      },
    });
  }
}

function particulars(world: World, id: string, kind: string): object {
  switch (kind) {
    case 'virtualNetworks':
      return {
        addressSpace: { addressPrefixes: ['10.9.0.0/16'] },
        subnets: [
          {
            id: `${id}/subnets/their-subnet`,
            name: 'their-subnet',
            properties: { addressPrefix: '10.9.1.0/24', provisioningState: 'Succeeded' },
          },
        ],
      };
    case 'networkInterfaces':
      return { ipConfigurations: [] };
    case 'networkSecurityGroups':
      return { securityRules: [], defaultSecurityRules: [] };
    case 'publicIPAddresses':
      return { ipAddress: '198.18.0.9', publicIPAllocationMethod: 'Static' };
    case 'disks':
      return { diskSizeGB: 16, diskState: 'Unattached' };
    case 'userAssignedIdentities': {
      const oid = world.uuid();
      const app = world.uuid();
      const tenant = defaults.tenantId;
      world.addPrincipal({ oid, tenant, app, type: 'ManagedIdentity', displayName: 'id1', visibleAt: 0 });
      return { principalId: oid, clientId: app, tenantId: tenant };
    }
    default:
      return {};
  }
}

const targets: Readonly<Record<string, RegExp>> = {
  vm: /\/virtualMachines\/[^/]+$/i,
  nic: /\/networkInterfaces\/[^/]+$/i,
  vnet: /\/virtualNetworks\/[^/]+$/i,
  nsg: /\/networkSecurityGroups\/[^/]+$/i,
  'public-ip': /\/publicIPAddresses\/[^/]+$/i,
  role: /\/roleAssignments\/[^/]+$/i,
};

const sent = rows.filter(({ refused }) => refused === undefined);

let sim: Simulator;
beforeAll(async () => {
  sim = await startSimulator({ timeScale: 0.002, world: furnish });
});
afterAll(() => sim.close());

describe.each(Object.entries(runs))('%s', (name, base) => {
  const mine = sent.filter(({ run = 'linux' }) => run === name);
  let journal: readonly Exchange[];
  let run: Run;
  beforeAll(async () => {
    const from = sim.journal.length;
    const { 'image-id': _, 'ssh-public-key': __, ...needed } = defaultInputs(sim);
    run = await runAction({ sim, inputs: { ...needed, 'vm-name': name, ...inputsOf(mine, base) } });
    journal = sim.journal.slice(from);
  });

  test('succeeds when all arguments of the group are given', () => {
    expect(run.annotations.filter(({ level }) => level === 'error')).toEqual([]);
    expect(run.exitCode).toBe(0);
    // One machine a step.
    const machines = journal.filter(({ method, path }) => method === 'PUT' && targets['vm']?.test(path));
    expect(machines).toHaveLength(name === 'check' ? 0 : 1);
  });

  test.each(mine.map((row) => [row.argument, row] as const))('%s', (_, row) => {
    const puts = journal.filter(({ method, host }) => method === 'PUT' && host === 'arm');
    const bodies = (target: string): unknown[] =>
      puts.filter(({ path }) => (targets[target] ?? /^never$/).test(path)).map(({ requestBody }) => requestBody);
    for (const [target, expected] of Object.entries(row.sends ?? {})) {
      expect(bodies(target)[0]).toMatchObject(filled(expected));
    }
    for (const lack of row.lacks ?? []) {
      const [target = '', path] = lack.split(' ');
      if (path === undefined) expect(bodies(target)).toEqual([]);
      else expect(bodies(target)[0]).not.toHaveProperty(path);
    }
    if (row.never !== undefined) {
      expect(journal.filter(({ path }) => path.includes(row.never ?? ''))).toEqual([]);
    }
    if (row.puts !== undefined)
      expect(puts.filter(({ path }) => path.includes(row.puts ?? '')).length).toBeGreaterThan(0);
  });
});

const refused = rows.filter((row) => row.refused !== undefined);

describe('refuses before any request', () => {
  test.each(refused.map((row) => [row.argument, row] as const))('%s', (_, row) => {
    expect(issuesOf(inputsOf([row], { 'image-id': 'linux' })).join('\n')).toContain(row.refused);
  });
});

test('lists every argument once when az vm create documents it', () => {
  const names = rows.map(({ argument }) => argument);
  expect(new Set(names).size).toBe(names.length);
  for (const row of rows) {
    expect(Object.keys(runs)).toContain(row.run ?? 'linux');
    expect([row.argument, row.sends ?? row.lacks ?? row.never ?? row.puts ?? row.refused]).not.toContain(undefined);
    if (row.here !== 'overrides') expect([row.argument, row.how]).not.toContain(undefined);
    const given = Object.keys(row.with ?? {});
    if (row.here === 'overrides') expect([row.argument, ...given]).toContain('overrides');
    if (row.here === 'always') expect([row.argument, given]).toEqual([row.argument, []]);
  }
});
