import type { DeployInputs, InputIssue } from './inputs.ts';

// Both lists and the lengths: https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update#osprofile
const refusedNames = new Set(
  (
    'administrator admin user user1 test user2 test1 user3 admin1 1 123 a actuser adm admin2 aspnet backup console ' +
    'david guest john owner root server sql support support_388945a0 sys test2 test3 user4 user5'
  ).split(' '),
);

const refusedPasswords = new Set(
  'abc@123 P@$$w0rd P@ssw0rd P@ssword123 Pa$$word pass@word1 Password! Password1 Password22 iloveyou!'.split(' '),
);

type OsType = 'Linux' | 'Windows';

// The characters are those that az vm create refuses; Azure itself only says that the name is not allowed.
const rules = {
  Linux: {
    where: 'on Linux',
    maxUsername: 64,
    username: /^(?![$-])[^\s\\/"[\]:|<>+=;,?*@#()!]+$/,
    usernameRule: 'contains none of \\ / " [ ] : | < > + = ; , ? * @ # ( ) ! or spaces, and does not start with $ or -',
    password: { min: 6, max: 72 },
    maxComputerName: 64,
  },
  Windows: {
    where: 'on Windows',
    maxUsername: 20,
    username: /^[^\\/"[\]:|<>+=;,?*@]*[^\\/"[\]:|<>+=;,?*@.]$/,
    usernameRule: 'contains none of \\ / " [ ] : | < > + = ; , ? * @ and does not end in a period',
    password: { min: 8, max: 123 },
    maxComputerName: 15,
  },
  // The operating system is not known before the image has been read: what either of them would accept passes.
  either: {
    where: 'in Azure',
    maxUsername: 64,
    username: /^[^\\/"[\]:|<>+=;,?*@]+$/,
    usernameRule: 'contains none of \\ / " [ ] : | < > + = ; , ? * @',
    password: { min: 6, max: 123 },
    maxComputerName: 64,
  },
};

type Rules = (typeof rules)[OsType];

type AdminInput = 'adminUsername' | 'adminPassword' | 'sshPublicKeys' | 'computerName' | 'licenseType';

/** Called twice: without the operating system when the inputs are read, and with it once the image is known. */
export function validateAdminAccount(
  { adminUsername, adminPassword, computerName, sshPublicKeys, licenseType }: Pick<DeployInputs, AdminInput>,
  osType?: OsType,
): readonly InputIssue[] {
  const rule = rules[osType ?? 'either'];
  const hasUnusableKey = osType === 'Windows' && sshPublicKeys.length > 0;
  const messages = {
    'admin-username': validateUsername(adminUsername, rule),
    'admin-password': adminPassword === undefined ? [] : validatePassword(adminPassword, rule),
    'computer-name': computerName === undefined ? [] : validateComputerName(computerName, rule, osType),
    'ssh-public-key': hasUnusableKey ? ['is for Linux images; this one is Windows: use admin-password.'] : [],
    'license-type': validateLicense(licenseType, osType),
  };
  return Object.entries(messages).flatMap(([input, all]) => all.map((message) => ({ input, message })));
}

/** https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update (`licenseType`) */
function validateLicense(license = 'None', osType?: OsType): readonly string[] {
  const isForWindows = license.startsWith('Windows_');
  if (osType === undefined || license === 'None' || isForWindows === (osType === 'Windows')) return [];
  return [`"${license}" is a license for ${isForWindows ? 'Windows' : 'Linux'}; the image is ${osType}.`];
}

type Check = readonly [fails: boolean, message: string];

function failing(checks: readonly Check[]): readonly string[] {
  return checks.flatMap(([fails, message]) => (fails ? [message] : []));
}

function checkLength(name: string, limit: number, { where }: Rules): Check {
  return [name.length > limit, `"${name}" has ${name.length} characters: the limit ${where} is ${limit}.`];
}

function validateUsername(name: string, rule: Rules): readonly string[] {
  if (refusedNames.has(name.toLowerCase())) {
    return [`"${name}" is one of the names that Azure refuses (admin, root, user, test, guest, …): choose another.`];
  }
  return failing([
    checkLength(name, rule.maxUsername, rule),
    [!rule.username.test(name), `"${name}" is not a name that ${rule.usernameRule}.`],
  ]);
}

function validatePassword(password: string, { where, password: { min, max } }: Rules): readonly string[] {
  if (refusedPasswords.has(password)) return ['is one of the well-known passwords that Azure refuses.'];
  const { length } = password;
  const classes = [/[a-z]/, /[A-Z]/, /\d/, /[\W_]/].filter((one) => one.test(password)).length;
  return failing([
    [length < min || length > max, `must have ${min} to ${max} characters ${where}; it has ${length}.`],
    [classes < 3, `must have three of: lower case, upper case, digit, special character; it has ${classes}.`],
  ]);
}

function validateComputerName(name: string, rule: Rules, osType: OsType | undefined): readonly string[] {
  const isWindows = osType === 'Windows';
  const syntax = 'is not made of letters, digits, periods and hyphens, with a letter or digit at both ends.';
  return failing([
    checkLength(name, rule.maxComputerName, rule),
    [!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(name), `"${name}" ${syntax}`],
    [isWindows && /^\d+$/.test(name), `"${name}" is all digits, which Windows does not accept.`],
    [isWindows && name.includes('.'), `"${name}" has a period, which Windows does not accept.`],
  ]);
}
