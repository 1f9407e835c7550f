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

test('sends custom data and user data unchanged when they are within their limits', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const bytes = Uint8Array.from({ length: 65_535 }, (_, index) => index % 256);
  const userData = ` leading and trailing space\n${'x'.repeat(65_536 - 29)}\n`;
  const run = await create({ 'custom-data-file': 'cloud/init.gz', 'user-data': userData }, { 'cloud/init.gz': bytes });
  expect(errors(run)).toEqual([]);
  expect(Buffer.compare(Buffer.from(vmBody().properties.osProfile.customData, 'base64'), bytes)).toBe(0);
  expect(Buffer.from(vmBody().properties.userData, 'base64').toString()).toBe(userData);

  const sent = sim.journal.length;
  const tooMuch = await create(
    { 'custom-data-file': 'big', 'user-data': `${userData}x` },
    { big: new Uint8Array(65_536) },
  );
  expect(errors(tooMuch)[0]).toContain('custom-data-file: has 65536 bytes; the limit is 65535');
  expect(errors(tooMuch)[0]).toContain('user-data: has 65537 bytes; the limit is 65536');
  expect(sim.journal).toHaveLength(sent);
});

test('tags every resource with strings when tags are YAML or JSON', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const asked = { team: 'images', version: '1.10', enabled: 'true', empty: '' };
  for (const [name, tags] of [
    ['yaml', 'team: images\nversion: 1.10\nenabled: true\nempty:'],
    ['json', '{"team": "images", "version": "1.10", "enabled": true, "empty": ""}'],
  ] as const) {
    expect(errors(await create({ 'vm-name': name, tags }))).toEqual([]);
    const bodies = sim.journal
      .filter(({ method, path }) => method === 'PUT' && path.includes(`/${name}`))
      .map(({ requestBody }) => requestBody as { tags?: object });
    expect(bodies).toHaveLength(5);
    for (const { tags: sent } of bodies) {
      expect(sent).toMatchObject({ ...asked, 'cross-tenant-vm': name, 'github-run-id': '9876543210' });
    }
  }
});

test('shortens the host name when the image is Windows', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const windows = windowsImage();
  const long = 'a-machine-with-a-long-name';
  expect(errors(await create({ ...windows, 'vm-name': long }))).toEqual([]);
  expect(vmBody(long).properties.osProfile.computerName).toMatch(/^a-machin-[0-9a-f]{6}$/);
  expect(errors(await create({ ...windows, 'vm-name': '12345' }))).toEqual([]);
  expect(vmBody('12345').properties.osProfile.computerName).toBe('vm12345');
  const refused = await create({
    ...windows,
    'computer-name': 'more-than-15-letters',
    'admin-password': 'Simulated-1',
  });
  expect(errors(refused)[0]).toMatch(/computer-name: .*15/);
});

test('sends disk, license and Spot settings when their inputs are set', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const run = await create({
    ...windowsImage(),
    'os-disk-size-gb': '256',
    'os-disk-type': 'premium_lrs',
    'license-type': 'Windows_Server',
    spot: 'true',
    'max-price': '0.125',
    'eviction-policy': 'deallocate',
    'computer-name': 'host1',
  });
  expect(errors(run)).toEqual([]);
  expect(vmBody().properties).toMatchObject({
    storageProfile: { osDisk: { diskSizeGB: 256, managedDisk: { storageAccountType: 'Premium_LRS' } } },
    licenseType: 'Windows_Server',
    priority: 'Spot',
    evictionPolicy: 'Deallocate',
    billingProfile: { maxPrice: 0.125 },
    osProfile: { computerName: 'host1' },
    diagnosticsProfile: { bootDiagnostics: { enabled: true } },
  });
  expect(vmBody().properties.diagnosticsProfile.bootDiagnostics).not.toHaveProperty('storageUri');
});

test('reports Azure’s refusal when the disk is smaller than the image', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const run = await create({ ...windowsImage(), 'os-disk-size-gb': '64' });
  expect(errors(run)[0]).toContain('OperationNotAllowed');
  expect(errors(run)[0]).toContain('64 GB is smaller than the size of the corresponding disk in the VM image: 127 GB');
});

test('refuses SSH keys before any request when they are private, damaged or of another type', async () => {
  sim = await startSimulator({ timeScale: 0.002 });
  const run = await create({ 'ssh-public-key': 'ssh-ed25519 AAAAC3Nz\necdsa-sha2-nistp256 AAAA\nhello' });
  expect(errors(run)[0]?.match(/- ssh-public-key:/g)).toHaveLength(3);
  const secret = await create({
    'ssh-public-key': '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----',
  });
  expect(errors(secret)[0]).toContain('holds a private key');
  assertNoSecrets(secret, ['BEGIN OPENSSH PRIVATE KEY']);
  expect(sim.journal).toEqual([]);
});

test('sends empty data disks and encryption at host', async () => {
  sim = await startSimulator({
    timeScale: 0.002,
    world: (world) => void settings(world).encryptionAtHost.add(defaults.subscriptionId),
  });
  const run = await create({ 'data-disk-sizes-gb': '128, 512, 128', 'encryption-at-host': 'true' });
  expect(errors(run)).toEqual([]);
  const { storageProfile, securityProfile } = vmBody().properties;
  expect(securityProfile).toMatchObject({ encryptionAtHost: true });
  expect(storageProfile.dataDisks).toEqual([
    { lun: 0, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB: 128 },
    { lun: 1, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB: 512 },
    { lun: 2, createOption: 'Empty', deleteOption: 'Delete', diskSizeGB: 128 },
  ]);
});
