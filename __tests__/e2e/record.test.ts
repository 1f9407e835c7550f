/** The recorder and the comparison that maintainers use on a live run, tried on the simulator. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { compareRecordings } from '../../scripts/record/compare-recordings.ts';
import type { RecordedExchange, Recording } from '../../scripts/record/recording.ts';
import { recordSimulator } from '../../scripts/record/scenario.ts';
import { defaults } from '../../simulator/index.ts';
import { compileCache, publicKey } from '../support/harness.ts';

const isVmPut = ({ method, path }: RecordedExchange) => method === 'PUT' && /\/virtualMachines\/[^/?]+\?/.test(path);

/** The recording with the first exchange that matches changed. */
function changed(
  recording: Recording,
  matches: (exchange: RecordedExchange) => boolean,
  change: (exchange: RecordedExchange) => Partial<RecordedExchange>,
): Recording {
  const index = recording.exchanges.findIndex(matches);
  const exchanges = recording.exchanges.map((exchange, at) =>
    at === index ? { ...exchange, ...change(exchange) } : exchange,
  );
  return { ...recording, exchanges };
}

describe('a recorded run of the bundle', () => {
  let recording: Recording;
  let failed: readonly string[];
  let second: Recording;

  beforeAll(async () => {
    const env = { ...compileCache, GITHUB_REPOSITORY: 'fabrikam-owner/fabrikam-images', GITHUB_ACTOR: 'some-actor' };
    const inputs = { 'ssh-public-key': publicKey };
    ({ recording, failed } = await recordSimulator({ env, inputs: { ...inputs, 'vm-name': 'build-7-vm' } }));
    ({ recording: second } = await recordSimulator({ env: compileCache, inputs }));
  });

  test('holds sign-in, check, create and delete in the format of the recordings', () => {
    expect(failed).toEqual([]);
    const find = (method: string, path: RegExp) =>
      recording.exchanges.find((exchange) => exchange.method === method && path.test(exchange.path));
    expect(find('POST', /\/oauth2\/v2\.0\/token/)).toMatchObject({
      host: 'login.microsoftonline.com',
      requestBody: { client_secret: 'REDACTED' },
      status: 200,
      body: { access_token: 'REDACTED' },
    });
    const vm = recording.exchanges.find(isVmPut);
    expect(vm).not.toHaveProperty('host');
    expect(vm).toMatchObject({
      path: expect.stringContaining('/resourceGroups/resourceGroup1/'),
      requestHeaders: { 'x-ms-authorization-auxiliary': 'Bearer REDACTED' },
      status: 201,
      body: { properties: { provisioningState: 'Creating' } },
    });
    expect(find('DELETE', /\/virtualMachines\//)?.status).toBe(202);
    // A boot log shows what the guest prints.
    expect(find('GET', /serialconsole/)?.body).toBe('REDACTED');
    expect(recording.interactionIndexes).toHaveLength(recording.exchanges.length);
  });

  test('names no tenant, subscription, group, app, user, repository, token or secret', () => {
    const text = JSON.stringify(recording);
    const { clientId, clientSecret, tenantId, imageTenantId, subscriptionId, imageSubscriptionId } = defaults;
    for (const value of [
      ...[clientId, clientSecret, tenantId, imageTenantId, subscriptionId, imageSubscriptionId],
      ...[defaults.resourceGroup, defaults.galleryGroup, defaults.tenantDomain, defaults.imageTenantDomain],
      ...['build-7-vm', 'fabrikam', 'some-actor', 'azureuser', 'localhost:', 'eyJ'],
    ])
      expect(text.toLowerCase()).not.toContain(value.toLowerCase());
  });

  test('shows no difference from another run of the simulator', () => {
    expect(compareRecordings(recording, second).differences).toEqual([]);
  });

  test.each([
    {
      what: 'status',
      change: () => ({ status: 202 }),
      expected: ['status 202 Creating, simulator status 201 Creating'],
    },
    {
      what: 'header',
      change: ({ headers }: RecordedExchange) => ({ headers: { ...headers, 'x-ms-new-header': '1' } }),
      expected: ['status 201 Creating, header x-ms-new-header: not in the simulator'],
    },
    {
      what: 'body',
      change: ({ body }: RecordedExchange) => ({ body: { ...(body as object), name: 5, newMember: 'e' } }),
      expected: [
        'status 201 Creating, body.name: number, simulator string',
        'status 201 Creating, body.newMember: not in the simulator',
      ],
    },
  ])('lists the one answer whose $what differs', ({ change, expected }) => {
    const { differences } = compareRecordings(changed(recording, isVmPut, change), second);
    const key = 'PUT /subscriptions/*/resourcegroups/*/providers/microsoft.compute/virtualmachines/*';
    expect(differences).toEqual(expected.map((difference) => `${key}: ${difference}`));
  });

  test('record:compare prints the one answer that differs and ends with exit code 1', () => {
    const folder = mkdtempSync(join(tmpdir(), 'record-compare-'));
    const files = [changed(recording, isVmPut, () => ({ status: 202 })), second].map((content, index) => {
      const file = join(folder, `${index}.json`);
      writeFileSync(file, JSON.stringify(content));
      return file;
    });
    const script = resolve(import.meta.dirname, '../../scripts/record/compare.ts');
    const { status, stdout } = spawnSync(process.execPath, [script, ...files], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect([status, stdout.match(/: status 202 /g)?.length]).toEqual([1, 1]);
    expect(stdout).toMatch(/\n1 difference\n$/);
  });
});
