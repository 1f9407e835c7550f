import { expect, test } from '@jest/globals';
import { defaults } from '../../simulator/index.ts';
import { act, errorOf, partsOf, startWorld, writesOf } from '../support/lifecycle.ts';

test('lists every deployment with image, size, addresses, expiry and run, and writes nothing', async () => {
  const sim = await startWorld();
  const first = await act(sim, { 'image-id': defaults.imageId('linux', '1.9.0'), 'expires-after': '2h' });
  const second = await act(sim, { 'vm-name': 'vm2', 'public-ip': 'false' });
  expect([first.exitCode, second.exitCode]).toEqual([0, 0]);
  const written = writesOf(sim.journal).length;
  const run = await act(sim, { operation: 'list', 'image-id': '', 'image-tenant-id': '' });
  expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'listed']);
  expect(writesOf(sim.journal)).toHaveLength(written);
  const deployments = JSON.parse(run.outputs['deployments'] ?? '[]');
  expect(deployments).toEqual([
    {
      'vm-name': 'vm1',
      'vm-id': partsOf('vm1').machine,
      state: 'Succeeded',
      'image-version-id': defaults.imageId('linux', '1.9.0'),
      'vm-size': 'Standard_D2s_v5',
      location: 'westeurope',
      'public-ip-address': first.outputs['public-ip-address'],
      'private-ip-address': first.outputs['private-ip-address'],
      'created-on': expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      'expires-on': expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      'run-url': expect.stringMatching(/^https:\/\/github\.com\/contoso\/deploy\/actions\/runs\/\d+$/),
    },
    expect.objectContaining({ 'vm-name': 'vm2', 'image-version-id': defaults.imageId('linux', '1.10.0') }),
  ]);
  expect(run.summary).toContain('2 deployments in resource group');
  expect(run.summary).toContain('| 1.9.0 |');

  for (const [imageId, expected] of [
    [defaults.imageId('linux', '1.9.0'), ['vm1']],
    [defaults.imageId('linux'), ['vm1', 'vm2']],
    [defaults.imageId('linux-data-disks'), []],
  ] as const) {
    const filtered = await act(sim, { operation: 'list', 'image-id': imageId });
    // A definition stands for all of its versions here, and other deployments may exist.
    expect(filtered.stdout).not.toMatch(/newest version|No deployment found in resource group/);
    const found = JSON.parse(filtered.outputs['deployments'] ?? '');
    expect([imageId, found.map((entry: { 'vm-name': string }) => entry['vm-name'])]).toEqual([imageId, expected]);
  }
});

test('lists the primary address when the network interface has others before it', async () => {
  const sim = await startWorld();
  const created = await act(sim);
  sim.faults.add({
    match: { method: 'GET', path: /\/networkInterfaces\?/i, times: Number.POSITIVE_INFINITY },
    effect: {
      changeAnswer: ({ value: [nic] }: any) =>
        nic.properties.ipConfigurations.unshift({
          name: 'second',
          properties: { primary: false, privateIPAddress: '192.168.1.200' },
        }),
    },
  });
  const run = await act(sim, { operation: 'list', 'image-id': '', 'image-tenant-id': '' });
  const [listed] = JSON.parse(run.outputs['deployments'] ?? '[]');
  expect([errorOf(run), listed['private-ip-address'], listed['public-ip-address']]).toEqual([
    '',
    created.outputs['private-ip-address'],
    created.outputs['public-ip-address'],
  ]);
  sim.faults.add({
    match: { method: 'GET', path: /\/networkInterfaces\/vm1-nic\?/i, times: Number.POSITIVE_INFINITY },
    effect: {
      changeAnswer: ({ properties }: any) =>
        properties.ipConfigurations.unshift({
          name: 'second',
          properties: { primary: false, privateIPAddress: '192.168.1.200' },
        }),
    },
  });
  const rerun = await act(sim);
  expect([errorOf(rerun), rerun.outputs['private-ip-address']]).toEqual(['', created.outputs['private-ip-address']]);
});

test('ends when the next page of a list is the same page', async () => {
  const sim = await startWorld();
  await act(sim);
  const match = { method: 'GET', path: /\/virtualMachines\?/i };
  sim.faults.add({
    match: { ...match, times: 5 },
    effect: {
      changeAnswer: (body: any) => {
        const { path, apiVersion } = sim.journal.findLast((one) => match.path.test(`${one.path}?`))!;
        body.nextLink = `${sim.armEndpoint}${path}?api-version=${apiVersion}`;
      },
    },
  });
  const run = await act(sim, { operation: 'list', 'image-id': '', 'image-tenant-id': '' });
  expect(JSON.parse(run.outputs['deployments'] ?? '[]')).toHaveLength(1);
  expect(sim.journal.filter(({ path }) => match.path.test(`${path}?`)).length).toBeLessThanOrEqual(2);
});
