import type { VirtualMachine } from '@azure/arm-compute';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ActionError } from '../errors/errors.ts';
import { runnerFileError } from '../runner/environment.ts';
import type { ResolvedImage } from '../image/image.ts';
import { validateAdminAccount } from '../inputs/admin-account.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import type { SshKeyPair } from '../lib/ssh-key.ts';

interface AdminCredentials {
  readonly sshPublicKey?: string;
  readonly privateKey?: string;
  readonly password?: string;
  /** Undefined for specialized images, which keep their accounts. */
  readonly adminUsername?: string;
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

export async function resolveAdminCredentials(
  inputs: DeployInputs,
  image: ResolvedImage,
  adopted: VirtualMachine | undefined,
  keyPair: Promise<SshKeyPair> | undefined,
): Promise<AdminCredentials> {
  if (image.osState === 'Specialized') return { notices: [], warnings: unusedInputWarnings(inputs) };
  assertValidAdminAccount(inputs, image.osType);
  const isLinux = image.osType === 'Linux';
  const adminUsername = adopted ? adopted.osProfile?.adminUsername : inputs.adminUsername;
  const result = { adminUsername, notices: [], warnings: [] };
  if (inputs.adminPassword !== undefined || (isLinux && inputs.sshPublicKeys.length > 0)) return result;
  if (adopted) {
    const lostKey =
      'The VM exists already. The key that an earlier run generated was deleted with its job, so `ssh-private-key-path` stays empty.';
    return { ...result, warnings: isLinux ? [lostKey] : [] };
  }
  if (!isLinux) {
    const notice =
      'A random admin password was generated. It is not in any output or log; reset it in Azure to sign in.';
    // 192 random bits; the prefix has the classes of characters that Azure requires.
    const password = `aA1-${randomBytes(24).toString('base64url')}`;
    return { ...result, password, notices: [notice] };
  }
  const pair = await keyPair;
  return pair ? { ...result, sshPublicKey: pair.publicKey, privateKey: pair.privateKey } : result;
}

function unusedInputWarnings(inputs: DeployInputs): readonly string[] {
  return inputs.adminPassword || inputs.sshPublicKeys.length > 0 || inputs.computerName || inputs.customData
    ? [
        'The image is specialized: it keeps its accounts, keys and host name, so `admin-password`, `ssh-public-key`, `computer-name` and `custom-data` have no effect.',
      ]
    : [];
}

/** Azure's rules depend on the operating system, which is known only when the image was read. */
function assertValidAdminAccount(inputs: DeployInputs, osType: 'Linux' | 'Windows'): void {
  const issues = validateAdminAccount(inputs, osType);
  if (issues.length === 0) return;
  throw new ActionError(`checking the admin account against Azure's rules for ${osType}`, {
    message: issues.map(({ input, message }) => `- ${input}: ${message}`).join('\n'),
    reason: `The image is a ${osType} image, so Azure's rules for ${osType} apply.`,
    fix: ['Change these inputs.'],
  });
}

/** As far as the inputs say before the image was read. */
export function mayNeedSshKey({ adminPassword, sshPublicKeys, osType }: DeployInputs): boolean {
  return adminPassword === undefined && sshPublicKeys.length === 0 && osType !== 'Windows';
}

/** @param announce receives the path before the file exists, so that it is deleted even if writing fails. */
export async function writePrivateKey(
  temporaryFolder: string,
  privateKey: string,
  announce: (path: string) => void,
): Promise<void> {
  try {
    const path = join(await mkdtemp(join(temporaryFolder, 'cross-tenant-vm-')), 'id_rsa');
    announce(path);
    await writeFile(path, privateKey, { mode: 0o600 });
    // Some file systems ignore the mode of a new file.
    await chmod(path, 0o600);
  } catch (error) {
    throw runnerFileError('RUNNER_TEMP', error, ['Or give `ssh-public-key`: then no key is generated and stored.']);
  }
}
