/** The simulator's compute side held against recorded answers, and its refusals against Azure's codes. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { addVersion, replicate } from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults } from '../../simulator/index.ts';
import { acceptTerms } from '../../simulator/providers/marketplace.ts';
import type { Json } from '../../simulator/model/contract.ts';
import type { Reply } from '../support/simulator-client.ts';
import { type ComputeTestClient, createComputeTestClient } from '../support/compute-client.ts';

interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Json;
}

function recording(name: string, method: string, path: RegExp, nth = 0): Recorded {
  const file = new URL(`../fixtures/recordings/${name}.json`, import.meta.url);
  const { exchanges } = JSON.parse(readFileSync(file, 'utf8')) as { exchanges: Recorded[] };
  const found = exchanges.filter((one) => one.method === method && path.test(one.path))[nth];
  if (found === undefined) throw new Error(`no such exchange in ${name}`);
  return found;
}

/** Paths of all members, lists by their first item; keys that are IDs are left out. */
function shape(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [`${path}[]`] : shape(value[0], `${path}[]`);
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([name, inner]) =>
    name.startsWith('/') ? shape(inner, `${path}.<id>`) : shape(inner, `${path}.${name}`),
  );
}

/** Status, header names that the service sets, and every member of the recorded body are there. */
function expectLike(reply: Reply, recorded: Recorded, missing: readonly string[] = []): void {
  expect(reply.status).toBe(recorded.status);
  const ours = Object.keys(reply.headers);
  const optional = ['date', 'retry-after'];
  for (const name of Object.keys(recorded.headers).map((one) => one.toLowerCase())) {
    if (!optional.includes(name)) expect(ours).toContain(name);
  }
  const known = new Set(shape(reply.body));
  const wanted = shape(recorded.body ?? {}).filter((one) => !missing.some((prefix) => one.startsWith(prefix)));
  expect(wanted.filter((one) => !known.has(one))).toEqual([]);
}

let client: ComputeTestClient;
beforeAll(async () => {
  client = await createComputeTestClient();
});
afterAll(async () => {
  await client.sim.close();
});

// A new name for each PUT: twelve PUTs of one VM empty its bucket.
let refusals = 0;

async function refusal(change: (body: Json) => void): Promise<[number, string, string]> {
  const name = `refused-${refusals++}`;
  const nic = client.addNic(`${name}-nic`);
  const reply = await client.send('PUT', client.vmId(name), client.vmBody(nic, change));
  return [reply.status, reply.body['error']?.code, reply.body['error']?.message];
}

describe('a virtual machine from the gallery of another tenant', () => {
  const life = 'vm-linux-put-full-lifecycle';
  const path = /virtualMachines\/[^/?]+\?/;

  test('is created, looked at and deleted as recorded', async () => {
    const nic = client.addNic('life-nic');
    const id = client.vmId('life');
    const created = await client.send('PUT', id, client.vmBody(nic), { headers: { 'if-none-match': '*' } });
    // Marketplace images have publisher, offer and sku; a gallery image has its ID.
    const image = ['.properties.storageProfile.imageReference'];
    expectLike(created, recording(life, 'PUT', path), image);
    expect(created.body['properties'].storageProfile.osDisk.managedDisk.id).toBeUndefined();
    expect(created.headers['x-ms-ratelimit-remaining-resource']).toBe(
      recording(life, 'PUT', path).headers['x-ms-ratelimit-remaining-resource'],
    );

    const poll = await client.send('GET', String(created.headers['azure-asyncoperation']));
    const recordedPoll = recording(life, 'GET', /Compute\/locations\/[^/]+\/operations/);
    expectLike(poll, recordedPoll);
    expect(poll.headers['x-ms-ratelimit-remaining-resource']).toBe(
      recordedPoll.headers['x-ms-ratelimit-remaining-resource'],
    );
    const end = await client.finish(created);
    expect(Object.keys(end)).toEqual(['startTime', 'endTime', 'status', 'name']);
    expect(end['status']).toBe('Succeeded');

    const got = await client.send('GET', id);
    expectLike(got, recording(life, 'GET', path), image);
    expect(got.body['properties'].osProfile.adminPassword).toBeUndefined();

    const again = await client.send('PUT', id, client.vmBody(nic), { headers: { 'if-none-match': '*' } });
    expect(again.status).toBe(412);

    const disk = String(got.body['properties'].storageProfile.osDisk.managedDisk.id);
    const attached = await client.send('DELETE', disk);
    const recordedDisk = recording('disk-attached-delete-409', 'DELETE', /disks/);
    expect(attached.status).toBe(recordedDisk.status);
    expect(attached.body['error'].code).toBe(recordedDisk.body['error'].code);
    expect(attached.body['error'].message).toMatch(/^Disk \S+ is attached to VM \/subscriptions\/\S+\.$/);

    const deleted = await client.send('DELETE', id);
    expectLike(deleted, recording(life, 'DELETE', path));
    expect((await client.finish(deleted))['status']).toBe('Succeeded');
    const gone = await client.send('GET', id);
    expect([gone.status, gone.body['error'].code]).toEqual([404, 'NotFound']);
    expect(client.world.resources.has(disk)).toBe(false);
    expect(client.world.resources.has(nic)).toBe(false);
  });

  test('shows its agent once it is ready', async () => {
    const id = client.vmId('agent');
    const body = client.vmBody(client.addNic('agent-nic'));
    await client.finish(await client.send('PUT', id, body));
    settings(client.world).agentDelay = 10;
    client.advance(30);
    const expanded = await client.send('GET', `${id}?$expand=instanceView`, undefined, {
      apiVersion: '2024-07-01',
    });
    expectLike(expanded, recording('vm-expand-instance-view-2024', 'GET', /./), [
      '.tags',
      '.properties.storageProfile',
    ]);
    const view = await client.send('GET', `${id}/instanceView`);
    expect(view.body['vmAgent'].statuses[0]).toMatchObject({ displayStatus: 'Ready', level: 'Info' });
    expect(view.body['statuses'].map((one: Json) => one['code'])).toEqual([
      'ProvisioningState/succeeded',
      'PowerState/running',
    ]);
  });

  test('needs the image tenant on the request', async () => {
    const reply = await client.send('PUT', client.vmId('alone'), client.vmBody(client.addNic('alone-nic')), {
      auxiliary: false,
    });
    expect([reply.status, reply.body['error'].code]).toEqual([403, 'LinkedAuthorizationFailed']);
    expect(reply.body['error'].message).toContain("'Microsoft.Compute/galleries/images/versions/read'");
  });

  test('stays failed when there is no capacity, holds its NIC, and takes another size', async () => {
    settings(client.world).shortages.push({
      code: 'AllocationFailed',
      size: 'Standard_F2s_v2',
      at: 'operation',
      times: 1,
    });
    const nic = client.addNic('short-nic');
    const id = client.vmId('short');
    const sized = (size: string): Json =>
      client.vmBody(nic, (body) => {
        body['properties'].hardwareProfile.vmSize = size;
        body['properties'].networkProfile.networkInterfaces[0].properties.deleteOption = 'Detach';
      });
    const end = await client.finish(await client.send('PUT', id, sized('Standard_F2s_v2')));
    expect([end['status'], end['error'].code]).toEqual(['Failed', 'AllocationFailed']);
    const failed = await client.send('GET', id);
    expect(failed.body['properties'].provisioningState).toBe('Failed');
    const other = await client.send('PUT', client.vmId('thief'), sized('Standard_D2s_v5'));
    expect([other.status, other.body['error'].code]).toEqual([400, 'NicReservedForAnotherVm']);
    const retried = await client.send('PUT', id, sized('Standard_D2s_v5'));
    expect(retried.status).toBe(200);
    expect((await client.finish(retried))['status']).toBe('Succeeded');
    expect(client.world.resources.get(nic)?.body['properties'].virtualMachine.id).toBe(id);
  });

  test('may fail in the guest', async () => {
    settings(client.world).provisioning.push({
      vm: /^stuck$/,
      failure: { code: 'OSProvisioningTimedOut', message: '' },
      afterSeconds: 30,
    });
    const end = await client.finish(
      await client.send('PUT', client.vmId('stuck'), client.vmBody(client.addNic('stuck-nic'))),
    );
    expect(end['error'].code).toBe('OSProvisioningTimedOut');
    expect(end['error'].message).toContain("OS Provisioning for VM 'stuck' did not finish");
  });

  test('makes a disk for each data disk of the image, asked for or not', async () => {
    const image = defaults.imageId('linux-data-disks', '1.0.0');
    const id = client.vmId('disks');
    const created = await client.send(
      'PUT',
      id,
      client.vmBody(client.addNic('disks-nic'), (body) => {
        body['properties'].storageProfile.imageReference.id = image;
      }),
    );
    await client.finish(created);
    const got = await client.send('GET', id);
    const disks: Json[] = got.body['properties'].storageProfile.dataDisks;
    expect(disks.map((one) => [one['lun'], one['createOption'], one['deleteOption'], one['diskSizeGB']])).toEqual([
      [0, 'FromImage', 'Detach', 40],
      [2, 'FromImage', 'Detach', 70],
    ]);
    const some = await refusal((body) => {
      body['properties'].storageProfile.imageReference.id = image;
      body['properties'].storageProfile.dataDisks = [{ lun: 0, createOption: 'FromImage' }];
    });
    expect(some.slice(0, 2)).toEqual([400, 'InvalidParameter']);
  });

  test('may be deleted while it is being created', async () => {
    const id = client.vmId('overtaken');
    // Long enough for the DELETE to arrive before the creation ends, however slow the machine is.
    client.world.latencies['vmPutLinux'] = 5000;
    const created = await client.send('PUT', id, client.vmBody(client.addNic('overtaken-nic')));
    const deleted = await client.send('DELETE', id);
    delete client.world.latencies['vmPutLinux'];
    expect(deleted.status).toBe(202);
    client.advance(5000);
    expect((await client.finish(deleted))['status']).toBe('Succeeded');
    expect((await client.finish(created))['error'].code).toBe('OperationPreempted');
    expect((await client.send('GET', id)).status).toBe(404);
    const disks = [...client.world.resources.under(client.group, 'Microsoft.Compute/disks')];
    expect(disks.filter((one) => one.id.includes('overtaken'))).toEqual([]);
  });

  test('keeps what may not change', async () => {
    const id = client.vmId('kept');
    const nic = client.addNic('kept-nic');
    await client.finish(await client.send('PUT', id, client.vmBody(nic)));
    const change = async (edit: (body: Json) => void): Promise<[number, string]> => {
      const reply = await client.send('PUT', id, client.vmBody(nic, edit));
      return [reply.status, reply.body['error']?.target];
    };
    expect(
      await change((body) => {
        body['properties'].storageProfile.imageReference.id = defaults.imageId('linux', '1.9.0');
      }),
    ).toEqual([409, 'imageReference']);
    expect(
      await change((body) => {
        body['properties'].osProfile.adminUsername = 'someone';
      }),
    ).toEqual([409, 'osProfile.adminUsername']);
    const tagged = await client.send('PATCH', id, { tags: { a: 'b' } });
    expect([tagged.status, tagged.body['tags']]).toEqual([200, { a: 'b' }]);
    await client.finish(tagged);
  });

  test('spends separate buckets', async () => {
    const id = client.vmId('busy');
    await client.finish(await client.send('PUT', id, client.vmBody(client.addNic('busy-nic'))));
    client.world.budgets.drain('Microsoft.Compute/LowCostGetResource', id, 1000);
    const reply = await client.send('GET', id);
    expect(reply.status).toBe(429);
    expect(reply.body).toMatchObject({ code: 'OperationNotAllowed', details: [{ code: 'TooManyRequests' }] });
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
  });
});

describe('what the body of a machine may hold', () => {
  const put = async (edit: (body: Json) => void, headers = {}): Promise<[number, string]> => {
    const name = `model-${refusals++}`;
    const reply = await client.send('PUT', client.vmId(name), client.vmBody(client.addNic(`${name}-nic`), edit), {
      headers,
    });
    return [reply.status, reply.body['error']?.code];
  };

  test.each<[string, (properties: Json) => void]>([
    ['a NIC with an unknown member', (all) => (all['networkProfile'].networkInterfaces[0].foo = 1)],
    ['a slip in a NIC', (all) => (all['networkProfile'].networkInterfaces[0].properties.delteOption = 'Delete')],
    ['an unknown delete option', (all) => (all['networkProfile'].networkInterfaces[0].properties.deleteOption = 'Foo')],
    [
      'a value in another case, which handlers would pass over',
      (all) => (all['networkProfile'].networkInterfaces[0].properties.deleteOption = 'delete'),
    ],
    [
      'a member in another case',
      (all) => (all['networkProfile'].networkInterfaces[0].properties.DeleteOption = 'Delete'),
    ],
    [
      'a data disk with an unknown member',
      (all) => (all['storageProfile'].dataDisks = [{ lun: 0, createOption: 'Empty', diskSizeGB: 8, foo: 1 }]),
    ],
    ['ssh', (all) => (all['osProfile'].linuxConfiguration = { ssh: { foo: 1 } })],
    ['patch settings', (all) => (all['osProfile'].linuxConfiguration = { patchSettings: { foo: 1 } })],
    ['caching', (all) => (all['storageProfile'].osDisk.caching = 'Foo')],
    ['storage account type', (all) => (all['storageProfile'].osDisk.managedDisk = { storageAccountType: 'Foo_LRS' })],
    ['a size that is no number', (all) => (all['storageProfile'].osDisk.diskSizeGB = 'abc')],
    ['a disk name', (all) => (all['storageProfile'].osDisk.name = 'a b/c!')],
  ])('%s: 501', async (_, edit) => {
    expect(await put((body) => edit(body['properties']))).toEqual([501, 'SimulatorUnknown']);
  });

  test.each<[string, (body: Json) => void]>([
    ['identity', (body) => (body['identity'] = { type: 'SystemAssigned', foo: 1 })],
    ['placement', (body) => (body['placement'] = { foo: 1 })],
    ['extended location', (body) => (body['extendedLocation'] = { foo: 1 })],
  ])('an unknown member of %s: 501', async (_, edit) => {
    expect(await put(edit)).toEqual([501, 'SimulatorUnknown']);
  });

  test('everything that a client may send is known', async () => {
    const full = (body: Json): void => {
      const { properties } = body;
      Object.assign(body, { zones: ['1'], identity: { type: 'SystemAssigned' }, placement: null });
      Object.assign(properties, {
        priority: 'Spot',
        evictionPolicy: 'Delete',
        billingProfile: { maxPrice: -1 },
        additionalCapabilities: { hibernationEnabled: false },
        diagnosticsProfile: { bootDiagnostics: { enabled: true } },
        scheduledEventsProfile: { terminateNotificationProfile: { enable: true, notBeforeTimeout: 'PT5M' } },
      });
      properties.storageProfile.osDisk = {
        name: 'full_os.disk-1',
        osType: 'Linux',
        createOption: 'fromImage',
        caching: 'ReadOnly',
        writeAcceleratorEnabled: false,
        diskSizeGB: 64,
        managedDisk: { storageAccountType: 'StandardSSD_LRS' },
        deleteOption: 'Delete',
      };
      properties.storageProfile.dataDisks = [
        { lun: 1, createOption: 'Empty', caching: 'None', diskSizeGB: 8, deleteOption: 'Detach' },
      ];
      properties.osProfile.linuxConfiguration = {
        disablePasswordAuthentication: false,
        provisionVMAgent: true,
        patchSettings: { patchMode: 'AutomaticByPlatform', assessmentMode: 'ImageDefault' },
      };
      properties.networkProfile.networkInterfaces[0].properties.primary = true;
    };
    expect(await put(full)).toEqual([201, undefined]);
  });

  test('If-Match is not passed over', async () => {
    expect(await put(() => undefined, { 'if-match': '"1"' })).toEqual([501, 'SimulatorUnknown']);
    const id = client.vmId('matched');
    for (const method of ['PATCH', 'DELETE']) {
      const reply = await client.send(method, id, undefined, { headers: { 'if-match': '*' } });
      expect(reply.status).toBe(501);
    }
  });
});

describe('rules of names, accounts and disks', () => {
  const windows = (body: Json): void => {
    body['properties'].storageProfile.imageReference.id = defaults.imageId('windows');
  };
  const userName =
    (adminUsername: string) =>
    (body: Json): void => {
      body['properties'].osProfile.adminUsername = adminUsername;
    };

  test.each(['a_b', 'a b', 'a~b', 'a.', 'a-', 'a'.repeat(65)])('%j names no machine', async (name) => {
    const nic = client.addNic(`named-${refusals++}`);
    const reply = await client.send('PUT', client.vmId(name), client.vmBody(nic));
    expect([reply.status, reply.body['error'].target]).toEqual([400, 'vmName']);
  });

  test('a period ends the account of a Linux machine, not of a Windows one', async () => {
    const nic = client.addNic('period-nic');
    const linux = await client.send('PUT', client.vmId('period'), client.vmBody(nic, userName('someone.')));
    expect(linux.status).toBe(201);
    const refused = await refusal((body) => {
      windows(body);
      userName('someone.')(body);
    });
    expect(refused).toEqual([400, 'InvalidParameter', 'The Admin Username specified is not allowed.']);
  });

  test.each(['osDisk', 'dataDisks'])('no premium disk on a size that takes none: %s', async (which) => {
    const refused = await refusal((body) => {
      const premium = { managedDisk: { storageAccountType: 'Premium_LRS' } };
      body['properties'].hardwareProfile.vmSize = 'Standard_D1_v2';
      const storage: Json = body['properties'].storageProfile;
      storage['imageReference'].id = defaults.imageId('linux-gen1');
      if (which === 'osDisk') Object.assign(storage['osDisk'], premium);
      else storage['dataDisks'] = [{ lun: 0, createOption: 'Empty', diskSizeGB: 8, ...premium }];
    });
    expect(refused.slice(0, 2)).toEqual([501, 'SimulatorUnknown']);
  });
});

describe('refusals of a virtual machine', () => {
  const image =
    (definition: string, version?: string) =>
    (body: Json): void => {
      body['properties'].storageProfile.imageReference.id = defaults.imageId(definition, version);
    };
  const size =
    (name: string) =>
    (body: Json): void => {
      body['properties'].hardwareProfile.vmSize = name;
    };
  const both =
    (...edits: ((body: Json) => void)[]) =>
    (body: Json): void => {
      for (const edit of edits) edit(body);
    };
  const profile =
    (values: Json) =>
    (body: Json): void => {
      Object.assign(body['properties'].osProfile, values);
    };
  const security =
    (securityType: string) =>
    (body: Json): void => {
      body['properties'].securityProfile = { securityType };
    };

  test.each<[string, (body: Json) => void, number, string, RegExp]>([
    ['no such size', size('Standard_Z9'), 400, 'InvalidParameter', /VM size is not valid/],
    ['not in the region', image('linux', '1.11.0'), 404, 'GalleryImageNotFound', /not available in westeurope region/],
    ['no such version', image('linux', '9.9.9'), 404, 'GalleryImageNotFound', /not available in/],
    ['no latest', image('linux-replication-failed'), 404, 'NotFound', /There is no latest image version/],
    ['Gen1 image, Gen2 size', both(image('linux-gen1'), size('Standard_D2s_v6')), 400, 'BadRequest', /Generation '1'/],
    ['Gen2 image, Gen1 size', size('Standard_D2_v2'), 400, 'BadRequest', /Generation '2'/],
    ['Arm64 image', image('linux-arm64', '1.0.0'), 400, 'BadRequest', /CPU Architecture of 'x64'/],
    [
      'SCSI image, NVMe size',
      both(image('linux-plan'), size('Standard_D2s_v6')),
      400,
      'InvalidParameter',
      /disk controller types/,
    ],
    [
      'Trusted Launch image',
      image('linux-trusted', '1.0.0'),
      400,
      'BadRequest',
      /only supports creation .* 'TrustedLaunch'/,
    ],
    [
      'Trusted Launch unsupported',
      both(image('linux-gen1'), security('TrustedLaunch')),
      400,
      'BadRequest',
      /TrustedLaunch-FAQ/,
    ],
    ['confidential size', size('Standard_DC2as_v5'), 400, 'BadRequest', /'<NULL>' security type/],
    ['specialized with account', image('linux-specialized'), 400, 'InvalidParameter', /'osProfile' is not allowed/],
    ['no account', (body) => delete body['properties'].osProfile, 400, 'InvalidParameter', /'osProfile' is missing/],
    ['reserved name', profile({ adminUsername: 'admin' }), 400, 'InvalidParameter', /Admin Username specified/],
    ['weak password', profile({ adminPassword: 'abc' }), 400, 'InvalidParameter', /between 6-72 characters/],
    ['custom data', profile({ customData: '#cloud-config' }), 400, 'InvalidParameter', /Base64 encoding/],
    [
      'SSH key',
      profile({
        adminPassword: undefined,
        linuxConfiguration: {
          disablePasswordAuthentication: true,
          ssh: { publicKeys: [{ path: '/home/azureuser/.ssh/authorized_keys', keyData: 'ssh-rsa AAAA' }] },
        },
      }),
      400,
      'InvalidParameter',
      /keyData is invalid/,
    ],
    [
      'Windows host name',
      both(image('windows'), profile({ computerName: 'a-name-that-is-too-long' })),
      400,
      'InvalidParameter',
      /15 characters/,
    ],
    ['no plan', image('linux-plan'), 400, 'VMMarketplaceInvalidInput', /requires Plan information/],
    [
      'zone',
      (body) => {
        body['zones'] = ['7'];
      },
      400,
      'InvalidAvailabilityZone',
      /supported zones .* '1,2,3'/,
    ],
    ['no location', (body) => delete body['location'], 400, 'LocationRequired', /location/],
    [
      'unknown property',
      (body) => {
        body['properties'].made_up = 1;
      },
      501,
      'SimulatorUnknown',
      /made_up/,
    ],
    [
      'eviction without spot',
      (body) => {
        body['properties'].evictionPolicy = 'Delete';
      },
      400,
      'InvalidParameter',
      /evictionPolicy/,
    ],
  ])('%s', async (_name, change, status, code, message) => {
    const [gotStatus, gotCode, gotMessage] = await refusal(change);
    expect([gotStatus, gotCode]).toEqual([status, code]);
    expect(gotMessage).toMatch(message);
  });

  test('quota, restriction and shortage', async () => {
    const own = settings(client.world);
    own.quota['standardESv5Family'] = { limit: 1 };
    expect(await refusal(size('Standard_E2s_v5'))).toEqual([
      409,
      'OperationNotAllowed',
      expect.stringMatching(
        /exceeding approved standardESv5Family Cores quota.*Current Limit: 1, Current Usage: 0, Additional Required: 2/,
      ),
    ]);
    own.restrictions.push({
      location: 'westeurope',
      size: 'Standard_B2ms',
      reasonCode: 'NotAvailableForSubscription',
    });
    expect((await refusal(size('Standard_B2ms'))).slice(0, 2)).toEqual([409, 'SkuNotAvailable']);
    client.world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
    const skus = await client.send(
      'GET',
      `/subscriptions/${defaults.subscriptionId}/providers/Microsoft.Compute/skus?$filter=location eq 'westeurope'`,
      undefined,
      { apiVersion: '2021-07-01' },
    );
    const restricted = (skus.body['value'] as Json[]).filter((one) => one['restrictions'].length > 0);
    expect(restricted.map((one) => one['name'])).toEqual(['Standard_B2ms']);
    own.shortages.push({ code: 'ZonalAllocationFailed', zone: '2', at: 'put', times: 1 });
    expect(
      (
        await refusal((body) => {
          body['zones'] = ['2'];
        })
      ).slice(0, 2),
    ).toEqual([409, 'ZonalAllocationFailed']);
  });

  test('a plan is refused until its terms are accepted', async () => {
    const plan = { name: 'hardened', publisher: 'contoso', product: 'linux-images' };
    const withPlan = both(image('linux-plan'), (body) => {
      body['plan'] = plan;
    });
    expect(await refusal(withPlan)).toEqual([
      400,
      'ResourcePurchaseValidationFailed',
      expect.stringMatching(/az|Azure CLI/),
    ]);
    acceptTerms(client.world, defaults.subscriptionId, plan);
    expect((await refusal(withPlan))[0]).toBe(201);
  });
});

describe('galleries', () => {
  test('answer as recorded', async () => {
    const version = defaults.imageId('linux-data-disks', '1.0.0');
    const expanded = await client.send('GET', `${version}?$expand=ReplicationStatus`, undefined, {
      apiVersion: '2025-12-03',
    });
    expectLike(expanded, recording('gallery-version-replication-status-completed', 'GET', /expand/), [
      '.properties.storageProfile.source',
    ]);
    const plain = await client.send('GET', version, undefined, { apiVersion: '2019-12-01' });
    expect(plain.body['properties'].replicationStatus).toBeUndefined();
    const definition = await client.send('GET', defaults.imageId('windows'), undefined, {
      apiVersion: '2020-09-30',
    });
    expectLike(definition, recording('gallery-definition-and-version', 'GET', /images\/[^/]+\?/));
  });

  test('replication goes on by the clock', async () => {
    const version = addVersion(client.world, defaults.imageId('linux-replicating'), '1.0.7', {
      regions: ['North Europe'],
    });
    replicate(client.world, version, 'West Europe', { completesAfter: 300 });
    const status = async (): Promise<Json> =>
      (await client.send('GET', `${version}?$expand=ReplicationStatus`)).body['properties'];
    client.advance(20);
    const during = await status();
    expect(during['provisioningState']).toBe('Updating');
    expect(during['replicationStatus'].aggregatedState).toBe('InProgress');
    expect(during['replicationStatus'].summary[1]).toMatchObject({
      region: 'West Europe',
      state: 'Replicating',
    });
    client.advance(310);
    expect((await status())['replicationStatus'].aggregatedState).toBe('Completed');
  });

  test('shared and community galleries are read in the region', async () => {
    const base = `/subscriptions/${defaults.subscriptionId}/providers/Microsoft.Compute/locations/westeurope`;
    const shared = `${base}/sharedGalleries/${defaults.imageSubscriptionId}-SHARED/images/linux`;
    client.world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
    const image = await client.send('GET', shared);
    expect(image.body['properties']).toMatchObject({ osType: 'Linux', hyperVGeneration: 'V2' });
    const versions = await client.send('GET', `${shared}/versions`);
    expect(versions.body['value'].map((one: Json) => one['name'])).toEqual(['1.0.0', '1.1.2']);
    const id = client.vmId('shared');
    const created = await client.send(
      'PUT',
      id,
      client.vmBody(client.addNic('shared-nic'), (body) => {
        body['properties'].storageProfile.imageReference = {
          sharedGalleryImageId: `/sharedGalleries/${defaults.imageSubscriptionId}-SHARED/images/linux/versions/1.1.2`,
        };
      }),
      { auxiliary: false },
    );
    expect(created.status).toBe(201);
    expect(created.body['properties'].storageProfile.imageReference.exactVersion).toBe('1.1.2');
  });
});

describe('usages', () => {
  test('have the recorded shape and count machines', async () => {
    client.world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
    const created = await client.send('PUT', client.vmId('counted'), client.vmBody(client.addNic('counted-nic')));
    expect(created.status).toBe(201);
    const reply = await client.send(
      'GET',
      `/subscriptions/${defaults.subscriptionId}/providers/Microsoft.Compute/locations/westeurope/usages`,
    );
    expectLike(reply, recording('usages-compute', 'GET', /usages/));
    const cores = (reply.body['value'] as Json[]).find((one) => one['name'].value === 'cores');
    expect(cores?.['name'].localizedValue).toBe('Total Regional vCPUs');
    expect(cores?.['currentValue']).toBeGreaterThan(0);
  });
});
