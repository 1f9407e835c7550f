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

type Rules = (typeof rules)[keyof typeof rules];

// The characters are those that az vm create refuses; Azure itself only says that the name is not allowed.
const rules = {
  Linux: {
    who: 'on Linux',
    name: {
      maxLength: 64,
      characters: /^(?![$-])[^\s\\/"[\]:|<>+=;,?*@#()!]+$/,
      text: 'contains none of \\ / " [ ] : | < > + = ; , ? * @ # ( ) ! or spaces, and does not start with $ or -',
    },
    password: { shortest: 6, maxLength: 72 },
    computerName: { maxLength: 64 },
  },
  Windows: {
    who: 'on Windows',
    name: {
      maxLength: 20,
      characters: /^[^\\/"[\]:|<>+=;,?*@]*[^\\/"[\]:|<>+=;,?*@.]$/,
      text: 'contains none of \\ / " [ ] : | < > + = ; , ? * @ and does not end in a period',
    },
    password: { shortest: 8, maxLength: 123 },
    computerName: { maxLength: 15 },
  },
  // The operating system is not known before the image has been read: what either of them would accept passes.
  either: {
    who: 'in Azure',
    name: {
      maxLength: 64,
      characters: /^[^\\/"[\]:|<>+=;,?*@]+$/,
      text: 'contains none of \\ / " [ ] : | < > + = ; , ? * @',
    },
    password: { shortest: 6, maxLength: 123 },
    computerName: { maxLength: 64 },
  },
};

type AdminInput = 'adminUsername' | 'adminPassword' | 'sshPublicKeys' | 'computerName' | 'licenseType';

/** Called twice: without the operating system when the inputs are read, and with it once the image is known. */
export function validateAdminAccount(
  inputs: Pick<DeployInputs, AdminInput>,
  osType?: 'Linux' | 'Windows',
): readonly InputIssue[] {
  const rule = rules[osType ?? 'either'];
  const hasUnusableKey = osType === 'Windows' && inputs.sshPublicKeys.length > 0;
  const messages = {
    'admin-username': validateUsername(inputs.adminUsername, rule),
    'admin-password': validatePassword(inputs.adminPassword, rule),
    'computer-name': validateComputerName(inputs.computerName, rule, osType),
    'ssh-public-key': hasUnusableKey ? ['is for Linux images; this one is Windows: use admin-password.'] : [],
    'license-type': validateLicense(inputs.licenseType, osType),
  };
  return Object.entries(messages).flatMap(([input, all]) => all.map((message) => ({ input, message })));
}

/** https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update (`licenseType`) */
function validateLicense(license = 'None', osType?: 'Linux' | 'Windows'): readonly string[] {
  const isForWindows = license.startsWith('Windows_');
  if (osType === undefined || license === 'None' || isForWindows === (osType === 'Windows')) return [];
  return [`"${license}" is a license for ${isForWindows ? 'Windows' : 'Linux'}; the image is ${osType}.`];
}

function validateUsername(name: string, { who, name: rule }: Rules): readonly string[] {
  if (refusedNames.has(name.toLowerCase())) {
    return [`"${name}" is one of the names that Azure refuses (admin, root, user, test, guest, …): choose another.`];
  }
  const issues: string[] = [];
  if (name.length > rule.maxLength) {
    issues.push(`"${name}" has ${name.length} characters: the limit ${who} is ${rule.maxLength}.`);
  }
  if (!rule.characters.test(name)) issues.push(`"${name}" is not a name that ${rule.text}.`);
  return issues;
}

function validatePassword(password: string | undefined, { who, password: rule }: Rules): readonly string[] {
  if (password === undefined) return [];
  if (refusedPasswords.has(password)) return ['is one of the well-known passwords that Azure refuses.'];
  const issues: string[] = [];
  if (password.length < rule.shortest || password.length > rule.maxLength) {
    issues.push(`must have ${rule.shortest} to ${rule.maxLength} characters ${who}; it has ${password.length}.`);
  }
  const classes = [/[a-z]/, /[A-Z]/, /\d/, /[\W_]/].filter((one) => one.test(password)).length;
  if (classes < 3) {
    issues.push(`must have three of: lower case, upper case, digit, special character; it has ${classes}.`);
  }
  return issues;
}

function validateComputerName(
  name: string | undefined,
  { who, computerName: rule }: Rules,
  osType: 'Linux' | 'Windows' | undefined,
): readonly string[] {
  if (name === undefined) return [];
  const issues: string[] = [];
  if (name.length > rule.maxLength) {
    issues.push(`"${name}" has ${name.length} characters: the limit ${who} is ${rule.maxLength}.`);
  }
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(name)) {
    issues.push(`"${name}" is not made of letters, digits, periods and hyphens, with a letter or digit at both ends.`);
  }
  if (osType === 'Windows' && /^\d+$/.test(name))
    issues.push(`"${name}" is all digits, which Windows does not accept.`);
  if (osType === 'Windows' && name.includes('.')) issues.push(`"${name}" has a period, which Windows does not accept.`);
  return issues;
}
