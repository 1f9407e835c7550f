/** Sizes and zones as ordered lists: which one is tried next, with which requests, and the error when none is left. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { settings, type Shortage } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { defaultInputs, type Run, runAction } from '../support/harness.ts';
import { addStranger, sharedSubnet } from '../support/lifecycle.ts';

let sim: Simulator;
afterEach(() => sim?.close());
const start = async (world?: (world: World) => void): Promise<void> => {
  sim = await startSimulator({ timeScale: 0.002, world });
};

const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const vm = `${group}/providers/Microsoft.Compute/virtualMachines/vm1`;
const create = (inputs: Record<string, string>): Promise<Run> =>
  runAction({ sim, inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs } });
const messages = (run: Run, level: string): string[] =>
  run.annotations.filter((one) => one.level === level).map(({ message }) => message);
const wentWell = (run: Run): void => {
  expect(messages(run, 'error')).toEqual([]);
  expect(run.exitCode).toBe(0);
};
const short =
  (...shortages: Shortage[]) =>
  (world: World): void => {
    settings(world).shortages.push(...shortages);
  };
/** Writes and deletions of the machine and its parts, by method and last name. */
const writes = (): string[] =>
  sim.journal
    .filter(({ method, host, path }) => host === 'arm' && /PUT|DELETE/.test(method) && !/roleAssignments/.test(path))
    .map(({ method, path }) => `${method} ${path.split('/').at(-1)}`);
const vmPuts = () => sim.journal.filter(({ method, path }) => method === 'PUT' && path === vm);
const placed = (): string[] =>
  vmPuts().map(({ requestBody: body }: any) =>
    [body.properties.hardwareProfile.vmSize, ...(body.zones ?? [])].join(' in '),
  );

describe('the next size', () => {
  test('is tried at once when Azure refuses the PUT for capacity, a restriction or a quota', async () => {
    const shortages: readonly Required<Pick<Shortage, 'size' | 'code' | 'at'>>[] = [
      { size: 'Standard_D2s_v5', code: 'SkuNotAvailable', at: 'put' },
      { size: 'Standard_D2as_v5', code: 'AllocationFailed', at: 'put' },
      { size: 'Standard_D2ds_v5', code: 'ZonalAllocationFailed', at: 'put' },
      { size: 'Standard_D2s_v4', code: 'OverconstrainedAllocationRequest', at: 'put' },
    ];
    const refusals = [
      ...shortages.map(({ size, code }) => [size, code] as const),
      ['Standard_D2s_v3', 'OperationNotAllowed'],
      ['Standard_E2s_v5', 'SkuNotAvailable'],
    ] as const;
    await start((world) => {
      short(...shortages)(world);
      settings(world).quota['standardDSv3Family'] = { limit: 1 };
      const reasonCode = 'NotAvailableForSubscription';
      settings(world).restrictions.push({ location: 'westeurope', size: 'Standard_E2s_v5', reasonCode });
    });
    const sizes = [...refusals.map(([size]) => size), 'Standard_D4s_v5'];
    const run = await create({ 'vm-size': sizes.join('\n') });
    wentWell(run);
    expect(placed()).toEqual(sizes);
    expect(vmPuts().map(({ status }) => status)).toEqual([...refusals.map(() => 409), 201]);
    expect(vmPuts().map(({ requestHeaders }) => requestHeaders['if-none-match'])).toEqual(sizes.map(() => '*'));
    // Two reads in between, whether the refused PUT has left anything; a pause would be logged.
    const indexes = vmPuts().map((put) => sim.journal.indexOf(put));
    for (const [at, index] of indexes.slice(1).entries()) {
      expect(sim.journal.slice((indexes[at] ?? 0) + 1, index).map(({ method }) => method)).toEqual(['GET', 'GET']);
    }
    expect(run.stdout).not.toMatch(/retrying|looking again/);
    expect(run.outputs['vm-size']).toBe('Standard_D4s_v5');
    const notices = messages(run, 'notice').filter((line) => line.includes('is not available'));
    expect(notices).toEqual(
      refusals.map(([size, code], index) =>
        expect.stringMatching(new RegExp(`^Trying ${sizes[index + 1]}, because ${size} is not available: ${code}: `)),
      ),
    );
    expect(sim.journal.filter(({ kind }) => kind === 'skus.list')).toEqual([]);
  });

  test('is tried when the region does not know one', async () => {
    await start();
    const run = await create({ 'vm-size': 'Standard_X9_v9, Standard_D2s_v5' });
    wentWell(run);
    expect(placed()).toEqual(['Standard_X9_v9', 'Standard_D2s_v5']);
    expect(run.outputs['vm-size']).toBe('Standard_D2s_v5');
  });

  test('is tried when one is not offered in any zone', async () => {
    await start();
    const run = await create({
      'image-id': defaults.imageId('linux-gen1'),
      'vm-size': 'Standard_A1_v2, Standard_D1_v2',
      zone: '1',
    });
    wentWell(run);
    expect(run.outputs).toMatchObject({ 'vm-size': 'Standard_D1_v2', zone: '1' });
  });

  test('is not tried when an error does not depend on the size', async () => {
    await start();
    const run = await create({
      'vm-size': 'Standard_D2s_v5, Standard_D2as_v5',
      overrides: '{"vm": {"plan": {"name": "n", "publisher": "p", "product": "o"}}}',
    });
    expect(run.exitCode).toBe(1);
    expect(vmPuts()).toHaveLength(1);
    expect(messages(run, 'error')[0]).toContain('VMMarketplaceInvalidInput');
  });
});

describe('a VM that failed after its acceptance', () => {
  test('is updated in place when another size is available', async () => {
    await start(short({ code: 'AllocationFailed', size: 'Standard_D2s_v5', at: 'operation' }));
    const run = await create({ 'vm-size': 'Standard_D2s_v5, Standard_D2as_v5' });
    wentWell(run);
    expect(placed()).toEqual(['Standard_D2s_v5', 'Standard_D2as_v5']);
    expect(vmPuts().map(({ status }) => status)).toEqual([201, 200]);
    // The second one is meant for our own failed machine: If-None-Match would refuse it.
    expect(vmPuts().map(({ requestHeaders }) => requestHeaders['if-none-match'])).toEqual(['*', undefined]);
    for (const put of vmPuts()) expect(put.auxiliary).toHaveLength(1);
    expect(writes().filter((one) => one.startsWith('DELETE'))).toEqual([]);
    expect(run.outputs['vm-size']).toBe('Standard_D2as_v5');
    expect(sim.world.resources.get(vm)?.body['properties'].provisioningState).toBe('Succeeded');
  });

  test('moves to another zone when the VM and its disk are deleted and the NIC and public IP exist again', async () => {
    const registry = `${group}/providers/Microsoft.ContainerRegistry/registries/registry1`;
    await start((world) => {
      short({ code: 'ZonalAllocationFailed', zone: '1', at: 'operation' })(world);
      world.grant(defaults.clientId, 'User Access Administrator', group);
      world.resources.put({
        id: registry,
        type: 'Microsoft.ContainerRegistry/registries',
        body: { id: registry, name: 'registry1', location: 'westeurope', properties: {} },
      });
    });
    const run = await create({
      'role-assignments': `AcrPull on ${registry}`,
      'vm-size': 'Standard_D2s_v5, Standard_D2as_v5',
      zone: '1, 2',
      identity: 'system',
    });
    wentWell(run);
    expect(placed()).toEqual(['Standard_D2s_v5 in 1', 'Standard_D2s_v5 in 2']);
    expect(writes().slice(4)).toEqual(['PUT vm1', 'DELETE vm1', 'PUT vm1-ip', 'PUT vm1-nic', 'PUT vm1']);
    expect(vmPuts().map(({ requestHeaders }) => requestHeaders['if-none-match'])).toEqual(['*', '*']);
    expect(run.outputs).toMatchObject({ 'vm-size': 'Standard_D2s_v5', zone: '2' });
    const address = sim.world.resources.get(`${group}/providers/Microsoft.Network/publicIPAddresses/vm1-ip`);
    expect(run.outputs['public-ip-address']).toBe(address?.body['properties'].ipAddress);
    const machine = sim.world.resources.get(vm)?.body;
    expect(run.outputs['principal-id']).toBe(machine?.['identity'].principalId);
    // The identity of the first machine is gone, and what it had been granted went before it.
    const granted = sim.world.roleAssignments.filter((one) => one.scope === registry);
    expect(granted.map(({ principalId }) => principalId)).toEqual([machine?.['identity'].principalId]);
    const disks = [...sim.world.resources.ofType('Microsoft.Compute/disks')];
    expect(disks.map(({ body }) => body['zones'])).toEqual([['2']]);
    // Azure deleted the NIC and the public IP with the VM, so the address is a new one.
    const [, log = ''] = run.stdout.split('\nDeleted:\n');
    for (const name of ['vm1', 'vm1-osdisk', 'vm1-nic', 'vm1-ip']) expect(log.split('::')[0]).toContain(`/${name}\n`);
    expect(JSON.parse(run.outputs['created'] ?? '[]')).toHaveLength(
      new Set(JSON.parse(run.outputs['created'] ?? '[]')).size,
    );
    // All of them exist again: what `created` lists and `deleted` does not is what remains.
    const deleted: string[] = JSON.parse(run.outputs['deleted'] ?? '');
    expect(deleted.filter((id) => sim.world.resources.has(id))).toEqual([]);
  });

  test('waits for the reservation of a given NIC and keeps the NIC when the VM is replaced', async () => {
    await start();
    const nic = `${group}/providers/Microsoft.Network/networkInterfaces/theirs`;
    addStranger(sim.world, sharedSubnet.replace(/\/subnets\/.*/, ''));
    addStranger(sim.world, nic);
    const primary = { privateIPAddress: '10.20.0.9', privateIPAllocationMethod: 'Dynamic', primary: true };
    const properties = { ...primary, subnet: { id: sharedSubnet }, provisioningState: 'Succeeded' };
    Object.assign(sim.world.resources.get(nic)?.body['properties'], {
      ipConfigurations: [{ name: 'primary', id: `${nic}/ipConfigurations/primary`, properties }],
    });
    settings(sim.world).shortages.push({ code: 'ZonalAllocationFailed', zone: '1', at: 'operation' });
    const message = `Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another nic(s) or retry after 180 seconds. Reserved VM: ${vm}`;
    sim.faults.add({
      match: { method: 'PUT', path: /virtualMachines\/vm1\?/i, nth: 2, times: 2 },
      effect: { status: 400, code: 'NicReservedForAnotherVm', message },
    });
    const run = await create({ 'nic-id': nic, zone: '1, 2' });
    wentWell(run);
    expect(vmPuts().map(({ status }) => status)).toEqual([201, 400, 400, 201]);
    expect(vmPuts().map(({ requestHeaders }) => requestHeaders['if-none-match'])).toEqual(['*', '*', '*', '*']);
    expect(run.stdout).toContain('answered 400 NicReservedForAnotherVm; retrying in');
    expect(sim.world.resources.has(nic)).toBe(true);
    expect(writes().filter((one) => one.endsWith(' theirs'))).toEqual([]);
  });

  test('is updated in its own zone before it is deleted for the next zone', async () => {
    await start(
      short(
        { code: 'AllocationFailed', size: 'Standard_D2s_v5', at: 'operation' },
        { code: 'OverconstrainedAllocationRequest', size: 'Standard_D2as_v5', zone: '1', at: 'put' },
      ),
    );
    const run = await create({ 'vm-size': 'Standard_D2s_v5, Standard_D2as_v5', zone: '1, 2' });
    wentWell(run);
    expect(placed()).toEqual([
      'Standard_D2s_v5 in 1',
      'Standard_D2s_v5 in 2',
      'Standard_D2as_v5 in 1',
      'Standard_D2as_v5 in 2',
    ]);
    expect(run.outputs).toMatchObject({ 'vm-size': 'Standard_D2as_v5', zone: '2' });
    expect(messages(run, 'notice').filter((line) => line.includes('is not available'))).toHaveLength(3);
  });
});

describe('when all are refused', () => {
  const nothing = short(
    { code: 'SkuNotAvailable', size: 'Standard_D2s_v5', at: 'put' },
    { code: 'AllocationFailed', size: 'Standard_D2as_v5', at: 'operation' },
    { code: 'OverconstrainedAllocationRequest', size: 'Standard_D4s_v5', at: 'operation' },
  );
  const sizes = 'Standard_D2s_v5, Standard_D2as_v5, Standard_D4s_v5';

  test('lists every attempt and the command that lists sizes when all sizes are refused', async () => {
    await start(nothing);
    const run = await create({ 'vm-size': sizes });
    expect(run.exitCode).toBe(1);
    expect(messages(run, 'error')).toHaveLength(1);
    const [error = ''] = messages(run, 'error');
    expect(error).toContain('None of the requested sizes and zones is available in westeurope.');
    expect(error).toContain('- Standard_D2s_v5: SkuNotAvailable: The requested VM size');
    expect(error).toContain('- Standard_D2as_v5: AllocationFailed: Allocation failed.');
    expect(error).toContain('- Standard_D4s_v5: OverconstrainedAllocationRequest: Allocation failed.');
    expect(error).toContain(`az vm list-skus --subscription ${defaults.subscriptionId} --location westeurope`);
    expect(sim.journal.filter(({ kind }) => kind === 'skus.list')).toEqual([]);
    expect([...sim.world.resources.under(group)]).toEqual([]);
  });

  test('explains the code and reads no list of sizes when a single size is refused', async () => {
    await start((world) => {
      settings(world).quota['standardDSv5Family'] = { limit: 4, used: 4 };
    });
    const run = await create({ 'vm-size': 'Standard_D4s_v5' });
    const [error = ''] = messages(run, 'error');
    expect(error).toContain('OperationNotAllowed');
    expect(error).toContain('4 of 4 are in use');
    expect(error).toContain('What to do:');
    expect(error).toContain('Failed while creating virtual machine vm1.');
    expect(sim.journal.filter(({ kind }) => kind === 'skus.list')).toEqual([]);
  });
});

describe('spot: prefer', () => {
  const bothSizes = { 'vm-size': 'Standard_D2s_v5, Standard_D2as_v5', spot: 'prefer' };
  const priorities = (): string[] =>
    vmPuts().map(({ requestBody: body }: any) => body.properties.priority ?? 'Regular');

  test('creates a Spot VM where one is available', async () => {
    await start();
    const run = await create(bothSizes);
    wentWell(run);
    expect(run.outputs).toMatchObject({ spot: 'true', 'vm-size': 'Standard_D2s_v5' });
    expect(vmPuts().map(({ requestBody }) => requestBody)).toMatchObject([
      { properties: { priority: 'Spot', evictionPolicy: 'Delete', billingProfile: { maxPrice: -1 } } },
    ]);
  });

  test('tries every size as Spot before a regular VM', async () => {
    await start((world) => {
      settings(world).quota['lowPriorityCores'] = { limit: 1 };
    });
    const run = await create(bothSizes);
    wentWell(run);
    expect(placed()).toEqual(['Standard_D2s_v5', 'Standard_D2as_v5', 'Standard_D2s_v5']);
    expect(priorities()).toEqual(['Spot', 'Spot', 'Regular']);
    expect(run.outputs).toMatchObject({ spot: 'false', 'vm-size': 'Standard_D2s_v5' });
    expect(messages(run, 'notice')).toContainEqual(
      expect.stringMatching(/^Trying Standard_D2s_v5, because Standard_D2as_v5 \(Spot\) is not available: /),
    );
  });

  test('deletes a Spot VM that failed after its acceptance before it creates a regular one', async () => {
    await start(short({ code: 'AllocationFailed', at: 'operation', times: 1 }));
    const run = await create({ spot: 'prefer' });
    wentWell(run);
    expect(priorities()).toEqual(['Spot', 'Regular']);
    expect(writes()).toContain('DELETE vm1');
    expect(run.outputs['spot']).toBe('false');
  });
});

test('zone: any tries every zone', async () => {
  await start(
    short(
      { code: 'ZonalAllocationFailed', zone: '1', at: 'put' },
      { code: 'ZonalAllocationFailed', zone: '2', at: 'put' },
    ),
  );
  const run = await create({ zone: 'any' });
  wentWell(run);
  expect(run.outputs['zone']).toBe('3');
  expect(placed()).toEqual(['1', '2', '3'].map((zone) => `Standard_D2s_v5 in ${zone}`));
});
