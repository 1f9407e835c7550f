import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { inputExamples } from '../../../scripts/docs/generate.ts';
import { certificateExpiry, certificateExpiryNotice } from '../../../src/lib/pem.ts';
import { inputDefaults, inputNames, type InputName } from '../../../src/inputs/inputs.ts';
import { makeClientCertificate } from '../../../simulator/http/keys.ts';
import {
  type Given,
  guid,
  subscription,
  group,
  subnetId,
  nicId,
  nsgId,
  publicIpId,
  identityId,
  registry,
  ed25519,
  bare,
  other,
  rsa,
  least,
  env,
  read,
  readDeployment,
  refusal,
  issuesOf,
} from '../../support/read-inputs.ts';

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

  test('docs/inputs.yml has the limits of each number', () => {
    for (const [name, { values }] of Object.entries(inputExamples())) {
      const limit = /(?<!\w)\d+ to (\d+)$/.exec(values)?.[1];
      if (limit === undefined) continue;
      const given = (value: number) => ({ 'run-script': 'true', 'timeout-minutes': '7200', [name]: `${value}` });
      expect(() => read({ ...least, ...given(Number(limit)) })).not.toThrow();
      expect(issuesOf(given(Number(limit) + 1))).toEqual([expect.stringContaining(`to ${limit}`)]);
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
      ifExists: 'keep',
      dataDiskSizesGb: [],
      encryptionAtHost: false,
      waitFor: 'provisioned',
      imageTenantId: guid('4'),
      auxiliaryTenantIds: [],
      tags: {},
      image: expect.objectContaining({ kind: 'version', version: '1.0.0', gallery: 'images' }),
      imageWaitMinutes: 0,
      vmName: 'vm-77-build-0-e3b0c4',
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
    ['a tenant by its domain', { 'tenant-id': ' Contoso.onmicrosoft.com ' }, { tenantId: 'contoso.onmicrosoft.com' }],
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
    ['a choice in any case', { cleanup: 'ALWAYS', 'wait-for': 'Agent' }, { cleanup: 'always', waitFor: 'agent' }],
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
    ...['SystemAssigned', '[system]', 'System'].map((identity): [string, Given, object] => [
      `the system-assigned identity as ${identity}`,
      { identity },
      { identity: { system: true, given: [], named: [] } },
    ]),
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
          { role: 'AcrPull', scope: registry },
          { role: guid('a'), scope: group },
          { role: guid('b'), scope: subscription },
          { role: guid('c'), scope: subscription },
          { role: 'Storage Blob Data Reader', scope: group },
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
        overrides: 'vm:\n  properties:\n    diagnosticsProfile: null\n    priority: 3\nnsg: {"tags": {"a": "b"}}',
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
    expect(readDeployment(withPem(`${pem.privateKey}\n${pem.certificate}`)).credential.kind).toBe('certificate');
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
    const overrides = '{vm: {properties: {osProfile: {adminPassword: "Pa55-w0rd-value"}, userData: visible}}}';
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
    for (const secret of ['secret-1', 'Abc-12345', 'ghs_1234', 's3cret', 'line one', 'line two', ...keyLines]) {
      expect(masked).toContain(secret);
    }
    const shown = [...pem.certificate.split('\n'), ...Object.values(least).slice(2), guid('2'), 'visible', 'abc', '}'];
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
