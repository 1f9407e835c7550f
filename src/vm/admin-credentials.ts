/** How one signs in to a new machine: what the inputs give, or what is generated in its place. */

import type { VirtualMachine } from '@azure/arm-compute';
import { randomInt } from 'node:crypto';
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ActionError } from '../errors/action-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import { validateAdminAccount } from '../inputs/admin-account.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import type { SshKeyPair } from '../lib/ssh-key.ts';
import type { Reporter } from '../summary/reporter.ts';

interface AdminCredentials {
  readonly sshPublicKey?: string;
  readonly privateKey?: string;
  readonly password?: string;
}

/** Makes what a generalized image needs and the inputs do not give. */
export async function resolveAdminCredentials(
  inputs: DeployInputs,
  image: ResolvedImage,
  adopted: VirtualMachine | undefined,
  { report, mask }: { readonly report: Reporter; readonly mask: (secret: string) => void },
  keyPair: Promise<SshKeyPair> | undefined,
): Promise<AdminCredentials> {
  if (image.osState === 'Specialized') {
    if (inputs.adminPassword || inputs.sshPublicKeys.length > 0 || inputs.computerName || inputs.customData) {
      report.log.warning(
        'The image is specialized: it keeps the accounts, keys and host name it was made with, so `admin-password`, `ssh-public-key`, `computer-name` and `custom-data` have no effect.',
      );
    }
    return {};
  }
  const faults = validateAdminAccount(inputs, image.osType);
  if (faults.length > 0) {
    throw new ActionError(`checking the admin account against Azure's rules for ${image.osType}`, {
      message: faults.map(({ input, message }) => `- ${input}: ${message}`).join('\n'),
      explanation: {
        cause: `Which rules apply is known only now: the image is a ${image.osType} image.`,
        who: "the workflow's author",
        fix: ['Change these inputs.'],
      },
    });
  }
  report.output('admin-username', adopted ? adopted.osProfile?.adminUsername : inputs.adminUsername);
  const hasLogin =
    inputs.adminPassword !== undefined || (image.osType === 'Linux' && inputs.sshPublicKeys.length > 0);
  if (hasLogin) return {};
  if (adopted) {
    if (image.osType === 'Linux') {
      report.log.warning(
        'The machine exists already. The key that an earlier run generated is gone with its job, so `ssh-private-key-path` stays empty.',
      );
    }
    return {};
  }
  if (image.osType === 'Windows') {
    const password = generatePassword();
    mask(password);
    report.log.notice(
      'A random admin password was generated. It is not put out anywhere; reset it in Azure to sign in.',
    );
    return { password };
  }
  const pair = await keyPair;
  return pair ? { sshPublicKey: pair.publicKey, privateKey: pair.privateKey } : {};
}

/** Whether a pair may have to be generated: known before the image is. */
export function mayNeedSshKey({ adminPassword, sshPublicKeys, osType }: DeployInputs): boolean {
  return adminPassword === undefined && sshPublicKeys.length === 0 && osType !== 'Windows';
}

/**
 * Writes the private key to a file of its own that only its owner can read.
 * @param announce is told the path before anything is written, so that the file is removed whatever happens then.
 */
export async function writePrivateKey(
  temporaryFolder: string,
  privateKey: string,
  announce: (path: string) => void,
): Promise<void> {
  const path = join(await mkdtemp(join(temporaryFolder, 'cross-tenant-vm-')), 'id_rsa');
  announce(path);
  await writeFile(path, privateKey, { mode: 0o600 });
  // The process's umask may have taken bits, never given any; but a file system may ignore the mode of a new file.
  await chmod(path, 0o600);
}

const characterClasses = [
  'abcdefghijkmnopqrstuvwxyz',
  'ABCDEFGHJKLMNPQRSTUVWXYZ',
  '23456789',
  '-_.~!*+=%',
] as const;

/** A password of 32 characters that holds all four of the classes of which Azure asks for three. */
function generatePassword(): string {
  const any = characterClasses.join('');
  const pick = (from: string): string => from.charAt(randomInt(from.length));
  const characters = [...characterClasses.map(pick), ...Array.from({ length: 28 }, () => pick(any))];
  // Fisher-Yates: the four obligatory ones must not always stand first.
  for (let i = characters.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [characters[i], characters[j]] = [characters[j] as string, characters[i] as string];
  }
  return characters.join('');
}
