/** What the gallery says, and what the machine becomes: every kind of image, from the wire. */
import { afterEach, describe, expect, test } from '@jest/globals';
import {
  addDefinition,
  addVersion,
  type DefinitionOptions,
  replicate,
} from '../../simulator/providers/compute/galleries.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { acceptTerms } from '../../simulator/providers/marketplace.ts';
import { defaults, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import type { RunOptions } from '../../scripts/action-runner/action-runner.ts';
import { defaultInputs, type Run, runAction, windowsImage, generatedKey } from '../support/harness.ts';

let sim: Simulator;
afterEach(() => sim?.close());
const start = async (world?: (world: World) => void, timeScale = 0.01): Promise<void> => {
  sim = await startSimulator({ timeScale, world });
};

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
    inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs },
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
const puts = () => sim.journal.filter(({ method, host }) => method === 'PUT' && host === 'arm');
const vmBody = (): any => puts().find(({ path }) => path.toLowerCase().endsWith('/virtualmachines/vm1'))?.requestBody;
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
  const replicating = define('slow', {
    '1.0.0': { regions: [{ region: 'West Europe', completesAfter: 1_000_000 }] },
  });

  test('logs progress and stops waiting when the replication completes', async () => {
    await start(replicating);
    const version = defaults.imageId('slow', '1.0.0');
    const looks = () => sim.journal.filter(({ kind }) => kind === 'version.list').length;
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
    expect(looks() - (looksBefore ?? 0)).toBe(1);
  });

  test('fails and names `image-wait-minutes` when the version is replicating', async () => {
    await start(replicating);
    const error = errorOf(await create({ 'image-id': defaults.imageId('slow', '1.0.0'), location: 'West Europe' }));
    expect(error).toMatch(/version 1\.0\.0 is Replicating in westeurope, \d+ %/);
    expect(error).toContain('image-wait-minutes');
    expect(puts()).toEqual([]);
  });

  test('fails after ever longer pauses between reads when the version is not replicated in time', async () => {
    await start(replicating);
    const inputs = { 'image-id': defaults.imageId('slow'), 'image-wait-minutes': '5' };
    expect(errorOf(await create(inputs, { timeScale: 0.01 }))).toMatch(
      /version 1\.0\.0 is Replicating in westeurope, \d+ %/,
    );
    // One each second at first, then after an eighth of the time so far, at most 15 s: 45 at most, 300 with equal pauses.
    const looks = sim.journal.filter(({ kind }) => kind === 'version.list').length;
    expect([looks > 1, looks < 50]).toEqual([true, true]);
    expect(puts()).toEqual([]);
  });

  test('stops waiting when the run is cancelled', async () => {
    await start(replicating);
    const run = await runAction({
      sim,
      phases: ['main'],
      inputs: {
        ...defaultInputs(sim),
        'vm-name': 'vm1',
        'image-id': defaults.imageId('slow'),
        'image-wait-minutes': '60',
      },
      signal: { name: 'SIGINT', whenLog: /Waiting for the image/ },
    });
    expect(errorOf(run)).toContain('The workflow run was cancelled (SIGINT)');
    expect(puts()).toEqual([]);
  });

  test("lists the regions that have the image when the VM's region does not", async () => {
    await start(
      define('elsewhere', {
        '1.0.0': { regions: ['North Europe', 'uksouth', { region: 'East US', state: 'Replicating' }] },
      }),
    );
    const error = errorOf(await create({ 'image-id': defaults.imageId('elsewhere', '1.0.0') }));
    expect(error).toContain('version 1.0.0 is not replicated to westeurope (it is in: northeurope, uksouth)');
    expect(error).toMatch(/az sig image-version update .*name=westeurope/);
    expect(error).not.toContain('image-wait-minutes');
    expect(puts()).toEqual([]);
  });

  test.each([
    ['linux-creating', /version 1\.0\.0 is still being built/],
    ['linux-replication-failed', /version 1\.0\.0 is Failed.*Replication to the region failed\./],
  ])('refuses the version when the definition is %s', async (definition, why) => {
    await start();
    expect(errorOf(await create({ 'image-id': defaults.imageId(definition, '1.0.0') }))).toMatch(why);
    expect(puts()).toEqual([]);
  });

  test('selects the newest usable version when newer ones are excluded, failed, soft-deleted or in other regions', async () => {
    await start(
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
      }),
    );
    const run = await create({ 'image-id': defaults.imageId('many') });
    wentWell(run);
    expect(run.outputs['image-version']).toBe('1.10.0');
    expect(vmBody().properties.storageProfile.imageReference).toEqual({
      id: defaults.imageId('many', '1.10.0'),
    });
    expect(texts(run, 'notice')).toContainEqual(expect.stringContaining('is 1.10.0'));
    expect(texts(run, 'warning')).toContainEqual(expect.stringContaining('end of life on 2020-01-31'));
  });

  test('uses an excluded, soft-deleted version when it is named, and warns in check and create', async () => {
    await start(
      define('old', {
        '2.0.0': { regions: both, excludeFromLatest: true, softDeletedUntil: '2099-01-31T00:00:00Z' },
      }),
    );
    const warning = 'Image version 2.0.0 is soft-deleted and can only be deployed until 2099-01-31.';
    const inputs = { 'image-id': defaults.imageId('old', '2.0.0') };
    const check = await create({ ...inputs, operation: 'check' });
    expect(JSON.parse(check.outputs['findings'] ?? '[]')).toContainEqual(
      expect.objectContaining({ id: 'image/end-of-life', level: 'warning', answer: expect.stringContaining(warning) }),
    );
    const run = await create(inputs);
    wentWell(run);
    expect(run.outputs['image-version']).toBe('2.0.0');
    expect(texts(run, 'warning')).toContainEqual(expect.stringContaining(warning));
  });

  test('gives the reason for each version when none is usable', async () => {
    await start(
      define('none', {
        '1.0.0': { regions: ['North Europe'] },
        '1.1.0': { regions: both, provisioningState: 'Failed' },
        '2.0.0': { regions: both, excludeFromLatest: true },
      }),
    );
    const error = errorOf(await create({ 'image-id': defaults.imageId('none') }));
    expect(error).toMatch(/version 1\.1\.0 is Failed.*; version 1\.0\.0 is not replicated to westeurope/);
  });
});

describe('direct-shared and community galleries', () => {
  const readers = (world: World): void => {
    world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
  };

  test.each([
    ['direct-shared', `/SharedGalleries/${sharedName}/Images/linux`, '1.1.2', 'sharedGalleryImageId'],
    [
      'direct-shared, a version',
      `/sharedGalleries/${sharedName}/images/linux/versions/1.0.0`,
      '1.0.0',
      'sharedGalleryImageId',
    ],
    ['community', `/CommunityGalleries/${communityName}/Images/linux`, '1.0.0', 'communityGalleryImageId'],
    [
      'community, a version',
      `/communityGalleries/${communityName}/images/linux/versions/1.0.0`,
      '1.0.0',
      'communityGalleryImageId',
    ],
  ])('pins the version when the image is %s', async (_, id, version, property) => {
    await start(readers);
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
    await start();
    const image = `/communityGalleries/${communityName}/images/windows/versions/1.0.0`;
    const without = errorOf(await create({ 'image-id': image }));
    expect(without).toContain('os-type');
    expect(puts()).toEqual([]);
    const run = await create({ ...windowsImage(), 'image-id': image, 'os-type': 'Windows' });
    wentWell(run);
    expect(vmBody().properties.osProfile).toHaveProperty('windowsConfiguration');
    expect(run.outputs['image-version']).toBe('1.0.0');
  });

  test('asks for a version when the gallery cannot be read', async () => {
    await start();
    const image = `/sharedGalleries/${sharedName}/images/linux`;
    const error = errorOf(await create({ 'image-id': image, 'os-type': 'Linux' }));
    expect(error).toContain(`${image}/versions/`);
    expect(error).toContain('Microsoft.Compute/locations/sharedGalleries/images/versions/read');
    expect(puts()).toEqual([]);
  });

  test('names the region when it does not have the image', async () => {
    await start((world) => {
      readers(world);
      world.addGroup(defaults.subscriptionId, 'us-rg', 'eastus');
      world.grant(defaults.clientId, 'Contributor', `/subscriptions/${defaults.subscriptionId}/resourceGroups/us-rg`);
    });
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
  const onVersion = (world: World): void => {
    world.revoke(defaults.clientId, gallery);
    world.grant(defaults.clientId, 'Reader', version);
  };

  test('creates the VM when os-type is given', async () => {
    await start(onVersion);
    const run = await create({ 'image-id': version, 'os-type': 'Linux' });
    wentWell(run);
    expect(vmBody().properties.storageProfile.imageReference).toEqual({ id: version });
    expect(vmBody().properties.osProfile).toHaveProperty('linuxConfiguration');
  });

  test('names both solutions when os-type is missing', async () => {
    await start(onVersion);
    const error = errorOf(await create({ 'image-id': version }));
    expect(error).toContain('403 AuthorizationFailed');
    expect(error).toContain(
      `az role assignment create --assignee ${defaults.clientId} --role 'Compute Gallery Image Reader' --scope ${defaults.imageId('linux')}`,
    );
    expect(error).toContain('`os-type`');
    expect(puts()).toEqual([]);
  });

  test('reports unknown properties when check cannot read the definition', async () => {
    await start(onVersion);
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

describe('a purchase plan', () => {
  test('is sent with the VM, and the command is given when the terms are not accepted', async () => {
    await start();
    const inputs = { 'image-id': defaults.imageId('linux-plan') };
    const error = errorOf(await create(inputs));
    expect(error).toContain('ResourcePurchaseValidationFailed');
    expect(error).toContain(
      `az vm image terms accept --publisher contoso --offer linux-images --plan hardened --subscription ${defaults.subscriptionId}`,
    );
    acceptTerms(sim.world, defaults.subscriptionId, {
      publisher: 'contoso',
      product: 'linux-images',
      name: 'hardened',
    });
    wentWell(await create(inputs));
    expect(vmBody().plan).toEqual({ publisher: 'contoso', product: 'linux-images', name: 'hardened' });
  });
});

test.each([
  ['Standard', { 'security-type': 'Standard' }, 'Standard'],
  ['TrustedLaunch', {}, 'TrustedLaunch'],
] as const)('creates a %s VM when Trusted Launch is the default of the subscription', async (_, inputs, type) => {
  await start();
  settings(sim.world).trustedLaunchByDefault.add(defaults.subscriptionId);
  wentWell(await create({ 'image-id': defaults.imageId('linux'), ...inputs }));
  const vm = sim.world.resources.get(`${compute}/virtualMachines/vm1`);
  expect(vm?.body['properties'].securityProfile.securityType).toBe(type);
});

describe('generation, security type, processor and disk controller', () => {
  const trusted = {
    securityType: 'TrustedLaunch',
    uefiSettings: { secureBootEnabled: true, vTpmEnabled: true },
  };

  test.each<[string, Record<string, string>, object | undefined]>([
    ['TrustedLaunch', { 'image-id': 'linux-trusted' }, trusted],
    ['TrustedLaunchSupported', { 'image-id': 'linux' }, trusted],
    [
      'TrustedLaunchSupported, but Standard is requested',
      { 'image-id': 'linux', 'security-type': 'Standard' },
      { securityType: 'Standard' },
    ],
    ['Gen1', { 'image-id': 'linux-gen1' }, undefined],
    ['Gen2 without the feature, on Arm', { 'image-id': 'linux-arm64' }, undefined],
    [
      'Confidential',
      { 'image-id': 'linux-confidential', 'vm-size': 'Standard_DC2as_v5' },
      { ...trusted, securityType: 'ConfidentialVM' },
    ],
    ['NVMe only size', { 'image-id': 'linux', 'vm-size': 'Standard_D2s_v6' }, trusted],
  ])('%s', async (_, { 'image-id': image = '', ...inputs }, security) => {
    await start();
    wentWell(await create({ 'image-id': defaults.imageId(image), ...inputs }));
    const { properties } = vmBody();
    expect(properties.securityProfile).toEqual(security);
    // Compute picks the controller that image and size have in common.
    expect(properties.storageProfile).not.toHaveProperty('diskControllerType');
    if (security && 'securityType' in security && security.securityType === 'ConfidentialVM') {
      expect(properties.storageProfile.osDisk.managedDisk.securityProfile).toEqual({
        securityEncryptionType: 'VMGuestStateOnly',
      });
    }
  });

  test('creates a Standard VM when the size lacks the Trusted Launch that the image supports', async () => {
    await start(
      define(
        'arm-supported',
        { '1.0.0': { regions: both } },
        {
          architecture: 'Arm64',
          features: { SecurityType: 'TrustedLaunchSupported' },
        },
      ),
    );
    const image = { 'image-id': defaults.imageId('arm-supported'), 'vm-size': 'Standard_D2ps_v5' };
    const run = await create(image);
    wentWell(run);
    const bodies = puts().filter(({ path }) => path.endsWith('/virtualMachines/vm1'));
    expect(bodies.map(({ requestBody }) => (requestBody as any).properties.securityProfile)).toEqual([
      trusted,
      { securityType: 'Standard' },
    ]);
    expect(texts(run, 'notice')).toContainEqual(expect.stringContaining('Trusted Launch'));
    const forced = await create({
      ...image,
      'vm-name': 'vm2',
      'security-type': 'TrustedLaunch',
    });
    expect(errorOf(forced)).toContain('security type');
  });

  test.each([
    ['Gen2 on a size of generation 1', 'linux', 'Standard_D1_v2', /generation/],
    ['Gen1 on a size of generation 2', 'linux-gen1', 'Standard_D2s_v6', /generation/],
    ['x64 on Arm', 'linux', 'Standard_D2ps_v5', /Arm64/],
    ['Arm on x64', 'linux-arm64', 'Standard_D2s_v5', /Arm64/],
    ['SCSI only on NVMe only', 'windows', 'Standard_D2s_v6', /NVMe/],
  ])('refuses before creating anything when the combination is %s', async (_, image, size, why) => {
    await start();
    const key = image === 'windows' ? generatedKey : {};
    const error = errorOf(await create({ 'image-id': defaults.imageId(image), 'vm-size': size, ...key }));
    expect(error).toMatch(why);
    expect(error).toContain(size);
    expect(puts()).toEqual([]);
  });

  test.each([
    ['linux', { 'vm-size': 'Standard_D2s_v5', 'security-type': 'ConfidentialVM' }],
    ['linux-gen1', { 'security-type': 'TrustedLaunch' }],
    ['linux-trusted', { 'security-type': 'Standard' }],
  ])('%s with %j is refused before anything is made', async (image, inputs) => {
    await start();
    expect(errorOf(await create({ 'image-id': defaults.imageId(image), ...inputs }))).toMatch(
      /SecurityType|generation 1/,
    );
    expect(puts()).toEqual([]);
  });
});

test("creates and deletes the image's data disks with the VM", async () => {
  await start();
  const run = await create({
    'image-id': defaults.imageId('linux-data-disks'),
    'vm-size': 'Standard_D2s_v5',
  });
  wentWell(run);
  expect(vmBody().properties.storageProfile.dataDisks).toEqual([
    { lun: 0, createOption: 'FromImage', deleteOption: 'Delete' },
    { lun: 2, createOption: 'FromImage', deleteOption: 'Delete' },
  ]);
  expect([...sim.world.resources.ofType('Microsoft.Compute/disks')]).toHaveLength(3);
  wentWell(
    await runAction({
      sim,
      phases: ['main'],
      inputs: { ...defaultInputs(sim), operation: 'delete', 'vm-name': 'vm1' },
    }),
  );
  expect([...sim.world.resources.under(compute.replace(/\/providers.*/, ''))]).toEqual([]);
});
