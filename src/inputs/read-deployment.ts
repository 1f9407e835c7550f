import {
  type ImageReference,
  type ResourceId,
  describeInvalidImageId,
  isGuid,
  isScope,
  normaliseRegion,
  parseImageReference,
  parseResourceId,
} from '../azure/resource-id.ts';
import { parseDuration } from '../lib/duration.ts';
import { validateSshPublicKey } from '../lib/ssh-key.ts';
import { validateAdminAccount } from './admin-account.ts';
import type { Reader, RunnerValues } from './input-reader.ts';
import type { CommonInputs, DeployInputs, RoleRequest } from './inputs.ts';
import { reservedTags } from './overrides.ts';
import { readNetwork } from './read-network.ts';
import { encoded, readCustomData, readOverrides, readScript } from './read-script.ts';
import { resolveVmName, validateVmName, validateVmSize } from './vm-name.ts';

const roleDefinitionPattern = /^(?:\/.+)?\/providers\/Microsoft\.Authorization\/roleDefinitions\/([^/]+)$/i;

/** Reads `ROLE on SCOPE`: the role by its name, by the GUID of its definition, or by the definition's ID. */
function parseRoleRequest(entry: string): RoleRequest | { readonly error: string } {
  const [, role = '', scope = ''] = /^(.*\S)\s+on\s+(\S+)$/i.exec(entry) ?? [];
  if (role === '') return { error: 'is not of the form ROLE on SCOPE, e.g. Reader on /subscriptions/…' };
  if (!isScope(scope)) return { error: 'names a scope that is not a full Resource Manager ID (/subscriptions/…)' };
  const guid = roleDefinitionPattern.exec(role)?.[1] ?? role;
  if (role.startsWith('/') && !isGuid(guid)) {
    const shape = '/subscriptions/…/providers/Microsoft.Authorization/roleDefinitions/<GUID>';
    return { error: `names a role that is not the ID of a role definition (${shape})` };
  }
  return { role: isGuid(guid) ? guid.toLowerCase() : role, scope: scope.replace(/\/$/, '') };
}

/** Five days, the limit of a job on a self-hosted runner. */
export const maxJobMinutes = 7_200;

/** Reads the inputs of create and check. Returns undefined if image or network cannot be read. */
export function readDeployment(
  reader: Reader,
  runner: RunnerValues,
  operation: DeployInputs['operation'],
  common: CommonInputs,
): DeployInputs | undefined {
  const imageTenantId = reader.tenant('image-tenant-id', reader.required('image-tenant-id'));
  const lifetime = {
    accepts: (seconds: number) => seconds > 0 && seconds <= 3_650 * 86_400,
    text: 'a duration above zero and at most 3650 days (90m, 2h, 1d, PT2H)',
  };
  const expiresAfterSeconds = reader.number('expires-after', lifetime, parseDuration);
  const ownTags = expiresAfterSeconds === undefined ? reservedTags.length - 1 : reservedTags.length;
  const location = reader.pattern('location', /^[a-z0-9\s]+$/i, 'the name of a region (westeurope, "West Europe")');
  const image = readImageInput(reader);
  const identity = readIdentityInput(reader);
  const network = readNetwork(reader);
  const waitFor = reader.oneOf('wait-for', ['provisioned', 'accepted', 'agent']) ?? 'provisioned';
  const osType = reader.oneOf('os-type', ['Linux', 'Windows']);
  const account = {
    adminUsername: reader.text('admin-username') ?? '',
    adminPassword: reader.raw('admin-password'),
    computerName: reader.text('computer-name'),
    sshPublicKeys: readSshKeys(reader),
  };
  reader.issues.push(...validateAdminAccount(account, osType));
  const script = readScript(reader, runner);
  if (script !== undefined && waitFor === 'accepted') {
    reader.addIssue('wait-for', '"accepted" ends before the VM runs: with run-script it must be provisioned or agent.');
  }
  const deployment = {
    ...common,
    operation,
    cleanup: reader.oneOf('cleanup', ['never', 'on-failure', 'always']) ?? 'on-failure',
    ifExists: reader.oneOf('if-exists', ['keep', 'replace', 'fail']) ?? 'keep',
    waitFor,
    imageTenantId,
    auxiliaryTenantIds: readAuxiliaryTenants(reader, [common.tenantId, imageTenantId]),
    tags: readTags(reader, ownTags),
    imageWaitMinutes: reader.minutes('image-wait-minutes', maxJobMinutes, { allowZero: true }),
    vmName: reader.validated('vm-name', resolveVmName(reader.text('vm-name'), runner.env), validateVmName),
    sizes: reader.list('vm-size').map((size) => reader.validated('vm-size', size, validateVmSize)),
    zones: readZones(reader),
    dataDiskSizesGb: readDataDiskSizes(reader),
    encryptionAtHost: reader.boolean('encryption-at-host'),
    ...account,
    ...readVmOptions(reader, runner),
    location: location && normaliseRegion(location),
    expiresAfterSeconds,
    osType,
    script,
    identity,
    roleAssignments: readRoleAssignments(reader),
    overrides: readOverrides(reader, network),
  };
  return image && network && { ...deployment, image, network };
}

function readTags(reader: Reader, ownTags: number): Readonly<Record<string, string>> {
  const tags = reader.textMap('tags');
  const names = Object.keys(tags);
  const invalid = (name: string, problem: string) => reader.addInvalid('tags', name, problem);
  for (const [name, value] of Object.entries(tags)) {
    if (reservedTags.includes(name.toLowerCase())) {
      invalid(name, `is a tag that the action sets itself (${reservedTags.join(', ')})`);
    }
    if (name.trim() === '' || name.length > 512) invalid(name, 'is not a name of 1 to 512 characters');
    if (/[<>%&\\?/]/.test(name)) invalid(name, 'contains one of < > % & \\ ? /');
    if (value.length > 256) invalid(name, `has a value of ${value.length} characters; the limit is 256`);
  }
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
    reader.addIssue('tags', 'has two names that differ only in case, which are one to Azure.');
  }
  if (names.length + ownTags > 50) {
    reader.addIssue('tags', `has ${names.length} tags; Azure takes 50 and the action sets ${ownTags} itself.`);
  }
  return tags;
}

function readAuxiliaryTenants(reader: Reader, others: readonly string[]): readonly string[] {
  const input = 'auxiliary-tenant-ids';
  const tenants = reader.list(input).map((entry) => reader.tenant(input, entry));
  if (tenants.length > 2) {
    const limit = "Resource Manager takes three auxiliary tokens, of which the image tenant's is one";
    reader.addIssue(input, `has ${tenants.length} entries: ${limit}.`);
  }
  for (const tenant of tenants.filter((one) => others.includes(one))) {
    reader.addInvalid(input, tenant, 'is already named by tenant-id or image-tenant-id: leave it out');
  }
  return tenants;
}

export function readImageInput(reader: Reader, text = reader.required('image-id')): ImageReference | undefined {
  if (text === '') return undefined;
  const image = parseImageReference(text);
  if (image === undefined) reader.addInvalid('image-id', text, describeInvalidImageId(text));
  return image;
}

function readSshKeys(reader: Reader): readonly string[] {
  if (/PRIVATE KEY/.test(reader.raw('ssh-public-key') ?? '')) {
    reader.addIssue('ssh-public-key', 'holds a private key: give the public one, the line in the .pub file.');
    return [];
  }
  const lines = reader.list('ssh-public-key', /\n/).filter((line) => !line.startsWith('#'));
  // A key's comment may hold commas: one separates only where another key begins behind it, or nothing.
  const separator = /,(?=\s*(?:(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-(?:ssh|ecdsa)-\S+)\s|,|$))/;
  const entries = lines.flatMap((line) => line.split(separator)).map((entry) => entry.trim());
  const keys = [...new Set(entries.filter((entry) => entry !== ''))];
  for (const key of keys) reader.validated('ssh-public-key', key.slice(0, 40), () => validateSshPublicKey(key));
  return keys;
}

function readIdentityInput(reader: Reader): DeployInputs['identity'] {
  const type = 'Microsoft.ManagedIdentity/userAssignedIdentities';
  const given: ResourceId[] = [];
  const named: string[] = [];
  let system = false;
  for (const entry of reader.list('identity')) {
    const id = parseResourceId(entry);
    if (/^(?:system|systemassigned|\[system\])$/i.test(entry)) system = true;
    else if (/^(?:userassigned|none|systemassigned,\s*userassigned)$/i.test(entry)) {
      const choice =
        'List system, resource IDs of user-assigned identities, or their names; leave the input out for none';
      reader.addInvalid('identity', entry, `is a type in ARM templates, not an identity. ${choice}`);
    } else if (id?.type === type.toLowerCase()) given.push(id);
    else if (/^[a-z0-9][a-z0-9_-]{2,127}$/i.test(entry)) named.push(entry);
    else {
      const rule = `system, nor the ID of a resource of type ${type}, nor a name of 3 to 128 letters, digits, _ and - that starts with a letter or digit`;
      reader.addInvalid('identity', entry, `is neither ${rule}`);
    }
  }
  return { system, given, named };
}

function readRoleAssignments(reader: Reader): readonly RoleRequest[] {
  if (reader.isGiven('role-assignments') && !reader.isGiven('identity')) {
    reader.addIssue(
      'role-assignments',
      'needs an identity that is granted the roles: give identity (e.g. system) too.',
    );
  }
  return reader.parseEach('role-assignments', parseRoleRequest);
}

/** Reads what is left to Azure or the image unless it is given. */
function readVmOptions(reader: Reader, runner: RunnerValues) {
  return {
    spot: readSpot(reader),
    osDiskSizeGb: reader.number('os-disk-size-gb', {
      accepts: (value) => Number.isInteger(value) && value >= 1 && value <= 4_095,
      text: 'a whole number from 1 to 4095',
    }),
    osDiskType: reader.oneOf('os-disk-type', osDiskTypes),
    customData: readCustomData(reader, runner),
    userData: encoded(reader, 'user-data', Buffer.from(reader.raw('user-data') ?? ''), 65_536),
    securityType: reader.oneOf('security-type', ['Standard', 'TrustedLaunch', 'ConfidentialVM']),
    licenseType: reader.oneOf('license-type', licenseTypes),
  };
}

function words(text: string): readonly string[] {
  return text.split(' ');
}

const osDiskTypes = words('Standard_LRS StandardSSD_LRS StandardSSD_ZRS Premium_LRS Premium_ZRS PremiumV2_LRS');

/** https://learn.microsoft.com/cli/azure/vm#az-vm-create (`--license-type`) */
const licenseTypes = words(
  'None RHEL_BASE RHEL_BASESAPAPPS RHEL_BASESAPHA RHEL_BYOS RHEL_ELS_6 RHEL_EUS RHEL_SAPAPPS RHEL_SAPHA SLES SLES_BYOS ' +
    'SLES_HPC SLES_SAP SLES_STANDARD UBUNTU UBUNTU_PRO Windows_Client Windows_Server',
);

/** Azure numbers the zones of every region with zones alike; a zone that does not offer the size is refused and skipped. */
const allZones = ['1', '2', '3'];

function readZones(reader: Reader): readonly string[] {
  if (reader.text('zone')?.toLowerCase() === 'any') return allZones;
  const isZone = (zone: string) => (allZones.includes(zone) ? undefined : 'is not a zone: 1, 2 or 3, or any alone');
  return reader.list('zone').map((zone) => reader.validated('zone', zone, isZone));
}

function readDataDiskSizes(reader: Reader): readonly number[] {
  const input = 'data-disk-sizes-gb';
  for (const size of reader.list(input)) {
    const isLegal = /^[1-9]\d{0,4}$/.test(size) && Number(size) <= 32_767;
    if (!isLegal) reader.addInvalid(input, size, 'is not a whole number from 1 to 32767');
  }
  const sizes = reader.entries(input).map(Number);
  // No Azure size takes more data disks.
  if (sizes.length > 64) reader.addIssue(input, `has ${sizes.length} entries; a VM takes 64.`);
  return sizes;
}

function readSpot(reader: Reader): DeployInputs['spot'] {
  const spot = reader.oneOf('spot', ['false', 'true', 'prefer']);
  if (spot === 'false') {
    reader.rejectIfGiven(['max-price', 'eviction-policy'], 'it is for Azure Spot, and spot is neither true nor prefer');
    return undefined;
  }
  const maxPrice = reader.number('max-price', {
    accepts: (value) => value === -1 || value > 0,
    text: 'a price in US dollars an hour above 0, or -1 for no limit',
  });
  return {
    maxPrice: maxPrice ?? -1,
    evictionPolicy: reader.oneOf('eviction-policy', ['Delete', 'Deallocate']) ?? 'Delete',
    isOptional: spot === 'prefer' ? true : undefined,
  };
}
