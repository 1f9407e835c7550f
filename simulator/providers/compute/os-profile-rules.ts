import type { Json } from '../../model/contract.ts';
import type { VmImage } from './image-resolution.ts';
import { invalidParameter, missingParameter } from './vm-rules.ts';

// https://learn.microsoft.com/azure/virtual-machines/linux/faq#what-are-the-username-requirements-when-creating-a-vm-
const reservedUsers = new Set(
  (
    'administrator admin user user1 test user2 test1 user3 admin1 1 123 a actuser adm admin2 aspnet backup console ' +
    'david guest john owner root server sql support support_388945a0 sys test2 test3 user4 user5'
  ).split(' '),
);
const reservedPasswords = new Set([
  'abc@123',
  'P@$$w0rd',
  'P@ssw0rd',
  'P@ssword123',
  'Pa$$word',
  'pass@word1',
  'Password!',
  'Password1',
  'Password22',
  'iloveyou!',
]);
const hostNameCharacters = '` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : . \' " , < > / ?';
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** 65,535 bytes in base64. */
const maxCustomDataLength = 87_380;

function checkPassword(password: string, windows: boolean): void {
  const [minLength, maxLength] = windows ? [8, 123] : [6, 72];
  const classes = [/[A-Z]/, /[a-z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((pattern) => pattern.test(password)).length;
  const control = /\p{Cc}/u.test(password);
  // Documented: reserved passwords get the same target. That they get the same text is assumed.
  if (
    password.length < minLength ||
    password.length > maxLength ||
    classes < 3 ||
    control ||
    reservedPasswords.has(password)
  ) {
    throw invalidParameter(
      'adminPassword',
      `The supplied password must be between ${minLength}-${maxLength} characters long and must satisfy at least 3 of password complexity requirements from the following:\r\n1) Contains an uppercase character\r\n2) Contains a lowercase character\r\n3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control characters are not allowed`,
    );
  }
}

function checkComputerName(name: string, windows: boolean): void {
  if (windows) {
    if (name.length > 15 || /^\d+$/.test(name) || /[\s`~!@#$%^&*()=+_[\]{}\\|;:.'",<>/?]/.test(name)) {
      throw invalidParameter(
        'computerName',
        `Windows computer name cannot be more than 15 characters long, be entirely numeric, or contain the following characters: ${hostNameCharacters}.`,
      );
    }
  } else if (name.length > 64 || /[\s`~!@#$%^&*()=+_[\]{}\\|;:'",<>/?]/.test(name)) {
    throw invalidParameter(
      'computerName',
      `Linux host name cannot exceed 64 characters in length or contain the following characters: ${hostNameCharacters.replace(' .', '')}.`,
    );
  }
}

/** An OpenSSH public key: RSA of at least 2048 bits or Ed25519, with the same type in prefix and blob. */
export function isSshPublicKey(text: unknown): boolean {
  if (typeof text !== 'string') return false;
  const match = /^(ssh-rsa|ssh-ed25519)\s+([A-Za-z0-9+/]+={0,2})(?:\s.*)?$/s.exec(text.trim());
  if (match === null) return false;
  const blob = Buffer.from(match[2] ?? '', 'base64');
  const parts: Buffer[] = [];
  for (let at = 0; at + 4 <= blob.length; ) {
    const length = blob.readUInt32BE(at);
    if (at + 4 + length > blob.length) return false;
    parts.push(blob.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  if (parts[0]?.toString('latin1') !== match[1]) return false;
  if (match[1] === 'ssh-ed25519') return parts.length === 2 && parts[1]?.length === 32;
  // A leading zero byte keeps the modulus positive.
  return parts.length === 3 && (parts[2]?.length ?? 0) >= 256;
}

function checkLinux(profile: Json): void {
  const linux: Json = profile['linuxConfiguration'] ?? {};
  const keys: unknown = linux['ssh']?.publicKeys;
  const passwordOff = linux['disablePasswordAuthentication'] === true;
  const password: unknown = profile['adminPassword'];
  if (passwordOff && password !== undefined) {
    throw invalidParameter('adminPassword', "Parameter 'adminPassword' is not allowed.");
  }
  if (passwordOff && (!Array.isArray(keys) || keys.length === 0)) {
    throw invalidParameter(
      'linuxConfiguration',
      'Authentication using either SSH or by user name and password must be enabled in Linux profile.',
    );
  }
  if (!passwordOff && password === undefined) throw missingParameter('adminPassword');
  if (Array.isArray(keys)) {
    const path = `/home/${profile['adminUsername']}/.ssh/authorized_keys`;
    for (const key of keys as Json[]) {
      if (key['path'] !== path) {
        throw invalidParameter(
          'linuxConfiguration.ssh.publicKeys.path',
          `Destination path for SSH public keys is currently limited to its default value ${path} due to a known issue in Linux provisioning agent.`,
        );
      }
      if (!isSshPublicKey(key['keyData'])) {
        throw invalidParameter(
          'linuxConfiguration.ssh.publicKeys.keyData',
          'The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.',
        );
      }
    }
  }
  if (typeof password === 'string') checkPassword(password, false);
}

/** Account, host name and custom data, by the image's operating system and state. */
export function checkOsProfile(properties: Json, image: VmImage): void {
  const profile: Json | undefined = properties['osProfile'] ?? undefined;
  if (image.osState === 'Specialized') {
    if (profile !== undefined) throw invalidParameter('osProfile', "Parameter 'osProfile' is not allowed.");
    return;
  }
  if (profile === undefined) throw missingParameter('osProfile');
  const windows = image.osType === 'Windows';
  const otherSystem = windows ? 'linuxConfiguration' : 'windowsConfiguration';
  if (profile[otherSystem] !== undefined) {
    throw invalidParameter(otherSystem, `Parameter '${otherSystem}' is not allowed.`);
  }
  const computerName: unknown = profile['computerName'];
  if (typeof computerName !== 'string' || computerName === '') throw missingParameter('computerName');
  checkComputerName(computerName, windows);
  checkAdminUsername(profile['adminUsername'], windows);
  if (windows) {
    const password: unknown = profile['adminPassword'];
    if (typeof password !== 'string') throw missingParameter('adminPassword');
    checkPassword(password, true);
  } else {
    checkLinux(profile);
  }
  checkCustomData(profile['customData']);
}

function checkAdminUsername(user: unknown, windows: boolean): void {
  if (typeof user !== 'string' || user === '') throw missingParameter('adminUsername');
  // Code and target are documented for the length limit and, on Windows, a trailing period; the text is assumed.
  const isTooLong = user.length > (windows ? 20 : 64);
  const endsWithPeriod = windows && user.endsWith('.');
  if (reservedUsers.has(user.toLowerCase()) || isTooLong || endsWithPeriod) {
    throw invalidParameter('adminUsername', 'The Admin Username specified is not allowed.');
  }
}

function checkCustomData(customData: unknown): void {
  if (customData === undefined) return;
  if (typeof customData !== 'string' || customData.length > maxCustomDataLength || !base64.test(customData)) {
    throw invalidParameter(
      'customData',
      `Custom data in OSProfile must be in Base64 encoding and with a maximum length of ${maxCustomDataLength} characters.`,
    );
  }
}

/** 64 KiB in base64: https://learn.microsoft.com/azure/virtual-machines/user-data */
const maxUserDataLength = 87_384;

/** Text assumed by analogy with custom data. */
export function checkUserData(properties: Json): void {
  const userData: unknown = properties['userData'];
  if (userData === undefined || userData === null) return;
  if (typeof userData !== 'string' || userData.length > maxUserDataLength || !base64.test(userData)) {
    throw invalidParameter(
      'userData',
      `User data must be in Base64 encoding and with a maximum length of ${maxUserDataLength} characters.`,
    );
  }
}
