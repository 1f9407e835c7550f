import { generateKeyPair, randomInt } from 'node:crypto';
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface SshKeyPair {
  /** One line, as `authorized_keys` takes it. */
  readonly publicKey: string;
  /** PEM (PKCS #1): every ssh reads it, also those that do not know OpenSSH's own format. */
  readonly privateKey: string;
}

/** Makes an RSA pair of 3072 bits, what ssh-keygen makes by default, off the main thread. */
export async function generateSshKeyPair(comment: string): Promise<SshKeyPair> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 3072 });
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  const blob = Buffer.concat([
    sshString(Buffer.from('ssh-rsa')),
    sshString(positive(Buffer.from(e, 'base64url'))),
    sshString(positive(Buffer.from(n, 'base64url'))),
  ]);
  return {
    publicKey: `ssh-rsa ${blob.toString('base64')} ${comment}`,
    privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }) as string,
  };
}

/** Length and bytes (RFC 4251, section 5). */
function sshString(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** An mpint whose first bit is set would read as negative: a zero byte goes before it. */
function positive(bytes: Buffer): Buffer {
  return (bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
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

const classes = ['abcdefghijkmnopqrstuvwxyz', 'ABCDEFGHJKLMNPQRSTUVWXYZ', '23456789', '-_.~!*+=%'] as const;

/** A password of 32 characters that holds all four of the classes of which Azure asks for three. */
export function generatePassword(): string {
  const any = classes.join('');
  const pick = (from: string): string => from.charAt(randomInt(from.length));
  const characters = [...classes.map(pick), ...Array.from({ length: 28 }, () => pick(any))];
  // Fisher-Yates: the four obligatory ones must not always stand first.
  for (let i = characters.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [characters[i], characters[j]] = [characters[j] as string, characters[i] as string];
  }
  return characters.join('');
}
