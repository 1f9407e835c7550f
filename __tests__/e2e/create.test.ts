import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { defaults, type Simulator } from '../../simulator/index.ts';
import type { World } from '../../simulator/world/world.ts';
import {
  assertNoSecrets,
  defaultInputs,
  type Run,
  runAction,
  runJob,
  windowsImage,
  generatedKey,
} from '../support/harness.ts';
import { startWorld } from '../support/lifecycle.ts';

let sim: Simulator;
const start = async (world?: (world: World) => void): Promise<Simulator> => {
  sim = await startWorld(world ? { world } : {});
  return sim;
};

const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const network = `${group}/providers/Microsoft.Network`;
const compute = `${group}/providers/Microsoft.Compute`;
const puts = () => sim.journal.filter(({ method, host }) => method === 'PUT' && host === 'arm');
const bodyOf = (path: string) =>
  puts().find((put) => put.path.toLowerCase() === path.toLowerCase())?.requestBody as any;
const errors = (run: { annotations: readonly { level: string; message: string; title: string }[] }) =>
  run.annotations.filter(({ level }) => level === 'error');

describe('a Linux machine with defaults', () => {
  let run: Run;
  let own: Simulator;
  beforeAll(async () => {
    own = await start();
    const inputs = { ...defaultInputs(sim), 'vm-name': 'vm1', tags: '{"team": "images"}', 'expires-after': 'PT2H' };
    run = await runAction({ sim, inputs });
  });

  test('comes up with every ID put out, in order, with the auxiliary token where it belongs', () => {
    sim = own;
    expect(errors(run)).toEqual([]);
    expect(run.exitCode).toBe(0);

    const vm = sim.world.resources.get(`${compute}/virtualMachines/vm1`)?.body as any;
    expect(run.outputs).toMatchObject({
      'vm-id': `${compute}/virtualMachines/vm1`,
      'vm-name': 'vm1',
      'vm-instance-id': vm.properties.vmId,
      'vm-size': 'Standard_D2s_v5',
      'subscription-id': defaults.subscriptionId,
      'resource-group': defaults.resourceGroup,
      location: 'westeurope',
      // 1.11.0 is not replicated there, 2.0.0 is excluded from latest; 1.10.0 is newer than 1.9.0.
      'image-version': '1.10.0',
      'image-version-id': defaults.imageId('linux', '1.10.0'),
      'nic-id': `${network}/networkInterfaces/vm1-nic`,
      'nsg-id': `${network}/networkSecurityGroups/vm1-nsg`,
      'vnet-id': `${network}/virtualNetworks/vm1-vnet`,
      'subnet-id': `${network}/virtualNetworks/vm1-vnet/subnets/default`,
      'public-ip-id': `${network}/publicIPAddresses/vm1-ip`,
      'private-ip-address': '192.168.1.4',
      'os-disk-id': `${compute}/disks/vm1-osdisk`,
      'admin-username': 'azureuser',
    });
    expect(run.outputs['public-ip-address']).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(run.droppedOutputs).toEqual([]);
    const { result, ...others } = run.outputs;
    expect(JSON.parse(result ?? '')).toMatchObject({
      'vm-id': others['vm-id'],
      created: JSON.parse(others['created'] ?? ''),
    });
    // NSG, virtual network, public IP, interface, machine and its named disk.
    expect(JSON.parse(others['created'] ?? '')).toHaveLength(6);

    // The network first, side by side; the interface; then the machine, which must not overwrite.
    const order = puts().map(({ path }) => path.split('/').at(-1));
    expect(new Set(order.slice(0, 3))).toEqual(new Set(['vm1-ip', 'vm1-nsg', 'vm1-vnet']));
    expect(order.slice(3)).toEqual(['vm1-nic', 'vm1']);
    const [put] = puts().filter(({ path }) => path.endsWith('/virtualMachines/vm1'));
    expect(put?.requestHeaders['if-none-match']).toBe('*');
    expect(put?.caller?.tenant).toBe(defaults.tenantId);
    expect(put?.auxiliary).toEqual([{ tenant: defaults.imageTenantId, app: defaults.clientId }]);
    const polls = sim.journal.filter(({ isPoll, provider }) => isPoll && provider === 'Microsoft.Compute');
    expect(polls.length).toBeGreaterThan(0);
    for (const poll of polls) expect(poll.auxiliary).toEqual(put?.auxiliary);
    for (const exchange of sim.journal.filter(({ provider }) => provider !== 'Microsoft.Compute')) {
      expect(exchange.auxiliary).toEqual([]);
    }
    // The gallery is read with the image tenant's own token.
    for (const read of sim.journal.filter(({ path }) => path.includes('/galleries/'))) {
      expect(read.caller?.tenant).toBe(defaults.imageTenantId);
    }
    const correlations = new Set(
      sim.journal
        .filter(({ host, caller }) => host === 'arm' && caller)
        .map((one) => one.requestHeaders['x-ms-correlation-request-id']),
    );
    expect(correlations.size).toBe(1);
    expect(run.stdout).toContain([...correlations][0]);

    const asked = sim.journal.filter(({ isPoll }) => !isPoll);
    expect(asked.length).toBeLessThanOrEqual(30);
    const once = asked.filter(
      ({ method, path }) => method !== 'PUT' && !/networkInterfaces|virtualMachines/.test(path),
    );
    expect(
      new Set(once.map(({ method, path, query }) => method + path + JSON.stringify(query))).size,
    ).toBeGreaterThanOrEqual(
      // After each PUT of a network part, the finished resource is read once more for its address and state.
      once.length - 3,
    );
  });

  test('is closed, tagged, and goes away whole with its machine', () => {
    sim = own;
    expect(bodyOf(`${network}/networkSecurityGroups/vm1-nsg`).properties.securityRules).toEqual([]);
    expect(bodyOf(`${network}/virtualNetworks/vm1-vnet`).properties).toMatchObject({
      addressSpace: { addressPrefixes: ['192.168.0.0/16'] },
      subnets: [{ name: 'default', properties: { addressPrefix: '192.168.1.0/24', defaultOutboundAccess: false } }],
    });
    expect(bodyOf(`${network}/publicIPAddresses/vm1-ip`)).toMatchObject({
      sku: { name: 'Standard' },
      properties: { publicIPAllocationMethod: 'Static', idleTimeoutInMinutes: 4 },
    });
    expect(
      bodyOf(`${network}/networkInterfaces/vm1-nic`).properties.ipConfigurations[0].properties.publicIPAddress
        .properties,
    ).toEqual({ deleteOption: 'Delete' });
    const vm = bodyOf(`${compute}/virtualMachines/vm1`).properties;
    expect(vm.storageProfile.osDisk).toMatchObject({
      name: 'vm1-osdisk',
      createOption: 'FromImage',
      deleteOption: 'Delete',
    });
    expect(vm.networkProfile.networkInterfaces[0].properties).toMatchObject({ deleteOption: 'Delete' });
    expect(vm.diagnosticsProfile).toEqual({ bootDiagnostics: { enabled: true } });
    for (const { requestBody } of puts()) {
      expect((requestBody as any).tags).toMatchObject({
        team: 'images',
        'cross-tenant-vm': 'vm1',
        cleanup: 'on-failure',
        'github-run-id': expect.any(String),
        'github-job': expect.any(String),
        'expires-on': expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      });
    }
  });

  test('generates a key pair, warns that it does not outlive the job, and deletes it at the end', async () => {
    await start();
    let mode = 0;
    let derived = '';
    const run = await runJob({
      sim,
      inputs: { ...defaultInputs(sim), ...generatedKey, 'vm-name': 'vm1' },
      between: ({ outputs }) => {
        const path = outputs['ssh-private-key-path'] ?? '';
        mode = statSync(path).mode & 0o777;
        derived = execFileSync('ssh-keygen', ['-y', '-f', path], { encoding: 'utf8' }).trim();
        expect(readFileSync(path, 'utf8')).toMatch(/^-----BEGIN RSA PRIVATE KEY-----/);
      },
    });
    expect(mode).toBe(0o600);
    expect(derived).toMatch(/^ssh-rsa AAAA/);
    const vm = sim.world.resources.get(`${compute}/virtualMachines/vm1`)?.body as any;
    const [key] = vm.properties.osProfile.linuxConfiguration.ssh.publicKeys;
    expect(key.keyData).toContain(derived.split(' ')[1]);
    expect(existsSync(run.outputs['ssh-private-key-path'] ?? '')).toBe(false);
    expect(run.post?.annotations).toEqual([
      expect.objectContaining({
        level: 'warning',
        message: expect.stringMatching(
          /generated SSH key was deleted with the job[\s\S]*\naz vm user update .* -n vm1 --username azureuser --ssh-key-value /,
        ),
      }),
    ]);
    expect(run.annotations.filter(({ level }) => level === 'warning')).toEqual([
      expect.objectContaining({
        message: expect.stringMatching(/`ssh-public-key`[\s\S]*`cleanup: always`[\s\S]*\naz vm user update /),
      }),
    ]);
    const warnedAt = run.lines.findIndex(({ text }) => text.includes('generated SSH key is deleted'));
    expect(warnedAt).toBeLessThan(run.lines.findIndex(({ text }) => text === 'Network'));
    assertNoSecrets(run, [defaults.clientSecret]);
  });

  test('goes into the same tenant without an auxiliary token', async () => {
    await start((world) => {
      world.grant(defaults.clientId, 'Contributor', `/subscriptions/${defaults.imageSubscriptionId}`);
      world.addGroup(defaults.imageSubscriptionId, 'same-rg', 'westeurope');
    });
    const run = await runAction({
      sim,
      inputs: {
        ...defaultInputs(sim),
        'tenant-id': defaults.imageTenantId,
        'subscription-id': defaults.imageSubscriptionId,
        'resource-group': 'same-rg',
        'vm-name': 'vm1',
      },
    });
    expect(errors(run)).toEqual([]);
    expect(sim.journal.flatMap(({ auxiliary }) => auxiliary)).toEqual([]);
    expect(sim.journal.filter(({ kind, method }) => kind.startsWith('entra') && method === 'POST')).toHaveLength(1);
  });
});

describe('Windows', () => {
  test("gives the PowerShell document's resources, setting by setting", async () => {
    await start();
    const password = 'Simulated-Pass-1';
    const run = await runAction({
      sim,
      inputs: {
        ...defaultInputs(sim),
        ...windowsImage('windows-gen1', '1.0.0'),
        'vm-name': 'myVM',
        'admin-username': 'azureuser',
        'admin-password': password,
        'allow-inbound': '3389 from *',
        'vm-size': 'Standard_D1_v2',
      },
    });
    expect(errors(run)).toEqual([]);
    expect(bodyOf(`${network}/virtualNetworks/myVM-vnet`).properties).toMatchObject({
      addressSpace: { addressPrefixes: ['192.168.0.0/16'] },
      subnets: [{ properties: { addressPrefix: '192.168.1.0/24' } }],
    });
    expect(bodyOf(`${network}/publicIPAddresses/myVM-ip`).properties).toMatchObject({
      publicIPAllocationMethod: 'Static',
      idleTimeoutInMinutes: 4,
    });
    expect(bodyOf(`${network}/networkSecurityGroups/myVM-nsg`).properties.securityRules).toEqual([
      {
        name: expect.any(String),
        properties: {
          protocol: 'Tcp',
          direction: 'Inbound',
          priority: 1000,
          sourceAddressPrefix: '*',
          sourcePortRange: '*',
          destinationAddressPrefix: '*',
          destinationPortRange: '3389',
          access: 'Allow',
        },
      },
    ]);
    expect(bodyOf(`${network}/networkInterfaces/myVM-nic`).properties).toMatchObject({
      networkSecurityGroup: { id: `${network}/networkSecurityGroups/myVM-nsg` },
      ipConfigurations: [
        {
          properties: {
            subnet: { id: `${network}/virtualNetworks/myVM-vnet/subnets/default` },
            publicIPAddress: { id: `${network}/publicIPAddresses/myVM-ip` },
          },
        },
      ],
    });
    const vm = bodyOf(`${compute}/virtualMachines/myVM`).properties;
    expect(vm).toMatchObject({
      hardwareProfile: { vmSize: 'Standard_D1_v2' },
      osProfile: { computerName: 'myVM', adminUsername: 'azureuser' },
      storageProfile: { imageReference: { id: defaults.imageId('windows-gen1', '1.0.0') } },
      networkProfile: { networkInterfaces: [{ id: `${network}/networkInterfaces/myVM-nic` }] },
    });
    expect(run.annotations).toContainEqual(
      expect.objectContaining({
        level: 'warning',
        message: expect.stringContaining('3389 (RDP) to the whole internet'),
      }),
    );
    // The size will be retired.
    expect(run.annotations.filter(({ message }) => message.includes('2028'))).toHaveLength(1);
    assertNoSecrets(run, [password, defaults.clientSecret]);
  });

  test('gets a random password that is masked and not in an output, with the command to reset it', async () => {
    await start();
    const run = await runAction({
      sim,
      inputs: { ...defaultInputs(sim), ...windowsImage(), 'vm-name': 'win1' },
    });
    expect(errors(run)).toEqual([]);
    const given = [defaults.clientSecret, 'ghs_simulated'];
    // Access tokens are masked, too.
    const generated = run.masks.filter((mask) => !given.includes(mask) && !mask.startsWith('eyJ'));
    expect(generated).toHaveLength(1);
    assertNoSecrets(run, [...generated, defaults.clientSecret]);
    expect(run.outputs).not.toHaveProperty('ssh-private-key-path');
    expect(run.outputs).not.toHaveProperty('ssh-command');
    expect(run.lines.at(-1)?.text).toMatch(/^Ready in /);
    expect(run.annotations.map(({ message }) => message).join('\n')).toMatch(
      /`admin-password`[\s\S]*az vm user update .* -n win1 --username azureuser --password/,
    );
  });
});

describe('networking that is given', () => {
  let base: Readonly<Record<string, string>>;
  let shared: Simulator;
  beforeAll(async () => {
    shared = await start();
    const { 'subscription-id': _, ...inputs } = defaultInputs(shared);
    const first = await runAction({ sim: shared, inputs: { ...inputs, 'vm-name': 'base', 'dns-label': 'my-label' } });
    expect(errors(first)).toEqual([]);
    base = first.outputs;
  });
  beforeEach(() => {
    sim = shared;
  });

  test('a DNS label gives a name, and the only enabled subscription is used', () => {
    expect(base['fqdn']).toBe('my-label.westeurope.cloudapp.azure.com');
    expect(base['subscription-id']).toBe(defaults.subscriptionId);
  });

  test('a subnet and a security group are shared, and no public IP is made', async () => {
    const before = puts().length;
    const run = await runAction({
      sim,
      inputs: {
        ...defaultInputs(sim),
        'vm-name': 'vm2',
        'subnet-id': base['subnet-id'] ?? '',
        'network-security-group-id': base['nsg-id'] ?? '',
        'public-ip': 'false',
      },
    });
    expect(errors(run)).toEqual([]);
    expect(
      puts()
        .slice(before)
        .map(({ path }) => path.split('/').at(-1)),
    ).toEqual(['vm2-nic', 'vm2']);
    expect(run.outputs).toMatchObject({
      'subnet-id': base['subnet-id'],
      'nsg-id': base['nsg-id'],
      'vnet-id': base['vnet-id'],
    });
    expect(run.outputs).not.toHaveProperty('public-ip-id');
  });

  test('a public IP and a whole interface are used and stay the giver’s', async () => {
    const ip = `${network}/publicIPAddresses/theirs`;
    const nic = `${network}/networkInterfaces/their-nic`;
    const copy = (from: string, to: string, change: (body: any) => void): void => {
      const body = structuredClone(sim.world.resources.get(from)?.body) as any;
      Object.assign(body, { id: to, name: to.split('/').at(-1) });
      delete body.tags;
      change(body.properties);
      sim.world.resources.put({
        id: to,
        type: from.includes('publicIP') ? 'Microsoft.Network/publicIPAddresses' : 'Microsoft.Network/networkInterfaces',
        body,
      });
    };
    copy(`${network}/publicIPAddresses/base-ip`, ip, (properties) => {
      delete properties.ipConfiguration;
      delete properties.dnsSettings;
    });
    copy(`${network}/networkInterfaces/base-nic`, nic, (properties) => {
      delete properties.virtualMachine;
      delete properties.ipConfigurations[0].properties.publicIPAddress;
      properties.ipConfigurations[0].properties.privateIPAddress = '192.168.1.77';
    });
    const withIp = await runAction({
      sim,
      inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', 'public-ip': ip },
    });
    expect(errors(withIp)).toEqual([]);
    expect(withIp.outputs['public-ip-id']).toBe(ip);
    expect(
      bodyOf(`${network}/networkInterfaces/vm1-nic`).properties.ipConfigurations[0].properties.publicIPAddress,
    ).toMatchObject({ id: ip, properties: { deleteOption: 'Detach' } });
    const before = puts().length;
    const withNic = await runAction({
      sim,
      inputs: { ...defaultInputs(sim), 'vm-name': 'vm3', 'nic-id': nic },
    });
    expect(errors(withNic)).toEqual([]);
    expect(
      puts()
        .slice(before)
        .map(({ path }) => path.split('/').at(-1)),
    ).toEqual(['vm3']);
    expect(withNic.outputs).toMatchObject({ 'nic-id': nic, 'private-ip-address': '192.168.1.77' });
    expect(
      bodyOf(`${compute}/virtualMachines/vm3`).properties.networkProfile.networkInterfaces[0].properties,
    ).toMatchObject({
      deleteOption: 'Detach',
    });
  });
});

describe('the resource group', () => {
  test.each([
    ['with rights on the subscription it is missing', true, 'does not exist in subscription'],
    ['with rights on a group only it may be either', false, 'does not exist, or the app'],
  ])('%s', async (_, wide, text) => {
    await start((world) => {
      if (wide) world.grant(defaults.clientId, 'Contributor', `/subscriptions/${defaults.subscriptionId}`);
    });
    const run = await runAction({
      sim,
      inputs: { ...defaultInputs(sim), 'resource-group': 'no-rg', 'vm-name': 'vm1' },
    });
    expect(run.exitCode).toBe(1);
    expect(errors(run)).toHaveLength(1);
    expect(errors(run)[0]?.message).toContain(text);
    expect(errors(run)[0]?.message).toMatch(/az group create .*\bno-rg\b/);
    expect(puts()).toEqual([]);
  });
});

test('lists the subscriptions when there are several enabled ones', async () => {
  const second = 'dddddddd-dddd-4ddd-8ddd-dddddddddddd';
  await start((world) => {
    world.addSubscription({ id: second, tenant: defaults.tenantId, displayName: 'Second' });
    world.grant(defaults.clientId, 'Reader', `/subscriptions/${second}`);
  });
  const { 'subscription-id': _, ...inputs } = defaultInputs(sim);
  const run = await runAction({ sim, inputs: { ...inputs, 'vm-name': 'vm2' } });
  expect(errors(run)[0]?.message).toContain(`Second (${second})`);
  expect(errors(run)[0]?.message).toContain(defaults.subscriptionId);
});

describe('a failure', () => {
  test('ends in one error with code, message and correlation ID, and leaves nothing', async () => {
    await start();
    const run = await runAction({
      sim,
      inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', 'vm-size': 'Standard_DC2as_v5' },
    });
    expect(run.exitCode).toBe(1);
    expect(errors(run)).toHaveLength(1);
    const [{ message, title } = { message: '', title: '' }] = errors(run);
    expect(title).toMatch(/^Standard_DC2as_v5 does not support security type /);
    expect(message.split('\n')[0]).toMatch(/^Cause: Standard_DC2as_v5 does not support security type /);
    expect(message).toContain('BadRequest');
    expect(message).toMatch(/Correlation ID: [0-9a-f-]{36}/);
    expect(message).toMatch(/Who must act: /);
    expect(JSON.parse(run.outputs['deleted'] ?? '[]')).toHaveLength(4);
    for (const kind of ['virtualMachines/vm1', 'networkInterfaces/vm1-nic', 'virtualNetworks/vm1-vnet']) {
      expect([...sim.world.resources.all()].filter(({ id }) => id.endsWith(kind))).toEqual([]);
    }
  });

  test('bad inputs are refused all at once, and nothing is sent', async () => {
    await start();
    const run = await runAction({
      sim,
      inputs: {
        ...defaultInputs(sim),
        'client-secret': '',
        'image-id': 'linux',
        'vm-name': 'a_b!',
        'admin-username': 'root',
        'allow-inbound': 'ssh from home',
        'address-prefix': '10.0.0.0/8',
        'subnet-prefix': '192.168.1.0/24',
      },
      event: { pull_request: { head: { repo: { fork: true } } } },
      env: { GITHUB_EVENT_NAME: 'pull_request' },
    });
    expect(run.exitCode).toBe(1);
    const [{ message } = { message: '' }] = errors(run);
    for (const name of ['client-secret', 'image-id', 'vm-name', 'admin-username', 'allow-inbound', 'subnet-prefix']) {
      expect(message).toContain(`- ${name}`);
    }
    expect(message).toMatch(/fork/);
    expect(sim.journal).toEqual([]);
  });
});
