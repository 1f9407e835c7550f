import { describe, expect, test } from '@jest/globals';
import type { RecordedExchange } from '../../scripts/record/recording.ts';
import { Sanitizer } from '../../scripts/record/sanitize.ts';

function exchange(parts: Partial<RecordedExchange>): RecordedExchange {
  return {
    method: 'GET',
    path: '/',
    apiVersion: null,
    status: 200,
    headers: {},
    body: null,
    date: null,
    ...parts,
  };
}

const sanitizeBody = (body: unknown) => new Sanitizer().sanitize([exchange({ body })])[0]?.body;

test.each<[what: string, body: unknown, expected: unknown]>([
  [
    'a token in a text',
    { message: 'Token eyJhbGciOiJSUzI1NiJ9.e30.c2ln was refused' },
    { message: 'Token REDACTED was refused' },
  ],
  [
    'nested values of a secret member',
    { protectedSettings: { a: 'x', b: ['y'] } },
    { protectedSettings: { a: 'REDACTED', b: ['REDACTED'] } },
  ],
  ['an empty list of secrets', { secrets: [] }, { secrets: [] }],
  [
    'a switch whose name contains "password"',
    { disablePasswordAuthentication: true },
    { disablePasswordAuthentication: true },
  ],
  [
    'what a script printed',
    { executionState: 'Succeeded', output: 'hi', error: '' },
    { executionState: 'Succeeded', output: 'REDACTED', error: '' },
  ],
  ['a script', { source: { script: 'curl https://intranet' } }, { source: { script: 'REDACTED' } }],
  [
    'the signature of a storage link',
    { blob: 'https://a.example/b?sv=1&sig=abc%3D&se=2' },
    { blob: 'https://a.example/b?sv=1&sig=REDACTED&se=2' },
  ],
  ['public and private addresses', ['20.61.1.9', '10.0.0.4', '20.61.1.9'], ['203.0.113.1', '10.0.0.4', '203.0.113.1']],
  [
    'the link to a boot log',
    'https://md-abc1.z12.blob.storage.azure.net/bootdiagnostics-buildvm-2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02/x.log',
    'https://storage1.z12.blob.storage.azure.net/bootdiagnostics-vm-00000000-0000-0000-0000-000000000001/x.log',
  ],
  ['an e-mail address', 'jo@contoso.com', 'user1@example.com'],
  ['a public key', 'ssh-rsa ' + 'A'.repeat(60) + ' jo@host', 'ssh-rsa REDACTED'],
  [
    'tags of others',
    { tags: { costCenter: 'Sales 42', 'github-actor': 'someone' } },
    { tags: { tag1: 'tagValue1', 'github-actor': 'tagValue2' } },
  ],
  [
    'an ID in either letter case',
    ['2B3F7D3F-6E1F-4D2C-8B64-7A1A1D0A2F02', '2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02'],
    ['00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000001'],
  ],
  ['the ID of a built-in role', 'b24988ac-6180-42a0-ab88-20f7382dd24c', 'b24988ac-6180-42a0-ab88-20f7382dd24c'],
  [
    'a display name',
    { displayName: 'Sales tenant', message: 'In Sales tenant.' },
    { displayName: 'displayName1', message: 'In displayName1.' },
  ],
])('sanitizes %s', (_what, body, expected) => {
  expect(sanitizeBody(body)).toEqual(expected);
});

describe('names of resources', () => {
  const id = (group: string, name: string) =>
    `/subscriptions/s/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachines/${name}`;

  test('are replaced in texts that come before the path that shows them', () => {
    const [first, second] = new Sanitizer().sanitize([
      exchange({ body: 'BUILD-VM-NIC belongs to build-vm' }),
      exchange({
        path: `${id('deploy-rg', 'build-vm')}/providers/Microsoft.Network/networkInterfaces/build-vm-nic?a=b`,
      }),
    ]);
    expect(first?.body).toBe('networkInterface1 belongs to virtualMachine1');
    expect(second?.path).toBe(
      `${id('resourceGroup1', 'virtualMachine1')}/providers/Microsoft.Network/networkInterfaces/networkInterface1?a=b`,
    );
  });

  test('are kept where Azure chose them', () => {
    const path = '/subscriptions/s/providers/Microsoft.Compute/locations/westeurope/usages?api-version=1';
    expect(new Sanitizer().sanitize([exchange({ path })])[0]?.path).toBe(path);
  });
});
