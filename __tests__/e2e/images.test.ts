/** What the gallery answers for each kind of image, and the VM that is created from it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  addDefinition,
  addVersion,
  type DefinitionOptions,
  replicate,
} from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import type { RunOptions } from '../../scripts/action-runner/action-runner.ts';
import { defaultInputs, type Run, runAction, windowsImage } from '../support/harness.ts';
import { addStranger, partsOf } from '../support/lifecycle.ts';

const open: Simulator[] = [];
afterAll(() => Promise.all(open.map((one) => one.close())));

/** Shared by the tests that add definitions only; `start` sets another world for the running test. */
let shared: Simulator;
let sim: Simulator;
/** Requests of earlier tests. */
let seen = 0;
let tests = 0;
const vmName = () => `vm${tests}`;

async function start(world?: (world: World) => void): Promise<void> {
  sim = await startSimulator({ timeScale: 0.002, world });
  open.push(sim);
  seen = 0;
}

beforeAll(async () => {
  await start((world) => {
    for (const name of ['cores', 'standardDSv5Family']) settings(world).quota[name] = { limit: 1000 };
  });
  shared = sim;
});
beforeEach(() => {
  sim = shared;
  seen = sim.journal.length;
  tests++;
});

const compute = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}/providers/Microsoft.Compute`;
const gallery = defaults.imageId('linux').replace(/\/images\/linux$/, '');
const sharedName = `${defaults.imageSubscriptionId}-SHARED`;
const communityName = 'contoso-5f2c1f0e-8a5b-4d3b-9c86-0d3f3c6f5a11';
const both = ['West Europe', 'North Europe'];

const create = (inputs: Record<string, string>, options: Partial<RunOptions> = {}): Promise<Run> =>
  runAction({
    phases: ['main'],
    ...options,
    sim,
    inputs: { ...defaultInputs(sim), 'vm-name': vmName(), ...inputs },
  });
const errorOf = (run: Run): string => {
  expect(run.exitCode).toBe(1);
  const errors = run.annotations.filter(({ level }) => level === 'error');
  expect(errors).toHaveLength(1);
  return errors[0]?.message ?? '';
};
const wentWell = (run: Run): void => {
  expect(run.annotations.filter(({ level }) => level === 'error')).toEqual([]);
  expect(run.exitCode).toBe(0);
};
const requests = () => sim.journal.slice(seen);
const puts = () => requests().filter(({ method, host }) => method === 'PUT' && host === 'arm');
const vmBody = (): any => puts().find(({ path }) => path.includes('/virtualMachines/'))?.requestBody;
const texts = (run: Run, level: string): string[] =>
  run.annotations.filter((one) => one.level === level).map(({ message }) => message);
/** A separate definition with these versions. */
const define =
  (
    name: string,
    versions: Readonly<Record<string, Parameters<typeof addVersion>[3]>>,
    options: Partial<DefinitionOptions> = {},
  ) =>
  (world: World): void => {
    const id = addDefinition(world, gallery, name, { osType: 'Linux', ...options });
    for (const [version, rest] of Object.entries(versions)) addVersion(world, id, version, rest);
  };

describe('replication', () => {
  const replicating = (name: string) =>
    define(name, { '1.0.0': { regions: [{ region: 'West Europe', completesAfter: 1_000_000 }] } });

  test('logs progress and stops waiting when the replication completes', async () => {
    replicating('slow')(sim.world);
    const version = defaults.imageId('slow', '1.0.0');
    const looks = () => requests().filter(({ kind }) => kind === 'version.list').length;
    let looksBefore: number | undefined;
    const run = await create(
      { 'image-id': defaults.imageId('slow'), 'image-wait-minutes': '60' },
      {
        onLine: ({ text }) => {
          if (looksBefore !== undefined || !text.includes('Waiting for the image')) return;
          looksBefore = Number.NaN;
          // Runs right before the first request that finds the replication completed.
          sim.world.clock.after(100, () => (looksBefore = looks()));
          replicate(sim.world, version, 'West Europe', { completesAfter: 100 });
        },
      },
    );
    wentWell(run);
    expect(run.stdout).toMatch(
      /Waiting for the image, 0 of 60 minutes: version 1\.0\.0 is Replicating in westeurope, \d+ %\./,
    );
    expect(run.outputs['image-version-id']).toBe(version);
    // None if a read other than the list was the first.
    expect(looks() - (looksBefore ?? 0)).toBeLessThanOrEqual(1);
  });

  test('fails after ever longer pauses between reads when the version is not replicated in time', async () => {
    replicating('slow3')(sim.world);
    const inputs = { 'image-id': defaults.imageId('slow3'), 'image-wait-minutes': '5' };
    expect(errorOf(await create(inputs, { timeScale: 0.002 }))).toMatch(
      /version 1\.0\.0 is Replicating in westeurope, \d+ %/,
    );
    // One each second at first, then after an eighth of the time so far, at most 15 s: 45 at most, 300 with equal pauses.
    const looks = requests().filter(({ kind }) => kind === 'version.list').length;
    expect([looks > 1, looks < 50]).toEqual([true, true]);
    expect(puts()).toEqual([]);
  });

  test('refuses a name that somebody took during the wait', async () => {
    replicating('slow5')(sim.world);
    const { nsg } = partsOf('vm-waiting');
    const run = await create(
      { 'image-id': defaults.imageId('slow5'), 'image-wait-minutes': '60', 'vm-name': 'vm-waiting' },
      {
        onLine: ({ text }) => {
          if (!text.includes('Waiting for the image')) return;
          if (!sim.world.resources.has(nsg)) addStranger(sim.world, nsg, { owner: 'somebody' });
          replicate(sim.world, defaults.imageId('slow5', '1.0.0'), 'West Europe', { completesAfter: 1 });
        },
      },
    );
    expect(errorOf(run)).toMatch(/vm-waiting-nsg already exists and was not created by this action/);
    expect(puts()).toEqual([]);
  });

  test('stops waiting when the run is cancelled', async () => {
    replicating('slow4')(sim.world);
    const run = await create(
      { 'image-id': defaults.imageId('slow4'), 'image-wait-minutes': '60' },
      { signal: { name: 'SIGINT', whenLog: /Waiting for the image/ } },
    );
    expect(errorOf(run)).toContain('The workflow run was cancelled (SIGINT)');
    expect(puts()).toEqual([]);
  });

  test("lists the regions that have the image when the VM's region does not", async () => {
    define('elsewhere', {
      '1.0.0': { regions: ['North Europe', 'uksouth', { region: 'East US', state: 'Replicating' }] },
    })(sim.world);
    const error = errorOf(await create({ 'image-id': defaults.imageId('elsewhere', '1.0.0') }));
    expect(error).toContain('version 1.0.0 is not replicated to westeurope (it is in: northeurope, uksouth)');
    expect(error).toMatch(/az sig image-version update .*name=westeurope/);
    expect(error).not.toContain('image-wait-minutes');
    expect(puts()).toEqual([]);
  });

  test('selects the newest usable version when newer ones are excluded, failed, soft-deleted or in other regions', async () => {
    define('many', {
      '1.2.0': { regions: both },
      '1.10.0': { regions: both, provisioningState: 'Updating', endOfLifeDate: '2020-01-31T00:00:00Z' },
      '1.11.0': {
        regions: [{ region: 'West Europe', excludeFromLatest: true }, 'North Europe'],
      },
      '1.12.0': { regions: both, provisioningState: 'Failed' },
      '1.13.0': { regions: both, provisioningState: 'Creating' },
      '1.14.0': { regions: both, softDeletedUntil: '2099-01-31T00:00:00Z' },
      '2.0.0': { regions: both, excludeFromLatest: true },
      '3.0.0': { regions: ['North Europe'] },
    })(sim.world);
    const run = await create({ 'image-id': defaults.imageId('many') });
    wentWell(run);
    expect(run.outputs['image-version']).toBe('1.10.0');
    expect(vmBody().properties.storageProfile.imageReference).toEqual({
      id: defaults.imageId('many', '1.10.0'),
    });
    expect(texts(run, 'notice')).toContainEqual(expect.stringContaining('is 1.10.0'));
    expect(texts(run, 'warning')).toContainEqual(expect.stringContaining('end of life on 2020-01-31'));
  });
});

describe('direct-shared and community galleries', () => {
  /** Adds a resource group in a region without the image. */
  const readers = (world: World): void => {
    world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
    world.addGroup(defaults.subscriptionId, 'us-rg', 'eastus');
    world.grant(defaults.clientId, 'Contributor', `/subscriptions/${defaults.subscriptionId}/resourceGroups/us-rg`);
  };
  let readable: Simulator;
  beforeAll(async () => {
    await start(readers);
    readable = sim;
  });
  const useReadable = (): void => {
    sim = readable;
    seen = sim.journal.length;
  };

  test.each([
    ['direct-shared', `/SharedGalleries/${sharedName}/Images/linux`, '1.1.2', 'sharedGalleryImageId'],
    ['community', `/CommunityGalleries/${communityName}/Images/linux`, '1.0.0', 'communityGalleryImageId'],
  ])('pins the version when the image is %s', async (_, id, version, property) => {
    useReadable();
    const run = await create({ 'image-id': id });
    wentWell(run);
    expect(run.outputs['image-version']).toBe(version);
    const reference = vmBody().properties.storageProfile.imageReference;
    expect(Object.keys(reference)).toEqual([property]);
    expect(reference[property]).toMatch(new RegExp(`/images/linux/versions/${version}$`, 'i'));
    expect(run.outputs['image-version-id']).toBe(reference[property]);
    // The definition was read: Trusted Launch follows from it.
    expect(vmBody().properties.securityProfile.securityType).toBe('TrustedLaunch');
  });

  test('creates the VM when the gallery cannot be read and a version and os-type are given', async () => {
    const image = `/communityGalleries/${communityName}/images/windows/versions/1.0.0`;
    const run = await create({ ...windowsImage(), 'image-id': image, 'os-type': 'Windows' });
    wentWell(run);
    expect(vmBody().properties.osProfile).toHaveProperty('windowsConfiguration');
    expect(run.outputs['image-version']).toBe('1.0.0');
  });

  test('asks for a version when the gallery cannot be read', async () => {
    const image = `/sharedGalleries/${sharedName}/images/linux`;
    const error = errorOf(await create({ 'image-id': image, 'os-type': 'Linux' }));
    expect(error).toContain(`${image}/versions/`);
    expect(error).toContain('Microsoft.Compute/locations/sharedGalleries/images/versions/read');
    expect(puts()).toEqual([]);
  });

  test('names the region when it does not have the image', async () => {
    useReadable();
    const run = await create({
      'image-id': `/sharedGalleries/${sharedName}/images/linux`,
      'resource-group': 'us-rg',
    });
    expect(errorOf(run)).toMatch(/eastus/);
    expect(puts()).toEqual([]);
  });
});

describe('a role on the image version alone', () => {
  const version = defaults.imageId('linux', '1.10.0');
  let onVersion: Simulator;
  beforeAll(async () => {
    await start((world) => {
      world.revoke(defaults.clientId, gallery);
      world.grant(defaults.clientId, 'Reader', version);
    });
    onVersion = sim;
  });
  beforeEach(() => {
    sim = onVersion;
    seen = sim.journal.length;
  });

  test('names both solutions when os-type is missing', async () => {
    const error = errorOf(await create({ 'image-id': version }));
    expect(error).toContain('403 AuthorizationFailed');
    expect(error).toContain(
      `az role assignment create --assignee ${defaults.clientId} --role 'Compute Gallery Image Reader' --scope ${defaults.imageId('linux')}`,
    );
    expect(error).toContain('`os-type`');
    expect(puts()).toEqual([]);
  });

  test('reports unknown properties when check cannot read the definition', async () => {
    const run = await create({ 'image-id': version, 'os-type': 'Linux', operation: 'check' });
    wentWell(run);
    const findings: { id: string; level: string; asked: string; answer: string; fix: string[] }[] = JSON.parse(
      run.outputs['findings'] ?? '[]',
    );
    expect(findings.find(({ id }) => id === 'image')?.level).toBe('ok');
    const unread = findings.find(({ id }) => id === 'image/definition');
    expect(unread?.level).toBe('unknown');
    expect(unread?.asked).toContain('whether it is specialized');
    expect(unread?.answer).toContain(
      `the app lacks Microsoft.Compute/galleries/images/read on ${defaults.imageId('linux')}`,
    );
    expect(unread?.fix.join('\n')).toContain(`--scope ${defaults.imageId('linux')}`);
  });
});

test('gives the command when the terms of the purchase plan are not accepted', async () => {
  const error = errorOf(await create({ 'image-id': defaults.imageId('linux-plan') }));
  expect(error).toContain('ResourcePurchaseValidationFailed');
  expect(error).toContain(
    `az vm image terms accept --publisher contoso --offer linux-images --plan hardened --subscription ${defaults.subscriptionId}`,
  );
});

describe('generation, security type, processor and disk controller', () => {
  const trusted = {
    securityType: 'TrustedLaunch',
    uefiSettings: { secureBootEnabled: true, vTpmEnabled: true },
  };

  test.each<[string, Record<string, string>, object | undefined]>([
    [
      'supports Trusted Launch, and Standard is requested',
      { 'image-id': 'linux', 'security-type': 'Standard' },
      { securityType: 'Standard' },
    ],
    ['is generation 2 without the feature, on Arm', { 'image-id': 'linux-arm64' }, undefined],
    ['supports Trusted Launch and NVMe, on NVMe', { 'image-id': 'linux', 'vm-size': 'Standard_D2s_v6' }, trusted],
  ])('create the VM when the image %s', async (_, { 'image-id': image = '', ...inputs }, security) => {
    const run = await create({ 'image-id': defaults.imageId(image), ...inputs });
    wentWell(run);
    const { properties } = vmBody();
    expect(properties.securityProfile).toEqual(security);
    // The summary states the security type of the VM, not what the image would allow.
    expect(run.summary).toContain(`generation 2, ${properties.securityProfile?.securityType ?? 'Standard'} |`);
    if (image === 'linux-arm64') expect(properties.hardwareProfile.vmSize).toBe('Standard_D2ps_v6');
    // Compute picks the controller that image and size have in common.
    expect(properties.storageProfile).not.toHaveProperty('diskControllerType');
  });

  test('create a Standard VM when the size lacks the Trusted Launch that the image supports', async () => {
    define(
      'arm-supported',
      { '1.0.0': { regions: both } },
      { architecture: 'Arm64', features: { SecurityType: 'TrustedLaunchSupported' } },
    )(sim.world);
    const image = { 'image-id': defaults.imageId('arm-supported'), 'vm-size': 'Standard_D2ps_v5' };
    const run = await create(image);
    wentWell(run);
    const bodies = puts().filter(({ path }) => path.includes('/virtualMachines/'));
    expect(bodies.map(({ requestBody }) => (requestBody as any).properties.securityProfile)).toEqual([
      trusted,
      { securityType: 'Standard' },
    ]);
    expect(texts(run, 'notice')).toContainEqual(expect.stringContaining('Trusted Launch'));
    const forced = await create({
      ...image,
      'vm-name': 'forced',
      'security-type': 'TrustedLaunch',
    });
    expect(errorOf(forced)).toContain('security type');
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['x64 and the size Arm64', { 'image-id': 'linux', 'vm-size': 'Standard_D2ps_v5' }, /Standard_D2ps_v5.*Arm64/],
    ['of another security type', { 'image-id': 'linux-trusted', 'security-type': 'Standard' }, /SecurityType/],
  ])('refuse the VM before any write when the image is %s', async (_, { 'image-id': image = '', ...inputs }, why) => {
    expect(errorOf(await create({ 'image-id': defaults.imageId(image), ...inputs }))).toMatch(why);
    expect(puts()).toEqual([]);
  });
});

test("creates and deletes the image's data disks with the VM", async () => {
  const run = await create({
    'image-id': defaults.imageId('linux-data-disks'),
    'vm-size': 'Standard_D2s_v5',
  });
  wentWell(run);
  expect(vmBody().properties.storageProfile.dataDisks).toEqual([
    { lun: 0, createOption: 'FromImage', deleteOption: 'Delete' },
    { lun: 2, createOption: 'FromImage', deleteOption: 'Delete' },
  ]);
  const left = () =>
    [...sim.world.resources.under(compute.replace(/\/providers.*/, ''))]
      .map(({ id }) => id)
      .filter((id) => id.includes(`/${vmName()}`));
  expect(left().filter((id) => id.includes('/disks/'))).toHaveLength(3);
  wentWell(
    await runAction({
      sim,
      phases: ['main'],
      inputs: { ...defaultInputs(sim), operation: 'delete', 'vm-name': vmName() },
    }),
  );
  expect(left()).toEqual([]);
});
