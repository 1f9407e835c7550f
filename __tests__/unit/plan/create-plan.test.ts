import type { VirtualMachine } from '@azure/arm-compute';
import { describe, expect, test } from '@jest/globals';
import type { ResolvedImage } from '../../../src/image/image.ts';
import type { DeployInputs } from '../../../src/inputs/inputs.ts';
import { resourceNames } from '../../../src/deployment/resources.ts';
import { createPlan } from '../../../src/plan/create-plan.ts';
import { resolveComputerName } from '../../../src/vm/vm-spec.ts';
import { parseResourceId, type ResourceId } from '../../../src/azure/resource-id.ts';
import { deployInputs, group, linuxImage, newNetwork, subscriptionId, versionId } from '../../support/values.ts';

const idOf = (text: string): ResourceId => parseResourceId(text) as ResourceId;

const inputs: DeployInputs = {
  ...deployInputs,
  tags: { team: 'images' },
  sshPublicKeys: ['ssh-rsa AAAA one', 'ssh-rsa BBBB two'],
};
const linux: ResolvedImage = { ...linuxImage, generation: 'V2' };

const around = {
  subscriptionId,
  location: 'westeurope',
  ownership: { 'cross-tenant-vm': 'vm1', cleanup: 'on-failure' },
  generated: {},
};

const plan = (changes: Partial<DeployInputs> = {}, image: Partial<ResolvedImage> = {}, generated = {}) =>
  createPlan({ ...inputs, ...changes }, { ...linux, ...image }, { ...around, generated });
const body = (changes: Partial<DeployInputs> = {}, image: Partial<ResolvedImage> = {}, generated = {}) => {
  const { vm } = plan(changes, image, generated);
  // As it is sent: JSON drops what is undefined.
  return JSON.parse(JSON.stringify(vm.body(vm.attempts[0] ?? { size: 'none' }))) as VirtualMachine;
};

describe('names', () => {
  test('derive from the machine and keep to the rules of each type', () => {
    expect(resourceNames('vm1')).toEqual({
      vm: 'vm1',
      nsg: 'vm1-nsg',
      vnet: 'vm1-vnet',
      publicIp: 'vm1-ip',
      nic: 'vm1-nic',
      osDisk: 'vm1-osdisk',
    });
  });

  test('cut names keep to the length and still differ', () => {
    const one = resourceNames(`${'a'.repeat(63)}1`);
    const two = resourceNames(`${'a'.repeat(63)}2`);
    expect(one.vnet).toHaveLength(64);
    expect(one.vnet).toMatch(/^a+-[0-9a-f]{6}-vnet$/);
    expect(one.vnet).not.toBe(two.vnet);
    expect(one.nic).toBe(`${'a'.repeat(63)}1-nic`);
  });

  test.each([
    ['vm1', 'Windows', 'vm1'],
    ['a-very-long-machine-name', 'Windows', /^a-very-l-[0-9a-f]{6}$/],
    ['12345', 'Windows', 'vm12345'],
    ['12345', 'Linux', '12345'],
  ] as const)('computer name of %s on %s', (name, os, expected) => {
    expect(resolveComputerName(name, os)).toEqual(
      typeof expected === 'string' ? expected : expect.stringMatching(expected),
    );
    expect(resolveComputerName(name, os).length).toBeLessThanOrEqual(os === 'Windows' ? 15 : 64);
  });
});

describe('network', () => {
  test('everything is made, closed, and with its outbound access said', () => {
    const { nsg, vnet, subnetId, publicIp, nic, notices } = plan();
    const tags = { team: 'images', 'cross-tenant-vm': 'vm1', cleanup: 'on-failure' };
    expect(nsg).toEqual({
      origin: 'made',
      name: 'vm1-nsg',
      id: `${group}/providers/Microsoft.Network/networkSecurityGroups/vm1-nsg`,
      body: { location: 'westeurope', tags, securityRules: [] },
    });
    expect(vnet?.body).toEqual({
      location: 'westeurope',
      tags,
      addressSpace: { addressPrefixes: ['192.168.0.0/16'] },
      subnets: [
        {
          name: 'default',
          addressPrefix: '192.168.1.0/24',
          networkSecurityGroup: { id: nsg?.id },
          defaultOutboundAccess: false,
        },
      ],
    });
    expect(subnetId).toBe(`${vnet?.id}/subnets/default`);
    expect(publicIp).toMatchObject({
      origin: 'made',
      body: { sku: { name: 'Standard' }, publicIPAllocationMethod: 'Static', idleTimeoutInMinutes: 4 },
    });
    expect(nic).toMatchObject({
      origin: 'made',
      body: {
        networkSecurityGroup: { id: nsg?.id },
        ipConfigurations: [
          {
            subnet: { id: subnetId },
            publicIPAddress: { id: publicIp?.id, deleteOption: 'Delete' },
            privateIPAllocationMethod: 'Dynamic',
          },
        ],
      },
    });
    expect(notices).toEqual([]);
  });

  test('without a public IP the way out is kept open, and said', () => {
    const { vnet, publicIp, notices } = plan({ network: { ...newNetwork, publicIp: { kind: 'none' } } });
    expect(publicIp).toBeUndefined();
    expect(vnet?.body.subnets?.[0]?.defaultOutboundAccess).toBe(true);
    expect(notices).toHaveLength(1);
  });

  test.each(['subnets', 'Subnets'])('overriding %s leaves outbound access to the author', (key) => {
    const network = { ...newNetwork, publicIp: { kind: 'none' } as const };
    expect(plan({ network, overrides: { vnet: { Properties: { [key]: [] } } } }).notices).toEqual([]);
  });

  test('what is given is used and never deleted with the machine', () => {
    const subnet = idOf(`${group}/providers/Microsoft.Network/virtualNetworks/v/subnets/s`);
    const nsg = idOf(`${group}/providers/Microsoft.Network/networkSecurityGroups/n`);
    const ip = idOf(`${group}/providers/Microsoft.Network/publicIPAddresses/p`);
    const made = plan({
      network: {
        kind: 'new-nic',
        subnet: { kind: 'given', id: subnet },
        nsg: { kind: 'given', id: nsg },
        publicIp: { kind: 'given', id: ip },
        privateIpAddress: '10.0.0.9',
        acceleratedNetworking: true,
      },
    });
    expect(made.vnet).toBeUndefined();
    expect(made.nsg).toEqual({ origin: 'given', ...nsg });
    expect(made.nic).toMatchObject({
      body: {
        enableAcceleratedNetworking: true,
        networkSecurityGroup: { id: nsg.id },
        ipConfigurations: [
          {
            subnet: { id: subnet.id },
            publicIPAddress: { id: ip.id, deleteOption: 'Detach' },
            privateIPAllocationMethod: 'Static',
            privateIPAddress: '10.0.0.9',
          },
        ],
      },
    });
  });

  test('a given interface stays, and nothing of the network is made', () => {
    const nicId = idOf(`${group}/providers/Microsoft.Network/networkInterfaces/n`);
    const made = plan({ network: { kind: 'given-nic', nicId } });
    expect([made.nsg, made.vnet, made.publicIp]).toEqual([undefined, undefined, undefined]);
    expect(made.vm.body({ size: 'x' }).networkProfile?.networkInterfaces).toEqual([
      { id: nicId.id, primary: true, deleteOption: 'Detach' },
    ]);
  });

  test('rules take priorities in the order they are written, and the open ones warn', () => {
    const { nsg, warnings } = plan({
      network: {
        ...newNetwork,
        nsg: {
          kind: 'new',
          inbound: [
            { fromPort: 22, toPort: 22, protocol: 'Tcp', source: '203.0.113.0/24' },
            { fromPort: 3000, toPort: 4000, protocol: 'Tcp', source: '*' },
            { fromPort: 0, toPort: 65535, protocol: '*', source: '2001:db8::/32' },
            { fromPort: 3389, toPort: 3389, protocol: 'Udp', source: '*' },
          ],
        },
      },
    });
    const rules = nsg?.origin === 'made' ? nsg.body.securityRules : [];
    expect(
      rules?.map(({ name, priority, destinationPortRange, protocol }) => [
        name,
        priority,
        destinationPortRange,
        protocol,
      ]),
    ).toEqual([
      ['allow-22-tcp-1000', 1000, '22', 'Tcp'],
      ['allow-3000-4000-tcp-1010', 1010, '3000-4000', 'Tcp'],
      ['allow-any-any-1020', 1020, '*', '*'],
      ['allow-3389-udp-1030', 1030, '3389', 'Udp'],
    ]);
    expect(warnings).toEqual([expect.stringContaining('port 3389 (RDP)')]);
  });
});

describe('machine', () => {
  test('Linux with keys takes no password', () => {
    expect(body()).toMatchObject({
      location: 'westeurope',
      hardwareProfile: { vmSize: 'Standard_D2s_v5' },
      storageProfile: {
        imageReference: { id: versionId },
        osDisk: { name: 'vm1-osdisk', createOption: 'FromImage', deleteOption: 'Delete' },
      },
      osProfile: {
        computerName: 'vm1',
        adminUsername: 'azureuser',
        linuxConfiguration: {
          disablePasswordAuthentication: true,
          ssh: {
            publicKeys: [
              { path: '/home/azureuser/.ssh/authorized_keys', keyData: 'ssh-rsa AAAA one' },
              { path: '/home/azureuser/.ssh/authorized_keys', keyData: 'ssh-rsa BBBB two' },
            ],
          },
        },
      },
      networkProfile: { networkInterfaces: [{ deleteOption: 'Delete' }] },
      diagnosticsProfile: { bootDiagnostics: { enabled: true } },
    });
    expect(body()).not.toHaveProperty('securityProfile');
    expect(body()).not.toHaveProperty('identity');
    expect(body()).not.toHaveProperty('zones');
  });

  test('a generated key takes the place of given ones; a password allows password sign-in', () => {
    const key = body({ sshPublicKeys: [] }, {}, { sshPublicKey: 'ssh-rsa made' }).osProfile;
    expect(key?.linuxConfiguration?.ssh?.publicKeys?.map(({ keyData }) => keyData)).toEqual(['ssh-rsa made']);
    const password = body({ sshPublicKeys: [], adminPassword: 'Long-enough-1' }).osProfile;
    expect(password).toMatchObject({
      adminPassword: 'Long-enough-1',
      linuxConfiguration: { disablePasswordAuthentication: false },
    });
    expect(password?.linuxConfiguration).not.toHaveProperty('ssh');
  });

  test('Windows takes the given or the generated password', () => {
    expect(body({ adminPassword: 'Given-Pass-1' }, { osType: 'Windows' }).osProfile).toMatchObject({
      adminPassword: 'Given-Pass-1',
    });
    const generated = body({}, { osType: 'Windows' }, { password: 'Made-Pass-1' }).osProfile;
    expect(generated).toMatchObject({ adminPassword: 'Made-Pass-1' });
    expect(generated).not.toHaveProperty('linuxConfiguration');
  });

  test('a specialized image gets no osProfile', () => {
    expect(body({}, { osState: 'Specialized' })).not.toHaveProperty('osProfile');
  });

  test('data disks, plan and security follow the image', () => {
    const made = body(
      {},
      {
        dataDiskLuns: [0, 2],
        plan: { name: 'n', publisher: 'p', product: 'o' },
        securityType: 'TrustedLaunch',
      },
    );
    expect(made.storageProfile?.dataDisks).toEqual([
      { lun: 0, createOption: 'FromImage', deleteOption: 'Delete' },
      { lun: 2, createOption: 'FromImage', deleteOption: 'Delete' },
    ]);
    // Compute picks the controller that image and size have in common.
    expect(made.storageProfile).not.toHaveProperty('diskControllerType');
    expect(made.plan).toEqual({ name: 'n', publisher: 'p', product: 'o' });
    expect(made.securityProfile).toEqual({
      securityType: 'TrustedLaunch',
      uefiSettings: { secureBootEnabled: true, vTpmEnabled: true },
    });
    expect(body({ securityType: 'Standard' }, { securityType: 'TrustedLaunch' })).toMatchObject({
      securityProfile: { securityType: 'Standard' },
    });
    expect(body({}, { securityType: 'Standard' })).not.toHaveProperty('securityProfile');
    const confidential = body({}, { securityType: 'ConfidentialVM' });
    expect(confidential.securityProfile).toMatchObject({ securityType: 'ConfidentialVM' });
    expect(confidential.storageProfile?.osDisk?.managedDisk?.securityProfile).toEqual({
      securityEncryptionType: 'VMGuestStateOnly',
    });
  });

  test('sizes and zones make ordered attempts, and only they differ between bodies', () => {
    const { vm } = plan({ sizes: ['A', 'B'], zones: ['1', '3'] });
    expect(vm.attempts).toEqual([
      { size: 'A', zone: '1' },
      { size: 'A', zone: '3' },
      { size: 'B', zone: '1' },
      { size: 'B', zone: '3' },
    ]);
    const [first, last] = [vm.body({ size: 'A', zone: '1' }), vm.body({ size: 'B', zone: '3' })];
    expect({ ...last, hardwareProfile: first.hardwareProfile, zones: first.zones }).toEqual(first);
    expect(plan({}, { architecture: 'Arm64' }).vm.attempts).toEqual([
      { size: 'Standard_D2ps_v6' },
      { size: 'Standard_D2ps_v5' },
    ]);
  });

  test('identities of all three kinds', () => {
    const given = idOf(`${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/theirs`);
    const { identity } = body({ identity: { system: true, given: [given], named: ['mine'] } });
    expect(identity?.type).toBe('SystemAssigned, UserAssigned');
    expect(Object.keys(identity?.userAssignedIdentities ?? {})).toEqual([
      given.id,
      `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mine`,
    ]);
  });

  test('spot, licence, disk and user data', () => {
    expect(
      body({
        spot: { maxPrice: -1, evictionPolicy: 'Delete' },
        licenseType: 'Windows_Server',
        osDiskSizeGb: 64,
        osDiskType: 'Premium_LRS',
        userData: 'eA==',
      }),
    ).toMatchObject({
      priority: 'Spot',
      evictionPolicy: 'Delete',
      billingProfile: { maxPrice: -1 },
      licenseType: 'Windows_Server',
      userData: 'eA==',
      storageProfile: { osDisk: { diskSizeGB: 64, managedDisk: { storageAccountType: 'Premium_LRS' } } },
    });
  });
});

test('overrides are kept by the ID of the resource that they change', () => {
  const { patches } = plan({
    overrides: { vm: { properties: { a: 1 } }, 'public-ip': { tags: { b: 'c' } } },
  });
  expect([...patches]).toEqual([
    [`${group}/providers/Microsoft.Compute/virtualMachines/vm1`.toLowerCase(), { properties: { a: 1 } }],
    [`${group}/providers/Microsoft.Network/publicIPAddresses/vm1-ip`.toLowerCase(), { tags: { b: 'c' } }],
  ]);
});
