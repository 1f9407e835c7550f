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
const largestCustomData = 87_380;

function checkPassword(password: string, windows: boolean): void {
  const [least, most] = windows ? [8, 123] : [6, 72];
  const classes = [/[A-Z]/, /[a-z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((one) => one.test(password)).length;
  const control = /\p{Cc}/u.test(password);
  // The refused ready-made passwords get the same target; that their text is the same is assumed.
  if (
    password.length < least ||
    password.length > most ||
    classes < 3 ||
    control ||
    reservedPasswords.has(password)
  ) {
    throw invalidParameter(
      'adminPassword',
      `The supplied password must be between ${least}-${most} characters long and must satisfy at least 3 of password complexity requirements from the following:\r\n1) Contains an uppercase character\r\n2) Contains a lowercase character\r\n3) Contains a numeric digit\r\n4) Contains a special character\r\n5) Control characters are not allowed`,
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

/** RSA of 2048 bits or more, or ed25519, in OpenSSH's one-line form with a body that says the same. */
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

/** The account, host name and custom data against what the image is. */
export function checkOsProfile(properties: Json, image: VmImage): void {
  const profile: Json | null | undefined = properties['osProfile'];
  if (image.osState === 'Specialized') {
    if (profile !== undefined && profile !== null) {
      throw invalidParameter('osProfile', "Parameter 'osProfile' is not allowed.");
    }
    return;
  }
  if (profile === undefined || profile === null) throw missingParameter('osProfile');
  const windows = image.osType === 'Windows';
  if (windows && profile['linuxConfiguration'] !== undefined) {
    throw invalidParameter('linuxConfiguration', "Parameter 'linuxConfiguration' is not allowed.");
  }
  if (!windows && profile['windowsConfiguration'] !== undefined) {
    throw invalidParameter('windowsConfiguration', "Parameter 'windowsConfiguration' is not allowed.");
  }
  const computerName: unknown = profile['computerName'];
  if (typeof computerName !== 'string' || computerName === '') throw missingParameter('computerName');
  checkComputerName(computerName, windows);
  const user: unknown = profile['adminUsername'];
  if (typeof user !== 'string' || user === '') throw missingParameter('adminUsername');
  // Length and, of Windows alone, a final period: code and target are certain, text assumed to be the same.
  const [most, period] = windows ? [20, user.endsWith('.')] : [64, false];
  if (reservedUsers.has(user.toLowerCase()) || user.length > most || period) {
    throw invalidParameter('adminUsername', 'The Admin Username specified is not allowed.');
  }
  if (windows) {
    const password: unknown = profile['adminPassword'];
    if (typeof password !== 'string') throw missingParameter('adminPassword');
    checkPassword(password, true);
  } else {
    checkLinux(profile);
  }
  const customData: unknown = profile['customData'];
  if (customData !== undefined) {
    if (typeof customData !== 'string' || customData.length > largestCustomData || !base64.test(customData)) {
      throw invalidParameter(
        'customData',
        `Custom data in OSProfile must be in Base64 encoding and with a maximum length of ${largestCustomData} characters.`,
      );
    }
  }
}

/** 64 KiB in base64: https://learn.microsoft.com/azure/virtual-machines/user-data */
const largestUserData = 87_384;

/** Text assumed by analogy with custom data. */
export function checkUserData(properties: Json): void {
  const userData: unknown = properties['userData'];
  if (userData === undefined || userData === null) return;
  if (typeof userData !== 'string' || userData.length > largestUserData || !base64.test(userData)) {
    throw invalidParameter(
      'userData',
      `User data must be in Base64 encoding and with a maximum length of ${largestUserData} characters.`,
    );
  }
}
