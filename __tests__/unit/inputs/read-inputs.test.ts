import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { inputExamples } from '../../../scripts/docs/generate.ts';
import { certificateExpiry, certificateExpiryNotice } from '../../../src/lib/pem.ts';
import { generateSshKeyPair } from '../../../src/lib/ssh-key.ts';
import { reservedTags } from '../../../src/inputs/overrides.ts';
import { validateAdminAccount } from '../../../src/inputs/admin-account.ts';
import type { RunnerValues } from '../../../src/inputs/input-reader.ts';
import {
  type DeployInputs,
  inputDefaults,
  inputNames,
  type InputName,
  type Inputs,
  InvalidInputs,
} from '../../../src/inputs/inputs.ts';
import { readInputs } from '../../../src/inputs/read-inputs.ts';
import { ownershipTags } from '../../../src/deployment/ownership.ts';
import { toValidVmName } from '../../../src/inputs/vm-name.ts';
import { makeClientCertificate } from '../../../simulator/http/keys.ts';

type Given = Partial<Record<InputName, string>>;

const guid = (digit: string) => '00000000-0000-0000-0000-000000000000'.replaceAll('0', digit);
const subscription = `/subscriptions/${guid('1')}`;
const group = `${subscription}/resourceGroups/deploy-rg`;
const network = `${group}/providers/Microsoft.Network`;
const subnetId = `${network}/virtualNetworks/v/subnets/s`;
const nicId = `${network}/networkInterfaces/n`;
const nsgId = `${network}/networkSecurityGroups/g`;
const publicIpId = `${network}/publicIPAddresses/p`;
const identityId = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i`;
const registry = `${group}/providers/Microsoft.ContainerRegistry/registries/r`;
const imageId = `${group}/providers/Microsoft.Compute/galleries/images/images/linux/versions/1.0.0`;
const ed25519 = `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(32, 7))} me, at home`;

const bare = `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(32, 8))}`;
const other = `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(32, 9))}`;
const rsa = `ssh-rsa ${wire('ssh-rsa', Buffer.of(3), Buffer.alloc(256, 255))} you, on the road`;

const least: Given = {
  'client-id': guid('2'),
  'client-secret': 'not-a-real-secret',
  'tenant-id': guid('3'),
  'image-tenant-id': guid('4'),
  'resource-group': 'deploy-rg',
  'image-id': imageId,
};
const env = {
  GITHUB_RUN_ID: '77',
  GITHUB_JOB: 'build',
  GITHUB_WORKSPACE: '/home/runner/work',
  GITHUB_REPOSITORY: 'octo/repo',
};

/** Length-prefixed fields in base64, as in a public key. */
function wire(...fields: readonly (string | Buffer)[]): string {
  const parts = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.length);
    return [length, Buffer.from(field)];
  });
  return Buffer.concat(parts).toString('base64');
}

function runnerWith(given: Partial<RunnerValues> = {}): RunnerValues {
  return { env, readFile: () => undefined, realPath: (path) => path, mask: () => {}, ...given };
}

/** Reads as the action does: what is not given has its default, unless it is given as an empty string. */
function read(given: Given, runner: Partial<RunnerValues> = {}): Inputs {
  const raw: Record<string, string> = { ...inputDefaults, 'vm-name': 'vm-77-build-0', ...given };
  return readInputs((name) => raw[name] ?? '', runnerWith(runner));
}

function readDeployment(given: Given, runner: Partial<RunnerValues> = {}): DeployInputs {
  const inputs = read({ ...least, ...given }, runner);
  if (inputs.operation !== 'create' && inputs.operation !== 'check') throw new Error('not a deployment');
  return inputs;
}

function refusal(given: Given, runner: Partial<RunnerValues> = {}): InvalidInputs {
  try {
    read(given, runner);
  } catch (error) {
    if (error instanceof InvalidInputs) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** The issues of the minimal inputs with these changes. */
function issuesOf(given: Given, runner: Partial<RunnerValues> = {}): readonly string[] {
  return refusal({ ...least, ...given }, runner).issues.map(({ input, message }) => `${input}: ${message}`);
}

describe('action.yml', () => {
  const action = parse(readFileSync(new URL('../../../action.yml', import.meta.url), 'utf8')) as {
    inputs: Record<string, { description: string; required: boolean; default?: string }>;
    runs: Record<string, string>;
  };

  test('names the inputs that the code reads, in the same order', () => {
    expect(Object.keys(action.inputs)).toEqual(inputNames);
  });

  test.each(inputNames)('%s has the same default in the code', (name) => {
    const declared = action.inputs[name]?.default ?? '';
    expect(declared.includes('${{') ? '' : declared).toBe(inputDefaults[name]);
  });

  test('leaves to the runner only what it alone knows', () => {
    const expressions = inputNames.filter((name) => action.inputs[name]?.default?.includes('${{'));
    expect(expressions).toEqual(['vm-name', 'github-token']);
  });

  test('requires what every operation needs', () => {
    const required = inputNames.filter((name) => action.inputs[name]?.required);
    expect(required).toEqual(['client-id', 'tenant-id', 'resource-group']);
  });

  test('docs/inputs.yml has an accepted example of each input', () => {
    const examples = inputExamples();
    expect(Object.keys(examples)).toEqual(inputNames);
    // Examples that exclude each other are read one by one; secrets and keys are expressions of the workflow.
    const needed: Partial<Record<InputName, Given>> = {
      'max-price': { spot: 'true' },
      'eviction-policy': { spot: 'true' },
      'subnet-prefix': { 'address-prefix': '10.0.0.0/16' },
      'address-prefix': { 'subnet-prefix': '10.0.1.0/24' },
      'run-script-timeout-minutes': { 'run-script': 'true' },
      'run-script-parameters': { 'run-script': 'true' },
      'run-script-secrets': { 'run-script': 'true' },
      'role-assignments': { identity: 'system' },
    };
    for (const [name, { example }] of Object.entries(examples)) {
      if (example.startsWith('${{')) continue;
      const given = { ...least, ...needed[name as InputName], [name]: example };
      const readFile = () => Buffer.from('#cloud-config');
      expect(() => read(given, { readFile })).not.toThrow();
    }
  });

  test('describes each input in a few words', () => {
    for (const { description } of Object.values(action.inputs)) expect(description.length).toBeLessThan(320);
  });

  test('runs the bundle, and again at the end of the job', () => {
    expect(action.runs).toEqual({
      using: 'node24',
      main: 'dist/index.js',
      post: 'dist/post.js',
      'post-if': 'always()',
    });
  });
});

describe('operations', () => {
  test('create with the least inputs', () => {
    expect(readDeployment({})).toEqual({
      operation: 'create',
      clientId: guid('2'),
      credential: { kind: 'secret', secret: 'not-a-real-secret' },
      tenantId: guid('3'),
      environment: { kind: 'known', name: 'azurecloud' },
      resourceGroup: 'deploy-rg',
      timeoutMinutes: 60,
      summary: true,
      cleanup: 'on-failure',
      waitFor: 'provisioned',
      imageTenantId: guid('4'),
      auxiliaryTenantIds: [],
      tags: {},
      image: expect.objectContaining({ kind: 'version', version: '1.0.0', gallery: 'images' }),
      imageWaitMinutes: 0,
      vmName: 'vm-77-build-0',
      sizes: [],
      zones: [],
      adminUsername: 'azureuser',
      sshPublicKeys: [],
      identity: { system: false, given: [], named: [] },
      roleAssignments: [],
      overrides: {},
      network: {
        kind: 'new-nic',
        subnet: { kind: 'new', addressPrefix: '192.168.0.0/16', subnetPrefix: '192.168.1.0/24' },
        nsg: { kind: 'new', inbound: [] },
        publicIp: { kind: 'new' },
        acceleratedNetworking: false,
      },
    });
  });

  test('an empty value is one that is not given', () => {
    const blank = Object.fromEntries(inputNames.map((name) => [name, name === 'summary' ? '  \n' : '']));
    expect(read({ ...blank, ...least })).toEqual(readDeployment({}));
  });

  test('check reads the same as create', () => {
    expect(readDeployment({ operation: 'Check' })).toEqual({ ...readDeployment({}), operation: 'check' });
  });

  test('delete and sweep do without the image, and leave the inputs of create unread', () => {
    const given: Given = {
      ...least,
      'image-tenant-id': '',
      'image-id': 'what create would refuse',
      'address-prefix': 'x',
      'vm-name': 'runner-1',
      'github-token': 'token',
    };
    const common = {
      clientId: guid('2'),
      credential: { kind: 'secret', secret: 'not-a-real-secret' },
      tenantId: guid('3'),
      environment: { kind: 'known', name: 'azurecloud' },
      resourceGroup: 'deploy-rg',
      timeoutMinutes: 60,
      summary: true,
    };
    expect(read({ ...given, operation: 'delete' })).toEqual({
      ...common,
      operation: 'delete',
      vmName: 'runner-1',
    });
    expect(read({ ...given, operation: 'sweep' })).toEqual({
      ...common,
      operation: 'sweep',
      githubToken: 'token',
    });
    expect(read({ ...given, operation: 'sweep', 'github-token': '' })).toEqual({
      ...common,
      operation: 'sweep',
    });
  });
});

describe('good values', () => {
  const anywhere = { kind: 'new', addressPrefix: '192.168.0.0/16', subnetPrefix: '192.168.1.0/24' };
  const newNic = {
    kind: 'new-nic',
    subnet: anywhere,
    nsg: { kind: 'new', inbound: [] },
    publicIp: { kind: 'new' },
    acceleratedNetworking: false,
  };
  const rule = (fromPort: number, toPort: number, protocol: string, source: string) => ({
    fromPort,
    toPort,
    protocol,
    source,
  });

  test.each<[string, Given, object]>([
    [
      'IDs in capitals',
      { 'client-id': 'ABCDEF00-0000-0000-0000-000000000000' },
      { clientId: 'abcdef00-0000-0000-0000-000000000000' },
    ],
    [
      'a tenant by its domain',
      { 'tenant-id': ' Contoso.onmicrosoft.com ' },
      { tenantId: 'contoso.onmicrosoft.com' },
    ],
    ['one tenant for both', { 'image-tenant-id': guid('3') }, { imageTenantId: guid('3') }],
    [
      'further tenants',
      { 'auxiliary-tenant-ids': `${guid('5')}, fabrikam.com` },
      { auxiliaryTenantIds: [guid('5'), 'fabrikam.com'] },
    ],
    [
      'a cloud in any case',
      { environment: 'AzureUSGovernment' },
      { environment: { kind: 'known', name: 'azureusgovernment' } },
    ],
    [
      'a cloud by its endpoint',
      { environment: 'https://management.local.azurestack.external/' },
      {
        environment: { kind: 'discovered', resourceManager: 'https://management.local.azurestack.external' },
      },
    ],
    [
      'a choice in any case',
      { cleanup: 'ALWAYS', 'wait-for': 'Agent' },
      { cleanup: 'always', waitFor: 'agent' },
    ],
    [
      'parts of minutes',
      { 'timeout-minutes': '0.5', 'image-wait-minutes': '90' },
      { timeoutMinutes: 0.5, imageWaitMinutes: 90 },
    ],
    ['no summary', { summary: 'False' }, { summary: false }],
    ['a subscription', { 'subscription-id': guid('1') }, { subscriptionId: guid('1') }],
    ['a region by its display name', { location: 'South Central US' }, { location: 'southcentralus' }],
    ['hours', { 'expires-after': 'PT2H' }, { expiresAfterSeconds: 7_200 }],
    [
      'weeks to seconds',
      { 'expires-after': 'p1w2dT3H4M5S' },
      { expiresAfterSeconds: 604_800 + 172_800 + 10_800 + 240 + 5 },
    ],
    ['half an hour', { 'expires-after': 'PT0.5H' }, { expiresAfterSeconds: 1_800 }],
    [
      'tags as YAML',
      { tags: 'cost: 1.10\nteam: build\nempty:\non: true' },
      { tags: { cost: '1.10', team: 'build', empty: '', on: 'true' } },
    ],
    ['tags as JSON', { tags: '{"cost": 1.10, "a b": "c: d"}' }, { tags: { cost: '1.10', 'a b': 'c: d' } }],
    [
      'sizes and zones',
      { 'vm-size': 'Standard_D2s_v5\nStandard_E4-2s_v5, Standard_D2s_v5', zone: '2,1' },
      { sizes: ['Standard_D2s_v5', 'Standard_E4-2s_v5'], zones: ['2', '1'] },
    ],
    ['spot', { spot: 'true' }, { spot: { maxPrice: -1, evictionPolicy: 'Delete' } }],
    [
      'spot with a price',
      { spot: 'true', 'max-price': '0.05', 'eviction-policy': 'deallocate' },
      { spot: { maxPrice: 0.05, evictionPolicy: 'Deallocate' } },
    ],
    ['a password as it is', { 'admin-password': ' Abc, 12345 \n' }, { adminPassword: ' Abc, 12345 \n' }],
    [
      'keys with commas in comments',
      { 'ssh-public-key': `# mine\n${ed25519}\n\n${ed25519}` },
      { sshPublicKeys: [ed25519] },
    ],
    ['keys behind commas', { 'ssh-public-key': `${ed25519},${rsa}` }, { sshPublicKeys: [ed25519, rsa] }],
    [
      'keys behind commas and in lines, without what is empty or twice',
      { 'ssh-public-key': `${bare},\n${rsa} ,  ${bare},,${ed25519},\n# ${rsa}, ${other}\n,` },
      { sshPublicKeys: [bare, rsa, ed25519] },
    ],
    [
      'a comment that names a type of key',
      { 'ssh-public-key': `${ed25519}, my ssh-rsa key, ssh-rsa` },
      { sshPublicKeys: [`${ed25519}, my ssh-rsa key, ssh-rsa`] },
    ],
    [
      'the host name and OS',
      { 'computer-name': 'web-1', 'os-type': 'linux' },
      { computerName: 'web-1', osType: 'Linux' },
    ],
    [
      'the disk',
      { 'os-disk-size-gb': '64', 'os-disk-type': 'premium_lrs' },
      { osDiskSizeGb: 64, osDiskType: 'Premium_LRS' },
    ],
    [
      'custom data as it is',
      { 'custom-data': '#cloud-config\n', 'user-data': 'ü' },
      { customData: 'I2Nsb3VkLWNvbmZpZwo=', userData: 'w7w=' },
    ],
    ['the most custom data', { 'custom-data': 'x'.repeat(65_535) }, { customData: expect.any(String) }],
    [
      'security and licence',
      { 'security-type': 'trustedlaunch', 'license-type': 'RHEL_BYOS' },
      { securityType: 'TrustedLaunch', licenseType: 'RHEL_BYOS' },
    ],
    [
      'identities',
      { identity: `system, ${identityId}\npuller` },
      {
        identity: {
          system: true,
          given: [expect.objectContaining({ id: identityId, name: 'i' })],
          named: ['puller'],
        },
      },
    ],
    [
      'roles by name, GUID and ID',
      {
        identity: 'system',
        'role-assignments': [
          `AcrPull on ${registry}/`,
          `${guid('a')} on ${group}`,
          `${subscription}/providers/Microsoft.Authorization/roleDefinitions/${guid('b')} on ${subscription}`,
          `/providers/Microsoft.Authorization/roleDefinitions/${guid('c')} ON ${subscription}`,
          `Storage Blob Data Reader on ${group}`,
        ].join('\n'),
      },
      {
        roleAssignments: [
          { role: { kind: 'name', name: 'AcrPull' }, scope: registry },
          { role: { kind: 'id', guid: guid('a') }, scope: group },
          { role: { kind: 'id', guid: guid('b') }, scope: subscription },
          { role: { kind: 'id', guid: guid('c') }, scope: subscription },
          { role: { kind: 'name', name: 'Storage Blob Data Reader' }, scope: group },
        ],
      },
    ],
    [
      'a script as it is',
      {
        'run-script': 'echo hi\n',
        'run-script-parameters': 'count: 3',
        'run-script-secrets': '{"token": "t0ken"}',
      },
      {
        script: {
          text: 'echo hi\n',
          timeoutMinutes: 30,
          parameters: { count: '3' },
          secrets: { token: 't0ken' },
        },
      },
    ],
    [
      'overrides with their types',
      {
        overrides:
          'vm:\n  properties:\n    diagnosticsProfile: null\n    priority: 3\nnsg: {"tags": {"a": "b"}}',
      },
      {
        overrides: {
          vm: { properties: { diagnosticsProfile: null, priority: 3 } },
          nsg: { tags: { a: 'b' } },
        },
      },
    ],
    [
      'another network',
      {
        'address-prefix': '10.0.0.0/8',
        'subnet-prefix': '10.1.2.0/29',
        'private-ip-address': '10.1.2.4',
        'accelerated-networking': 'true',
      },
      {
        network: {
          ...newNic,
          subnet: { kind: 'new', addressPrefix: '10.0.0.0/8', subnetPrefix: '10.1.2.0/29' },
          privateIpAddress: '10.1.2.4',
          acceleratedNetworking: true,
        },
      },
    ],
    [
      'what exists already',
      {
        'subnet-id': subnetId,
        'network-security-group-id': nsgId,
        'public-ip': publicIpId,
        'private-ip-address': '10.9.9.9',
      },
      {
        network: {
          ...newNic,
          subnet: { kind: 'given', id: expect.objectContaining({ id: subnetId, names: ['v', 's'] }) },
          nsg: { kind: 'given', id: expect.objectContaining({ id: nsgId }) },
          publicIp: { kind: 'given', id: expect.objectContaining({ id: publicIpId }) },
          privateIpAddress: '10.9.9.9',
        },
      },
    ],
    [
      'an interface',
      { 'nic-id': nicId },
      { network: { kind: 'given-nic', nicId: expect.objectContaining({ id: nicId }) } },
    ],
    ['no public IP', { 'public-ip': 'FALSE' }, { network: { ...newNic, publicIp: { kind: 'none' } } }],
    [
      'a DNS label',
      { 'dns-label': 'my-vm1' },
      { network: { ...newNic, publicIp: { kind: 'new', dnsLabel: 'my-vm1' } } },
    ],
    [
      'inbound rules',
      {
        'allow-inbound': [
          '22 from 203.0.113.0/24, 22 from 198.51.100.7',
          '8000-8010/tcp from VirtualNetwork',
          '53/UDP from 2001:db8::/32',
          '*/* from AzureCloud.WestEurope',
          '443 FROM *',
        ].join('\n'),
      },
      {
        network: {
          ...newNic,
          nsg: {
            kind: 'new',
            inbound: [
              rule(22, 22, 'Tcp', '203.0.113.0/24'),
              rule(22, 22, 'Tcp', '198.51.100.7'),
              rule(8000, 8010, 'Tcp', 'VirtualNetwork'),
              rule(53, 53, 'Udp', '2001:db8::/32'),
              rule(0, 65_535, '*', 'AzureCloud.WestEurope'),
              rule(443, 443, 'Tcp', '*'),
            ],
          },
        },
      },
    ],
  ])('%s', (_, given, expected) => {
    expect(readDeployment(given)).toMatchObject(expected);
  });
});

describe('invalid inputs', () => {
  test.each<[Given, RegExp]>([
    [{ 'client-id': 'my-app' }, /^client-id: is not a GUID/],
    [{ 'client-id': '' }, /^client-id: is required/],
    [{ 'tenant-id': 'common' }, /^tenant-id: is neither the GUID nor a verified domain/],
    [{ 'image-tenant-id': '' }, /^image-tenant-id: is required/],
    [{ 'auxiliary-tenant-ids': guid('3') }, /^auxiliary-tenant-ids: .* already named/],
    [
      { 'auxiliary-tenant-ids': [5, 6, 7].map((n) => guid(`${n}`)).join() },
      /^auxiliary-tenant-ids: has 3 entries/,
    ],
    [{ 'auxiliary-tenant-ids': 'x' }, /^auxiliary-tenant-ids: is neither/],
    [{ environment: 'azuregermancloud' }, /^environment: .* is none of: azurecloud, azureusgovernment/],
    [{ environment: 'http://management.azure.com' }, /^environment: .* https URL/],
    [{ environment: 'https://management.azure.com/metadata' }, /^environment: .* without a path/],
    [{ operation: 'update' }, /^operation: "update" is none of: create, check, delete, sweep\.$/],
    [{ cleanup: 'yes' }, /^cleanup: "yes" is none of: never, on-failure, always\.$/],
    [{ 'timeout-minutes': '0' }, /^timeout-minutes: "0" is not a duration above 0/],
    [{ 'timeout-minutes': '1 moon' }, /^timeout-minutes: "1 moon"/],
    [{ 'image-wait-minutes': '-1' }, /^image-wait-minutes: "-1" is not a duration from 0/],
    [{ 'wait-for': 'running' }, /^wait-for: "running" is none of/],
    [{ summary: 'yes' }, /^summary: "yes" is none of: false, true\.$/],
    [{ 'subscription-id': 'prod' }, /^subscription-id: is not a GUID/],
    [{ 'resource-group': 'rg.' }, /^resource-group: .* does not end in a period/],
    [{ 'resource-group': 'r'.repeat(91) }, /^resource-group: /],
    [{ 'resource-group': 'a/b' }, /^resource-group: /],
    [{ location: 'west-europe!' }, /^location: .* is not the name of a region/],
    [{ 'expires-after': '2y' }, /^expires-after: .* is not a duration/],
    [{ 'expires-after': 'P1M' }, /^expires-after: /],
    [{ 'expires-after': 'PT' }, /^expires-after: /],
    [{ 'expires-after': 'PT0S' }, /^expires-after: .* above zero/],
    [{ 'expires-after': 'P9999D' }, /^expires-after: .* at most/],
    [{ tags: 'a=b' }, /^tags: is not a YAML or JSON object/],
    [{ tags: '{"a": ' }, /^tags: is neither YAML nor JSON \(line 1/],
    [{ tags: 'a: [1, 2]' }, /^tags: "a" holds a list or an object/],
    [{ tags: 'Expires-On: never' }, /^tags: "Expires-On" is a tag that the action sets itself/],
    [{ tags: 'a/b: c' }, /^tags: the name "a\/b" contains one of/],
    [{ tags: `a: ${'x'.repeat(257)}` }, /^tags: the value of "a" has 257 characters/],
    [{ tags: `${'x'.repeat(513)}: a` }, /^tags: .* 1 to 512 characters/],
    [{ tags: 'a: b\nA: c' }, /^tags: has two names that differ only in case/],
    [
      { tags: Array.from({ length: 40 }, (_, n) => `t${n}: v`).join('\n') },
      /^tags: has 40 tags; .* sets 11 itself/,
    ],
    [{ 'image-id': '' }, /^image-id: is required/],
    [{ 'image-id': 'Canonical:ubuntu:server:latest' }, /^image-id: .* Marketplace/],
    [{ 'vm-name': 'my_vm' }, /^vm-name: "my_vm" is not a name of 1 to 64 letters, digits and hyphens/],
    [{ 'vm-name': 'v'.repeat(65) }, /^vm-name: /],
    [{ 'vm-name': 'vm-' }, /^vm-name: .* at both ends/],
    [
      { 'vm-size': 'D2s_v5' },
      /^vm-size: "D2s_v5" is not the name of a VM size: did you mean Standard_D2s_v5\?/,
    ],
    [{ 'vm-size': 'Standard D2sv5' }, /did you mean Standard_D2s_v5\?/],
    [
      { 'vm-size': 'standard-e4-2ads-v6' },
      /did you mean Standard_e4_2ads_v6\?|did you mean Standard_e4-2ads_v6\?/,
    ],
    [{ 'vm-size': 'huge' }, /^vm-size: "huge" is not the name of a VM size, such as Standard_D2s_v5/],
    [
      { 'license-type': 'WindowsServer' },
      /^license-type: "WindowsServer" is none of: None, .*Windows_Server/,
    ],
    [{ zone: 'westeurope-1' }, /^zone: .* is not a zone: 1, 2 or 3/],
    [{ 'max-price': '-1.1' }, /^max-price: cannot be used here/],
    [{ tags: '# none yet\n- a' }, /^tags: is not a YAML or JSON object/],
    [{ tags: '~' }, /^tags: is not a YAML or JSON object/],
    [{ 'run-script-parameters': '[' }, /^run-script-parameters: is neither YAML nor JSON/],
    [{ 'max-price': '0.1' }, /^max-price: cannot be used here: .* spot is not true/],
    [{ 'eviction-policy': 'Deallocate' }, /^eviction-policy: cannot be used here/],
    [{ spot: 'true', 'max-price': '0' }, /^max-price: "0" is not a price/],
    [{ spot: 'true', 'eviction-policy': 'Stop' }, /^eviction-policy: "Stop" is none of/],
    [{ 'admin-username': 'Admin' }, /^admin-username: "Admin" is one of the names that Azure refuses/],
    [{ 'admin-username': 'a@b' }, /^admin-username: "a@b" is not a name that contains none of/],
    [{ 'admin-username': 'u'.repeat(21), 'os-type': 'Windows' }, /^admin-username: .* on Windows is 20/],
    [{ 'admin-username': 'me.', 'os-type': 'Windows' }, /^admin-username: .* does not end in a period/],
    [{ 'admin-username': '-me', 'os-type': 'Linux' }, /^admin-username: .* does not start with/],
    [{ 'admin-password': 'Sh0rt' }, /^admin-password: must have 6 to 123 characters in Azure; it has 5/],
    [{ 'admin-password': 'lowercase only' }, /^admin-password: must have three of: .* it has 2/],
    [{ 'admin-password': 'P@ssw0rd' }, /^admin-password: is one of the well-known passwords/],
    [
      { 'admin-password': 'Abc-123', 'os-type': 'Windows' },
      /^admin-password: must have 8 to 123 characters on Windows/,
    ],
    [{ 'admin-password': `A1-${'x'.repeat(70)}`, 'os-type': 'Linux' }, /^admin-password: must have 6 to 72/],
    [{ 'ssh-public-key': 'AAAA' }, /^ssh-public-key: "AAAA" does not start with ssh-rsa/],
    [
      { 'ssh-public-key': 'ecdsa-sha2-nistp256 AAAA' },
      /^ssh-public-key: .* is of type ecdsa-sha2-nistp256: Azure takes/,
    ],
    [{ 'ssh-public-key': `${ed25519}, ssh-rsa AAAA` }, /^ssh-public-key: "ssh-rsa AAAA" is damaged/],
    [
      { 'ssh-public-key': `${ed25519},ecdsa-sha2-nistp256 AAAA me` },
      /^ssh-public-key: "ecdsa-sha2-nistp256 AAAA me" is of type/,
    ],
    [{ 'ssh-public-key': 'ssh-ed25519 AAAA' }, /^ssh-public-key: .* is damaged/],
    [
      { 'ssh-public-key': `ssh-rsa ${wire('ssh-ed25519', Buffer.alloc(32))}` },
      /^ssh-public-key: .* holds another type/,
    ],
    [
      { 'ssh-public-key': `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(31))}` },
      /^ssh-public-key: .* 32 bytes/,
    ],
    [{ 'ssh-public-key': `ssh-rsa ${wire('ssh-rsa', Buffer.of(1, 0, 1))}` }, /^ssh-public-key: .* modulus/],
    [
      { 'ssh-public-key': `ssh-rsa ${wire('ssh-rsa', Buffer.of(3), Buffer.alloc(128, 255))}` },
      /^ssh-public-key: .* has 1024 bits/,
    ],
    [{ 'ssh-public-key': ed25519, 'os-type': 'Windows' }, /^ssh-public-key: is for Linux images/],
    [{ 'computer-name': 'web_1' }, /^computer-name: /],
    [{ 'computer-name': 'sixteen-letters-', 'os-type': 'Linux' }, /^computer-name: .* at both ends/],
    [{ 'computer-name': 'sixteen-letters1', 'os-type': 'Windows' }, /^computer-name: .* on Windows is 15/],
    [{ 'computer-name': '12345', 'os-type': 'Windows' }, /^computer-name: "12345" is all digits/],
    [{ 'os-type': 'BSD' }, /^os-type: "BSD" is none of: Linux, Windows\.$/],
    [{ 'os-disk-size-gb': '30.5' }, /^os-disk-size-gb: .* whole number from 1 to 4095/],
    [{ 'os-disk-type': 'UltraSSD_LRS' }, /^os-disk-type: .* is none of/],
    [{ 'custom-data': 'x'.repeat(65_536) }, /^custom-data: has 65536 bytes; the limit is 65535/],
    [{ 'user-data': 'x'.repeat(65_537) }, /^user-data: has 65537 bytes/],
    [{ 'security-type': 'secure' }, /^security-type: .* is none of: Standard, TrustedLaunch, ConfidentialVM/],
    [{ identity: 'id' }, /^identity: "id" is neither system/],
    [
      { identity: nicId },
      /^identity: .* nor the ID of a resource of type Microsoft\.ManagedIdentity\/userAssignedIdentities/,
    ],
    [{ 'role-assignments': `Reader on ${group}` }, /^role-assignments: needs an identity/],
    [
      { identity: 'system', 'role-assignments': 'Reader' },
      /^role-assignments: "Reader" is not of the form ROLE on SCOPE/,
    ],
    [
      { identity: 'system', 'role-assignments': 'Reader on registry' },
      /^role-assignments: .* not a full Resource Manager ID/,
    ],
    [
      {
        identity: 'system',
        'role-assignments': `/providers/Microsoft.Authorization/roleDefinitions/x on ${group}`,
      },
      /^role-assignments: .* not the ID of a role definition/,
    ],
    [
      { 'run-script-parameters': 'a: b' },
      /^run-script-parameters: cannot be used here: there is no run-script/,
    ],
    [
      { 'run-script-secrets': 'a: bcdef' },
      /^run-script-secrets: cannot be used here: there is no run-script/,
    ],
    [{ 'run-script': 'x', 'run-script-timeout-minutes': '91' }, /^run-script-timeout-minutes: .* to 90/],
    [{ 'run-script': 'x', 'run-script-parameters': 'a-b: c' }, /^run-script-parameters: "a-b" is not a name/],
    [
      { 'run-script': 'x', 'run-script-secrets': 'a-b: c' },
      /^run-script-secrets: the name of entry 1 is not a name/,
    ],
    [{ 'run-script': 'x', 'run-script-secrets': 'a: ' }, /^run-script-secrets: the value of "a" is empty/],
    [
      { 'run-script': 'x', 'run-script-parameters': 'a: b', 'run-script-secrets': 'A: c' },
      /^run-script-secrets: "A" is also in/,
    ],
    [{ 'run-script': 'x', 'wait-for': 'accepted' }, /^wait-for: "accepted" ends before the VM runs/],
    [{ 'address-prefix': '10.0.0.0' }, /^address-prefix: "10.0.0.0" is not an IPv4 prefix/],
    [{ 'address-prefix': 'fd00::/48' }, /^address-prefix: .*IPv6 can be added through overrides/],
    [{ 'address-prefix': '0.0.0.0/1' }, /^address-prefix: .* Azure takes \/2 to \/29/],
    [{ 'subnet-prefix': '192.168.1.0/30' }, /^subnet-prefix: .* Azure takes \/2 to \/29/],
    [{ 'subnet-prefix': '192.168.1.5/24' }, /^subnet-prefix: .* 192\.168\.1\.0\/24 does/],
    [
      { 'subnet-prefix': '10.0.0.0/24' },
      /^subnet-prefix: 10.0.0.0\/24 does not lie within address-prefix 192.168.0.0\/16/,
    ],
    [
      { 'address-prefix': '10.0.0.0/16' },
      /^subnet-prefix: 192.168.1.0\/24 does not lie within address-prefix/,
    ],
    [
      { 'address-prefix': '168.0.0.0/8', 'subnet-prefix': '168.1.0.0/24' },
      /^address-prefix: .* overlaps 168\.63\.129\.16\/32/,
    ],
    [{ 'subnet-id': nicId }, /^subnet-id: .* of type Microsoft\.Network\/virtualNetworks\/subnets/],
    [{ 'subnet-id': 'default' }, /^subnet-id: "default" is not the ID/],
    [
      { 'subnet-id': subnetId, 'address-prefix': '10.0.0.0/16' },
      /^address-prefix: cannot be used here: with subnet-id/,
    ],
    [
      { 'subnet-id': subnetId, 'subnet-prefix': '192.168.2.0/24' },
      /^subnet-prefix: cannot be used here: with subnet-id/,
    ],
    [{ 'nic-id': subnetId }, /^nic-id: .* of type Microsoft\.Network\/networkInterfaces/],
    [{ 'nic-id': nicId, 'public-ip': 'false' }, /^public-ip: cannot be used here: with nic-id/],
    [{ 'nic-id': nicId, 'accelerated-networking': 'true' }, /^accelerated-networking: cannot be used here/],
    [{ 'network-security-group-id': subnetId }, /^network-security-group-id: /],
    [
      { 'network-security-group-id': nsgId, 'allow-inbound': '22 from *' },
      /^allow-inbound: cannot be used here/,
    ],
    [{ 'public-ip': 'yes' }, /^public-ip: "yes" is none of: true, false, or the ID/],
    [{ 'public-ip': nsgId }, /^public-ip: .* of type Microsoft\.Network\/publicIPAddresses/],
    [{ 'public-ip': 'false', 'dns-label': 'abc' }, /^dns-label: cannot be used here/],
    [{ 'public-ip': publicIpId, 'dns-label': 'abc' }, /^dns-label: cannot be used here/],
    [{ 'dns-label': 'My-VM' }, /^dns-label: "My-VM" is not 3 to 63 lower-case/],
    [{ 'dns-label': 'ab' }, /^dns-label: /],
    [{ 'allow-inbound': '22' }, /^allow-inbound: "22" is not of the form/],
    [{ 'allow-inbound': 'ssh from *' }, /^allow-inbound: .* is not of the form/],
    [{ 'allow-inbound': '22/icmp from *' }, /^allow-inbound: .* is not of the form/],
    [{ 'allow-inbound': '70000 from *' }, /^allow-inbound: .* above 65535/],
    [{ 'allow-inbound': '90-80 from *' }, /^allow-inbound: .* write 80-90/],
    [{ 'allow-inbound': '22 from 203.0.113.0/33' }, /^allow-inbound: .* not an address, CIDR, service tag/],
    [{ 'allow-inbound': '22 from 203.0.113' }, /^allow-inbound: .* not an address/],
    [{ 'allow-inbound': '22 from any' }, /^allow-inbound: .* or \*/],
    [{ 'accelerated-networking': '1' }, /^accelerated-networking: /],
    [{ 'private-ip-address': '192.168.1.3' }, /^private-ip-address: .* keeps the first four and the last/],
    [{ 'private-ip-address': '192.168.1.255' }, /^private-ip-address: /],
    [{ 'private-ip-address': '192.168.2.4' }, /^private-ip-address: /],
    [{ 'private-ip-address': 'fd00::4' }, /^private-ip-address: .* not an IPv4 address/],
    [{ overrides: 'disk: {}' }, /^overrides: "disk" is none of: vm, nic, vnet, nsg, public-ip/],
    [{ overrides: 'vm: 1' }, /^overrides: vm: is not an object/],
    [{ 'subnet-id': subnetId, overrides: 'vnet: {}' }, /^overrides: vnet: the action makes none/],
    [{ 'public-ip': 'false', overrides: 'public-ip: {}' }, /^overrides: public-ip: the action makes none/],
    [{ 'nic-id': nicId, overrides: 'nic: {}' }, /^overrides: nic: the action makes none/],
  ])('%j', (given, expected) => {
    const issues = issuesOf(given);
    expect(issues).toEqual([expect.stringMatching(expected)]);
  });

  test('one expiry tag more leaves one tag less to the user', () => {
    const tags = Array.from({ length: 39 }, (_, n) => `t${n}: v`).join('\n');
    expect(Object.keys(readDeployment({ tags }).tags)).toHaveLength(39);
    expect(issuesOf({ tags, 'expires-after': 'PT1H' })).toHaveLength(1);
  });

  test('a value equal to its default contradicts nothing', () => {
    const given: Given = {
      'nic-id': nicId,
      'address-prefix': '192.168.0.0/16',
      'public-ip': 'True',
      'accelerated-networking': 'FALSE',
      'max-price': '-1',
      'eviction-policy': 'delete',
    };
    expect(readDeployment(given).network.kind).toBe('given-nic');
  });

  test.each<[string, Given]>([
    ['a number that is written otherwise', { 'max-price': '-1.0' }],
    ['empty maps', { 'run-script-parameters': '{}', 'run-script-secrets': ' {} \n' }],
    [
      'maps of comments',
      { tags: '# none yet\n', 'run-script-parameters': '# none', overrides: '\n# vm: {}\n' },
    ],
  ])('%s is as good as nothing', (_, given) => {
    expect(readDeployment(given)).toEqual(readDeployment({}));
  });

  test('an interface rules out every other input of the network', () => {
    const issues = issuesOf({
      'nic-id': nicId,
      'address-prefix': '10.0.0.0/16',
      'subnet-prefix': '10.0.0.0/24',
      'subnet-id': subnetId,
      'network-security-group-id': nsgId,
      'public-ip': publicIpId,
      'dns-label': 'abc',
      'allow-inbound': '22 from *',
      'accelerated-networking': 'true',
      'private-ip-address': '10.0.0.4',
    });
    expect(issues).toHaveLength(9);
  });

  test('all of them come in one error, in the order of action.yml', () => {
    const { message, issues } = refusal({
      ...least,
      'private-ip-address': 'x',
      'tenant-id': '',
      tags: 'a/b: c',
      'vm-name': 'my_vm',
      'admin-password': 'hunter2',
    });
    expect(issues.map(({ input }) => input)).toEqual([
      'tenant-id',
      'tags',
      'vm-name',
      'admin-password',
      'private-ip-address',
    ]);
    expect(message).toMatch(/^5 invalid inputs. No request was sent to Azure.\n- tenant-id: is required/);
    expect(message).not.toContain('hunter2');
  });

  test('an unknown operation is not taken for create', () => {
    const { issues } = refusal({ ...least, operation: 'remove', 'image-id': '', 'resource-group': '' });
    expect(issues.map(({ input }) => input)).toEqual(['operation', 'resource-group']);
  });

  test('the text of secrets is not quoted, not even where it cannot be parsed', () => {
    const { message } = refusal({
      ...least,
      'run-script': 'x',
      'run-script-secrets': 'token: "s3cret-value\n  - x: [',
    });
    expect(message).toContain('run-script-secrets: is neither YAML nor JSON');
    expect(message).not.toContain('s3cret');
  });
});

describe('overrides', () => {
  test.each([
    ['vm', { location: 'eastus' }, 'location'],
    ['vm', { Name: 'other' }, 'name'],
    ['nic', { id: null }, 'id'],
    ['nsg', { type: 'x' }, 'type'],
    ['vm', { properties: { storageProfile: { imageReference: { id: 'x' } } } }, 'imageReference'],
    ['vm', { properties: { StorageProfile: { ImageReference: null } } }, 'imageReference'],
    ['vm', { properties: { storageProfile: { osDisk: { name: 'x' } } } }, 'osDisk.name'],
    ['vm', { properties: { storageProfile: { osDisk: { managedDisk: { id: 'x' } } } } }, 'managedDisk.id'],
    ['vm', { properties: { networkProfile: { networkInterfaces: [] } } }, 'networkInterfaces'],
    ['vm', { properties: { networkProfile: null } }, 'networkInterfaces'],
    ['vm', { tags: { 'Cross-Tenant-VM': 'x' } }, 'tag Cross-Tenant-VM'],
    ['public-ip', { tags: { cleanup: null } }, 'tag cleanup'],
    ['vnet', { tags: null }, 'tags cannot be replaced as a whole'],
    ['vnet', { properties: { subnets: [{ name: 'other' }] } }, 'the subnet named default'],
  ])('%s may not be patched with %j', (target, patch, part) => {
    const issues = issuesOf({ overrides: JSON.stringify({ [target]: patch }) });
    expect(issues).toEqual([expect.stringContaining(`overrides: ${target}: `)]);
    expect(issues[0]).toContain(part);
  });

  test('what would remove several guaranteed parts is refused for each', () => {
    expect(issuesOf({ overrides: 'vm: {"properties": null}' }).length).toBeGreaterThan(4);
  });

  test.each([
    ['vm', { properties: { osProfile: { secrets: [] }, storageProfile: { osDisk: { caching: 'None' } } } }],
    ['vm', { properties: { storageProfile: { dataDisks: [{ lun: 0 }] } }, tags: { mine: 'x' } }],
    ['vnet', { properties: { subnets: [{ name: 'default', properties: {} }], enableDdosProtection: true } }],
    ['nic', { properties: { dnsSettings: { dnsServers: ['10.0.0.4'] } } }],
  ])('%s may be patched with %j', (target, patch) => {
    expect(readDeployment({ overrides: JSON.stringify({ [target]: patch }) }).overrides).toEqual({
      [target]: patch,
    });
  });

  test('a given interface may be joined by others, but not left out or deleted', () => {
    const withInterfaces = (...networkInterfaces: readonly object[]) => ({
      'nic-id': nicId,
      overrides: JSON.stringify({ vm: { properties: { networkProfile: { networkInterfaces } } } }),
    });
    const other = { id: `${nicId}2` };
    const given = { id: nicId.toUpperCase(), properties: { primary: true } };
    expect(readDeployment(withInterfaces(given, other)).overrides.vm).toBeDefined();
    expect(issuesOf(withInterfaces(other))).toEqual([expect.stringContaining('must contain nic-id')]);
    const deleted = { id: nicId, properties: { deleteOption: 'Delete' } };
    expect(issuesOf(withInterfaces(deleted))).toEqual([expect.stringContaining('deleted with the VM')]);
  });

  test('guard every tag that marks a resource as made by the action', () => {
    const run = {
      serverUrl: '',
      repository: '',
      runId: '',
      runAttempt: '',
      job: '',
      action: '',
      workflow: '',
      sha: '',
      actor: '',
    };
    expect(Object.keys(ownershipTags(run, 'vm', 'never', new Date(0)))).toEqual(reservedTags);
  });
});

describe('the name of the VM', () => {
  const nameIn = (job: string, given: string) =>
    readDeployment({ 'vm-name': given }, { env: { ...env, GITHUB_JOB: job } }).vmName;

  test('its default is kept where it fits', () => {
    expect(nameIn('build', 'vm-77-build-3')).toBe('vm-77-build-3');
  });

  test('its default is made to fit, and still differs', () => {
    expect(nameIn('build_it', 'vm-77-build_it-0')).toMatch(/^vm-77-build-it-0-[0-9a-f]{8}$/);
    expect(nameIn('build_it', 'vm-77-build_it-0')).not.toBe(nameIn('build-it', 'vm-77-build-it-0'));
    const long = 'j'.repeat(70);
    const legs = [nameIn(long, `vm-77-${long}-0`), nameIn(long, `vm-77-${long}-1`)];
    expect(new Set(legs).size).toBe(2);
    for (const name of legs) expect(name).toHaveLength(64);
    expect(nameIn('build', 'vm-77-build-')).toMatch(/^vm-77-build-[0-9a-f]{8}$/);
  });

  test('an empty one is the default without a matrix', () => {
    expect(nameIn('build', '')).toBe('vm-77-build-0');
  });

  test.each(['a'.repeat(200), '___', 'ümlaut', '-x-', `${'x'.repeat(54)}-${'y'.repeat(20)}`])(
    '%s is made to fit',
    (name) => {
      expect(toValidVmName(name)).toMatch(/^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$/);
    },
  );
});

describe('the administrator, once the OS is known', () => {
  const account = { adminUsername: 'azureuser', sshPublicKeys: [] };

  test.each<[object, 'Linux' | 'Windows', readonly string[]]>([
    [{}, 'Linux', []],
    [{}, 'Windows', []],
    [{ adminUsername: 'u'.repeat(21) }, 'Linux', []],
    [{ adminUsername: 'u'.repeat(21) }, 'Windows', ['admin-username']],
    [{ adminUsername: 'a b' }, 'Linux', ['admin-username']],
    [{ adminPassword: 'Abc-12' }, 'Linux', []],
    [{ adminPassword: 'Abc-12' }, 'Windows', ['admin-password']],
    [{ sshPublicKeys: [ed25519] }, 'Linux', []],
    [{ sshPublicKeys: [ed25519] }, 'Windows', ['ssh-public-key']],
    [{ computerName: 'web.example' }, 'Linux', []],
    [{ computerName: 'web.example' }, 'Windows', ['computer-name']],
  ])('%j on %s', (given, osType, inputs) => {
    expect(validateAdminAccount({ ...account, ...given }, osType).map(({ input }) => input)).toEqual(inputs);
  });

  test('generated keys pass', async () => {
    const { publicKey } = await generateSshKeyPair('generated');
    expect(readDeployment({ 'ssh-public-key': publicKey }).sshPublicKeys).toEqual([publicKey]);
  });
});

describe('custom data from a file', () => {
  const files = (path: string) =>
    path === '/home/runner/work/init/cloud.yml' ? Buffer.of(0xff, 0x00) : undefined;

  test('is read from the workspace, byte by byte', () => {
    expect(readDeployment({ 'custom-data-file': 'init/cloud.yml' }, { readFile: files }).customData).toBe(
      '/wA=',
    );
  });

  test('excludes custom-data', () => {
    const issues = issuesOf(
      { 'custom-data': 'x', 'custom-data-file': 'init/cloud.yml' },
      { readFile: files },
    );
    expect(issues).toEqual([expect.stringContaining('custom-data-file: excludes custom-data')]);
  });

  test.each<[string, Partial<RunnerValues>, RegExp]>([
    ['../secret', {}, /outside the workspace/],
    ['/etc/passwd', {}, /outside the workspace/],
    ['link', { realPath: (path) => (path.endsWith('link') ? '/etc/passwd' : path) }, /outside the workspace/],
    ['.', {}, /outside the workspace/],
    [
      'none',
      { realPath: (path) => (path.endsWith('none') ? undefined : path) },
      /does not exist in the workspace/,
    ],
    ['folder', {}, /cannot be read/],
    ['big', { readFile: () => Buffer.alloc(65_536) }, /has 65536 bytes/],
  ])('%s is refused', (file, runner, expected) => {
    expect(issuesOf({ 'custom-data-file': file }, runner)).toEqual([expect.stringMatching(expected)]);
  });
});

describe('the proof', () => {
  let pem: { certificate: string; privateKey: string };
  let other: { certificate: string; privateKey: string };
  let expired: { certificate: string; privateKey: string };
  beforeAll(async () => {
    const past = { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') };
    [pem, other, expired] = await Promise.all([
      makeClientCertificate(),
      makeClientCertificate(),
      makeClientCertificate(past),
    ]);
  });
  const withPem = (text: string): Given => ({ 'client-secret': '', 'client-certificate': text });

  test('a certificate, in either order', () => {
    const text = `${pem.certificate}\n${pem.privateKey}\n`;
    expect(readDeployment(withPem(text)).credential).toEqual({ kind: 'certificate', pem: text });
    expect(readDeployment(withPem(`${pem.privateKey}\n${pem.certificate}`)).credential.kind).toBe(
      'certificate',
    );
  });

  test('the expiry of a certificate, for the log', () => {
    const text = `${expired.privateKey}\n${expired.certificate}`;
    expect(certificateExpiry(text)).toEqual(new Date('2021-01-01'));
    // Pasted together without a line break between the two: readable block by block.
    expect(certificateExpiry(expired.privateKey + expired.certificate)).toEqual(new Date('2021-01-01'));
  });

  test.each([
    ['2026-03-01T00:00:00Z', false, '(31 days).'],
    ['2026-02-28T00:00:00Z', false, '(30 days).'],
    ['2026-02-27T23:00:00Z', true, '(29 days). Register a new one'],
    ['2026-01-30T01:00:00Z', true, '(1 day). Register a new one'],
  ])('a certificate until %s', (until, soon, words) => {
    const notice = certificateExpiryNotice(new Date(until), new Date('2026-01-29T00:00:00Z'));
    expect(notice.soon).toBe(soon);
    expect(notice.text).toContain(`valid until ${new Date(until).toISOString()} ${words}`);
  });

  test('the OIDC token where neither secret nor certificate is given', () => {
    const runner = { env: { ...env, ACTIONS_ID_TOKEN_REQUEST_URL: 'https://token.example' } };
    expect(readDeployment({ 'client-secret': '' }, runner).credential).toEqual({ kind: 'oidc' });
    expect(readDeployment({ 'client-secret': '', audience: 'api://x' }, runner).credential).toEqual({
      kind: 'oidc',
      audience: 'api://x',
    });
  });

  test('not without the permission to ask for that token', () => {
    expect(issuesOf({ 'client-secret': '' })).toEqual([
      expect.stringMatching(/^client-secret: is missing or arrived empty.* id-token: write/),
    ]);
  });

  test('not a secret and a certificate', () => {
    expect(issuesOf({ 'client-certificate': `${pem.privateKey}\n${pem.certificate}` })).toEqual([
      'client-certificate: excludes client-secret: give one of the two.',
    ]);
  });

  test('bad certificates', () => {
    const key = createPrivateKey(pem.privateKey);
    const locked = key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
    const old = key.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    const onlyIssue = (text: string) => {
      const issues = issuesOf(withPem(text));
      expect(issues).toHaveLength(1);
      for (const line of pem.privateKey.split('\n').slice(1, -2)) expect(issues[0]).not.toContain(line);
      return issues[0];
    };
    expect(onlyIssue('MIIKcAIBAzCC')).toContain('is not PEM text');
    expect(onlyIssue(pem.certificate)).toContain('holds no whole private key');
    expect(onlyIssue(pem.privateKey)).toContain('holds no whole certificate');
    expect(onlyIssue(`${pem.certificate}\n${String(locked)}`)).toContain('encrypted private key');
    expect(onlyIssue(`${pem.certificate}\n${String(old)}`)).toContain('encrypted private key');
    expect(onlyIssue(`${pem.certificate}\n${String(ec)}`)).toContain('of type ec');
    expect(onlyIssue(`${pem.certificate}\n${other.privateKey}`)).toContain('does not belong');
    expect(onlyIssue(`${expired.certificate}\n${expired.privateKey}`)).toContain('expired on 2021-01-01');
    const damagedKey = pem.privateKey.replace(/\n.{64}/, '\nAAAA');
    expect(onlyIssue(`${pem.certificate}\n${damagedKey}`)).toContain('private key that cannot be read');
    const damaged = pem.certificate.replace(/\n.{64}/, '\nAAAA');
    expect(onlyIssue(`${damaged}\n${pem.privateKey}`)).toContain('certificate that cannot be read');
  });

  test('accepts a PEM text whose line breaks are written as \\n', () => {
    const oneLine = `${pem.privateKey}${pem.certificate}`.replaceAll('\n', '\\n');
    expect(read({ ...least, ...withPem(oneLine) })).toMatchObject({ credential: { kind: 'certificate' } });
  });

  test.each([
    { name: 'a GUID', secret: '8d1f9d0e-7a53-4a53-9a51-0d9d0d7a1c11', expected: /value, not its ID/ },
    { name: 'a JSON object', secret: '{"clientSecret": "x"}', expected: /JSON object/ },
    { name: 'a quoted value', secret: '"abc8Q~secret"', expected: /enclosed in quotes/ },
  ])('rejects $name as client-secret', ({ secret, expected }) => {
    const issues = issuesOf({ 'client-secret': secret });
    expect(issues).toEqual([expect.stringMatching(expected)]);
    expect(issues.join()).not.toContain(secret);
  });

  test.each(['client-id', 'subscription-id', 'tenant-id', 'image-tenant-id'] as const)(
    'does not show a secret pasted into %s',
    (name) => {
      const issues = issuesOf({ [name]: 'aBc8Q~Sup3rSecretValue' }).join('\n');
      expect(issues).toContain(`${name}: `);
      expect(issues.toLowerCase()).not.toContain('sup3rsecret');
    },
  );

  test('masks secrets in overrides', () => {
    const masked = new Set<string>();
    const overrides =
      '{vm: {properties: {osProfile: {adminPassword: "Pa55-w0rd-value"}, userData: visible}}}';
    read({ ...least, overrides }, { mask: (secret) => masked.add(secret) });
    expect([...masked]).toContain('Pa55-w0rd-value');
    expect([...masked]).not.toContain('visible');
  });

  test.each([
    ['30', 30],
    ['90s', 1.5],
    ['30m', 30],
    ['2h', 120],
    ['1d', 1440],
    ['1d 12h', 2160],
    ['PT2H', 120],
  ])('reads a timeout of %s', (text, minutes) => {
    expect(read({ ...least, 'timeout-minutes': text }).timeoutMinutes).toBe(minutes);
  });

  test('secrets are masked whole and line by line, IDs and public parts are not', () => {
    const masked = new Set<string>();
    const given: Given = {
      ...least,
      'client-secret': ' secret-1 ',
      'client-certificate': `${pem.privateKey}\n${pem.certificate}`,
      'admin-password': 'Abc-12345\n',
      'github-token': 'ghs_1234',
      'run-script': 'echo',
      'run-script-parameters': 'plain: visible',
      'run-script-secrets': 'token: s3cret\nmany: |\n  line one\n  }\n  line two\nshort: abc',
    };
    refusal(given, { mask: (secret) => masked.add(secret) });
    const keyLines = pem.privateKey.trim().split('\n').slice(1, -1);
    for (const secret of [
      'secret-1',
      'Abc-12345',
      'ghs_1234',
      's3cret',
      'line one',
      'line two',
      ...keyLines,
    ]) {
      expect(masked).toContain(secret);
    }
    const shown = [
      ...pem.certificate.split('\n'),
      ...Object.values(least).slice(2),
      guid('2'),
      'visible',
      'abc',
      '}',
    ];
    for (const text of [...shown, '-----BEGIN PRIVATE KEY-----', '']) expect(masked).not.toContain(text);
  });

  test('secrets are masked though they cannot be parsed, and keys that are in the wrong place', () => {
    const masked = new Set<string>();
    const given: Given = { 'run-script-secrets': 'token: "s3cret', 'ssh-public-key': pem.privateKey };
    expect(issuesOf(given, { mask: (secret) => masked.add(secret) }).join('\n')).not.toContain('s3cret');
    expect(masked).toContain('token: "s3cret');
    expect(masked).toContain(pem.privateKey.split('\n')[1]);
  });
});

describe('why something arrived empty', () => {
  const given: Given = { ...least, 'client-secret': '', 'tenant-id': '' };
  const payload = (head: object | null) =>
    Buffer.from(JSON.stringify({ pull_request: { head: { repo: head } } }));
  const pullRequest = { ...env, GITHUB_EVENT_NAME: 'pull_request', GITHUB_EVENT_PATH: '/event.json' };

  test.each<[string, Partial<RunnerValues>, RegExp]>([
    ['Dependabot', { env: { ...env, GITHUB_ACTOR: 'dependabot[bot]' } }, /started by Dependabot/],
    [
      'a fork',
      { env: pullRequest, readFile: () => payload({ full_name: 'someone/repo' }) },
      /pull request from a fork \(someone\/repo\)/,
    ],
    ['a deleted fork', { env: pullRequest, readFile: () => payload(null) }, /from a fork \(since deleted\)/],
    [
      'the same repository',
      { env: pullRequest, readFile: () => payload({ full_name: 'Octo/Repo' }) },
      /is empty where nothing of that name exists/,
    ],
    [
      'pull_request_target',
      {
        env: { ...pullRequest, GITHUB_EVENT_NAME: 'pull_request_target' },
        readFile: () => payload({ full_name: 'someone/repo' }),
      },
      /is empty where nothing of that name exists/,
    ],
    ['an unreadable event', { env: pullRequest, readFile: () => Buffer.from('{') }, /is empty where nothing/],
  ])('%s', (_, runner, expected) => {
    const { message } = refusal(given, runner);
    expect(message).toMatch(expected);
    expect(message.split('\n')).toHaveLength(4);
  });

  test('is not said where nothing is missing', () => {
    const { message } = refusal(
      { ...least, 'client-id': 'x' },
      { env: { ...env, GITHUB_ACTOR: 'dependabot[bot]' } },
    );
    expect(message).not.toContain('Dependabot');
  });
});
