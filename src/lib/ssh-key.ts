import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * What is wrong with a public key in OpenSSH form, or nothing. Azure takes RSA keys from 2048 bits and Ed25519 keys, and
 * says no more than "invalid" about others, minutes into a deployment.
 * https://learn.microsoft.com/azure/virtual-machines/linux/mac-create-ssh-keys#supported-ssh-key-formats
 */
export function validateSshPublicKey(line: string): string | undefined {
  const [type = '', encoded = ''] = line.split(/\s+/);
  if (/^(ecdsa-|sk-|ssh-dss)/.test(type)) return `is of type ${type}: Azure takes ssh-rsa and ssh-ed25519`;
  if (type !== 'ssh-rsa' && type !== 'ssh-ed25519') {
    return 'does not start with ssh-rsa or ssh-ed25519: give the line of the .pub file';
  }
  const fields = sshWireFields(encoded);
  if (fields === undefined) return `is damaged: what follows ${type} is not a whole key`;
  const [name, ...numbers] = fields;
  if (name?.toString('latin1') !== type) return `is damaged: it says ${type}, but holds another type of key`;
  if (type === 'ssh-rsa') return validateRsaNumbers(numbers);
  return numbers.length === 1 && numbers[0]?.length === 32 ? undefined : 'is damaged: Ed25519 keys have 32 bytes';
}

function validateRsaNumbers(numbers: readonly Buffer[]): string | undefined {
  const [, modulus] = numbers;
  if (numbers.length !== 2 || modulus === undefined) return 'is damaged: an RSA key has an exponent and a modulus';
  const bits = BigInt(`0x0${modulus.toString('hex')}`).toString(2).length;
  return bits >= 2048 ? undefined : `has ${bits} bits: Azure takes RSA keys from 2048 bits`;
}

/** Length-prefixed fields, RFC 4251 section 5 and RFC 4253 section 6.6. */
function sshWireFields(encoded: string): readonly Buffer[] | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined;
  const blob = Buffer.from(encoded, 'base64');
  const fields: Buffer[] = [];
  let offset = 0;
  while (offset < blob.length) {
    if (offset + 4 > blob.length) return undefined;
    const end = offset + 4 + blob.readUInt32BE(offset);
    if (end > blob.length) return undefined;
    fields.push(blob.subarray(offset + 4, end));
    offset = end;
  }
  return fields.length > 0 ? fields : undefined;
}

export type SshKeyPair = Awaited<ReturnType<typeof generateSshKeyPair>>;

/**
 * Makes an RSA pair of 3072 bits, what ssh-keygen makes by default, off the main thread: a line for `authorized_keys`, and
 * PEM (PKCS #1), which every ssh reads, also those that do not know OpenSSH's own format.
 */
export async function generateSshKeyPair(comment: string) {
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 3072 });
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  // The first bit of a modulus is set: without a zero byte before it, it would read as negative (RFC 4251, section 5).
  const modulus = Buffer.concat([Buffer.alloc(1), Buffer.from(n, 'base64url')]);
  const blob = Buffer.concat([Buffer.from('ssh-rsa'), Buffer.from(e, 'base64url'), modulus].map(sshString));
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

/**
 * Lines for `known_hosts` from a boot log, in which cloud-init lists the host's public keys: those of the last boot.
 * https://cloudinit.readthedocs.io/en/latest/reference/modules.html#keys-to-console
 * @param hosts names and addresses, separated by commas.
 */
export function knownHosts(bootLog: string, hosts: string): string {
  const blocks = [...bootLog.matchAll(/-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----/gs)];
  const keys = (blocks.at(-1)?.[1] ?? '').matchAll(
    /\b(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]+={0,2})(?=\s)/g,
  );
  return [...keys]
    .filter(([, type, key = '']) => sshWireFields(key)?.[0]?.toString('latin1') === type)
    .map(([, type, key]) => `${hosts} ${type} ${key}\n`)
    .join('');
}
