import { describe, expect, test } from '@jest/globals';
import { generateSshKeyPair } from '../../../src/lib/ssh-key.ts';
import { validateAdminAccount } from '../../../src/inputs/admin-account.ts';
import { ed25519, readDeployment } from '../../support/read-inputs.ts';

describe('the administrator, once the OS is known', () => {
  const account = { adminUsername: 'azureuser', sshPublicKeys: [] };

  test.each<[object, 'Linux' | 'Windows', readonly string[]]>([
    [{}, 'Linux', []],
    [{}, 'Windows', []],
    [{ adminUsername: 'u'.repeat(21) }, 'Linux', []],
    [{ adminUsername: 'u'.repeat(21) }, 'Windows', ['admin-username']],
    [{ adminUsername: 'a b' }, 'Linux', ['admin-username']],
    [{ adminPassword: 'Abc-12' }, 'Linux', []],
    [{ adminPassword: 'Abc-12' }, 'Windows', ['admin-password']],
    [{ sshPublicKeys: [ed25519] }, 'Linux', []],
    [{ sshPublicKeys: [ed25519] }, 'Windows', ['ssh-public-key']],
    [{ computerName: 'web.example' }, 'Linux', []],
    [{ computerName: 'web.example' }, 'Windows', ['computer-name']],
    [{ licenseType: 'Windows_Server' }, 'Windows', []],
    [{ licenseType: 'Windows_Server' }, 'Linux', ['license-type']],
    [{ licenseType: 'RHEL_BYOS' }, 'Linux', []],
    [{ licenseType: 'RHEL_BYOS' }, 'Windows', ['license-type']],
    [{ licenseType: 'None' }, 'Windows', []],
  ])('%j on %s', (given, osType, inputs) => {
    expect(validateAdminAccount({ ...account, ...given }, osType).map(({ input }) => input)).toEqual(inputs);
  });

  test('generated keys pass', async () => {
    const { publicKey } = await generateSshKeyPair('generated');
    expect(readDeployment({ 'ssh-public-key': publicKey }).sshPublicKeys).toEqual([publicKey]);
  });
});
