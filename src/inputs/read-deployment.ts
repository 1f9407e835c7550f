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
import { omitUndefined } from '../lib/json.ts';
import { validateSshPublicKey } from '../lib/ssh-key.ts';
import { validateAdminAccount } from './admin-account.ts';
import { type Reader, type RunnerValues, quoteValue } from './input-reader.ts';
import type { CommonInputs, DeployInputs, IdentityChoice, RoleRequest } from './inputs.ts';
import { reservedTags } from './overrides.ts';
import { readNetwork } from './read-network.ts';
import { readOverrides, readScript } from './read-script.ts';
import { readVmInputs } from './read-vm.ts';
import { resolveVmName, validateVmName } from './vm-name.ts';

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
  return {
    role: isGuid(guid) ? { kind: 'id', guid: guid.toLowerCase() } : { kind: 'name', name: role },
    scope: scope.replace(/\/$/, ''),
  };
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
  const expiresAfterSeconds = readExpiry(reader);
  const ownTags = expiresAfterSeconds === undefined ? reservedTags.length - 1 : reservedTags.length;
  const image = readImageInput(reader);
  const identity = readIdentityInput(reader);
  const network = readNetwork(reader);
  const waitFor = reader.oneOf('wait-for', ['provisioned', 'accepted', 'agent']) ?? 'provisioned';
  const osType = reader.oneOf('os-type', ['Linux', 'Windows']);
  const account = {
    adminUsername: reader.text('admin-username') ?? '',
    sshPublicKeys: readSshKeys(reader),
    ...omitUndefined({ adminPassword: reader.raw('admin-password'), computerName: reader.text('computer-name') }),
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
    vmName: readVmName(reader, runner.env),
    ...account,
    ...omitUndefined({ location: readLocation(reader), expiresAfterSeconds, osType, script }),
    ...readVmInputs(reader, runner),
    identity,
    roleAssignments: readRoleAssignments(reader),
    overrides: readOverrides(reader, network),
  };
  return image && network && { ...deployment, image, network };
}

/** Reads the name of the VM, which is also the name of the deployment. */
function readVmName(reader: Reader, env: RunnerValues['env']): string {
  const name = resolveVmName(reader.text('vm-name'), env);
  const issue = validateVmName(name);
  if (issue !== undefined) reader.addIssue('vm-name', `${quoteValue(name)} ${issue}.`);
  return name;
}

function readTags(reader: Reader, ownTags: number): Readonly<Record<string, string>> {
  const tags = reader.textMap('tags');
  const names = Object.keys(tags);
  for (const [name, value] of Object.entries(tags)) {
    if (reservedTags.includes(name.toLowerCase())) {
      reader.addIssue('tags', `${quoteValue(name)} is a tag that the action sets itself (${reservedTags.join(', ')}).`);
    }
    if (name.trim() === '' || name.length > 512)
      reader.addIssue('tags', `${quoteValue(name)} is not a name of 1 to 512 characters.`);
    if (/[<>%&\\?/]/.test(name))
      reader.addIssue('tags', `the name ${quoteValue(name)} contains one of < > % & \\ ? /.`);
    if (value.length > 256)
      reader.addIssue('tags', `the value of ${quoteValue(name)} has ${value.length} characters; the limit is 256.`);
  }
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
    reader.addIssue('tags', 'has two names that differ only in case, which are one to Azure.');
  }
  if (names.length + ownTags > 50) {
    reader.addIssue('tags', `has ${names.length} tags; Azure takes 50 and the action sets ${ownTags} itself.`);
  }
  return tags;
}

function readExpiry(reader: Reader): number | undefined {
  const text = reader.text('expires-after');
  if (text === undefined) return undefined;
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds <= 0 || seconds > 3_650 * 86_400) {
    reader.addIssue(
      'expires-after',
      `${quoteValue(text)} is not a duration above zero and at most 3650 days (90m, 2h, 1d, PT2H).`,
    );
  }
  return seconds;
}

function readLocation(reader: Reader): string | undefined {
  const text = reader.text('location');
  if (text === undefined) return undefined;
  const region = normaliseRegion(text);
  if (!/^[a-z0-9]+$/.test(region)) {
    reader.addIssue('location', `${quoteValue(text)} is not the name of a region (westeurope, "West Europe").`);
  }
  return region;
}

function readAuxiliaryTenants(reader: Reader, others: readonly string[]): readonly string[] {
  const entries = reader.list('auxiliary-tenant-ids');
  const tenants = entries.map((entry) => reader.tenant('auxiliary-tenant-ids', entry));
  if (tenants.length > 2) {
    reader.addIssue(
      'auxiliary-tenant-ids',
      `has ${tenants.length} entries: Resource Manager takes three auxiliary tokens, of which the image tenant's is one.`,
    );
  }
  for (const tenant of tenants.filter((one) => others.includes(one))) {
    reader.addIssue(
      'auxiliary-tenant-ids',
      `${quoteValue(tenant)} is already named by tenant-id or image-tenant-id: leave it out.`,
    );
  }
  return tenants;
}

export function readImageInput(reader: Reader, text = reader.required('image-id')): ImageReference | undefined {
  if (text === '') return undefined;
  const image = parseImageReference(text);
  if (image === undefined) reader.addIssue('image-id', `${quoteValue(text)} ${describeInvalidImageId(text)}`);
  return image;
}

function readSshKeys(reader: Reader): readonly string[] {
  if (/PRIVATE KEY/.test(reader.raw('ssh-public-key') ?? '')) {
    reader.addIssue('ssh-public-key', 'holds a private key: give the public one, the line in the .pub file.');
    return [];
  }
  const lines = reader.list('ssh-public-key', /\n/).filter((line) => !line.startsWith('#'));
  const keys = [...new Set(lines.flatMap(keysIn))];
  for (const key of keys) {
    const issue = validateSshPublicKey(key);
    if (issue !== undefined) reader.addIssue('ssh-public-key', `${quoteValue(key.slice(0, 40))} ${issue}.`);
  }
  return keys;
}

/** A key's comment may hold commas: one separates only where another key begins behind it, or nothing. */
function keysIn(line: string): readonly string[] {
  const keys = line.split(/,(?=\s*(?:(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-(?:ssh|ecdsa)-\S+)\s|,|$))/);
  return keys.map((key) => key.trim()).filter((key) => key !== '');
}

function readIdentityInput(reader: Reader): IdentityChoice {
  const type = 'Microsoft.ManagedIdentity/userAssignedIdentities';
  const given: ResourceId[] = [];
  const named: string[] = [];
  let system = false;
  for (const entry of reader.list('identity')) {
    const id = parseResourceId(entry);
    if (/^(?:system|systemassigned|\[system\])$/i.test(entry)) system = true;
    else if (/^(?:userassigned|none|systemassigned,\s*userassigned)$/i.test(entry)) {
      const meaning = 'is a type in ARM templates, not an identity';
      reader.addIssue(
        'identity',
        `${quoteValue(entry)} ${meaning}. List system, resource IDs of user-assigned identities, or their names; leave the input out for none.`,
      );
    } else if (id?.type === type.toLowerCase()) given.push(id);
    else if (/^[a-z0-9][a-z0-9_-]{2,127}$/i.test(entry)) named.push(entry);
    else {
      const rule = `system, nor the ID of a resource of type ${type}, nor a name of 3 to 128 letters, digits, _ and - that starts with a letter or digit`;
      reader.addIssue('identity', `${quoteValue(entry)} is neither ${rule}.`);
    }
  }
  return { system, given, named };
}

function readRoleAssignments(reader: Reader): readonly RoleRequest[] {
  const requests: RoleRequest[] = [];
  for (const entry of reader.list('role-assignments')) {
    const request = parseRoleRequest(entry);
    if ('error' in request) reader.addIssue('role-assignments', `${quoteValue(entry)} ${request.error}.`);
    else requests.push(request);
  }
  if (reader.isGiven('role-assignments') && !reader.isGiven('identity')) {
    reader.addIssue(
      'role-assignments',
      'needs an identity that is granted the roles: give identity (e.g. system) too.',
    );
  }
  return requests;
}
