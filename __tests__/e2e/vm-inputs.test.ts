/** What the author gives the machine along: data, names, tags, disks, a Spot price, and keys. */
import { afterEach, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { assertNoSecrets, defaultInputs, type Run, runAction, windowsImage } from '../support/harness.ts';

let sim: Simulator;
afterEach(() => sim?.close());

const vmBody = (name = 'vm1'): any =>
  sim.journal.find(({ method, path }) => method === 'PUT' && path.endsWith(`/virtualMachines/${name}`))?.requestBody;
const create = async (
  inputs: Record<string, string>,
  workspace: Record<string, string | Uint8Array> = {},
): Promise<Run> => {
  sim ??= await startSimulator({ timeScale: 0.002 });
  return runAction({
    sim,
    phases: ['main'],
    workspace,
    inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', 'wait-for': 'accepted', ...inputs },
  });
};
const errors = (run: Run): string[] =>
  run.annotations.filter(({ level }) => level === 'error').map(({ message }) => message);

test('sends custom data, user data, tags, empty data disks and encryption at host when their inputs are set', async () => {
  sim = await startSimulator({
    timeScale: 0.002,
    world: (world) => void settings(world).encryptionAtHost.add(defaults.subscriptionId),
  });
  const bytes = Uint8Array.from({ length: 65_535 }, (_, index) => index % 256);
  const userData = ` leading and trailing space\n${'x'.repeat(65_536 - 29)}\n`;
  const run = await create(
    {
      'custom-data-file': 'cloud/init.gz',
      'user-data': userData,
      tags: 'team: images\nversion: 1.10\nenabled: true\nempty:',
      'data-disk-sizes-gb': '128, 512, 128',
      'encryption-at-host': 'true',
    },
    { 'cloud/init.gz': bytes },
  );
  expect(errors(run)).toEqual([]);
  const { osProfile, userData: sentUserData, storageProfile, securityProfile } = vmBody().properties;
  expect(Buffer.compare(Buffer.from(osProfile.customData, 'base64'), bytes)).toBe(0);
  expect(Buffer.from(sentUserData, 'base64').toString()).toBe(userData);
  expect(securityProfile).toMatchObject({ encryptionAtHost: true });
  expect(storageProfile.dataDisks).toEqual([
    { lun: 0, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB: 128 },
    { lun: 1, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB: 512 },
    { lun: 2, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB: 128 },
  ]);
  const bodies = sim.journal
    .filter(({ method, path }) => method === 'PUT' && path.includes('/vm1'))
    .map(({ requestBody }) => requestBody as { tags?: object });
  expect(bodies).toHaveLength(5);
  for (const { tags } of bodies) {
    expect(tags).toMatchObject({ team: 'images', version: '1.10', enabled: 'true', empty: '' });
    expect(tags).toMatchObject({ 'cross-tenant-vm': 'vm1', 'github-run-id': '9876543210' });
  }
});

test('sends disk, license and Spot settings and a shortened host name when the image is Windows', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const name = 'a-machine-with-a-long-name';
  const run = await create({
    ...windowsImage(),
    'vm-name': name,
    'os-disk-size-gb': '256',
    'os-disk-type': 'premium_lrs',
    'license-type': 'Windows_Server',
    spot: 'true',
    'max-price': '0.125',
    'eviction-policy': 'deallocate',
  });
  expect(errors(run)).toEqual([]);
  expect(vmBody(name).properties).toMatchObject({
    storageProfile: { osDisk: { diskSizeGB: 256, managedDisk: { storageAccountType: 'Premium_LRS' } } },
    licenseType: 'Windows_Server',
    priority: 'Spot',
    evictionPolicy: 'Deallocate',
    billingProfile: { maxPrice: 0.125 },
    osProfile: { computerName: expect.stringMatching(/^a-machin-[0-9a-f]{6}$/) },
    diagnosticsProfile: { bootDiagnostics: { enabled: true } },
  });
  expect(vmBody(name).properties.diagnosticsProfile.bootDiagnostics).not.toHaveProperty('storageUri');
});

test('reports Azure’s refusal when the disk is smaller than the image', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const run = await create({ ...windowsImage(), 'os-disk-size-gb': '64', 'admin-password': 'Simulated-Pass-1' });
  expect(errors(run)[0]).toContain('OperationNotAllowed');
  expect(errors(run)[0]).toContain('64 GB is smaller than the size of the corresponding disk in the VM image: 127 GB');
});

test('refuses a private key before any request, without its text', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const secret = await create({
    'ssh-public-key': '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----',
  });
  expect(errors(secret)[0]).toContain('holds a private key');
  assertNoSecrets(secret, ['BEGIN OPENSSH PRIVATE KEY']);
  expect(sim.journal).toEqual([]);
});
