import { resolve, sep } from 'node:path';
import { validateAdminAccount } from './admin-account.ts';
import { parseDuration } from './duration.ts';
import { validateOverrides, reservedTags } from './guarantees.ts';
import { omitUndefined, quoteValue } from './input-reader.ts';
import type {
  CommonInputs,
  DeployInputs,
  GuestScript,
  IdentityChoice,
  InputName,
  MergePatch,
  NetworkChoice,
  OverrideTarget,
  Reader,
  RoleRequest,
  RunnerValues,
} from './inputs.ts';
import { readNetwork } from './network-inputs.ts';
import {
  type ImageReference,
  describeInvalidImageId,
  normaliseRegion,
  parseImageReference,
  parseResourceId,
  type ResourceId,
} from './resource-id.ts';
import { parseRoleRequest } from './role-request.ts';
import { validateSshPublicKey } from './ssh-key.ts';
import { validateVmName, resolveVmName } from './vm-name.ts';

/** Five days: no job lives longer. */
export const maxJobMinutes = 7_200;

/** Reads the inputs that describe the deployment. Nothing is returned where a fault leaves nothing to stand in. */
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
    ...omitUndefined({
      adminPassword: reader.raw('admin-password'),
      computerName: reader.text('computer-name'),
    }),
  };
  reader.faults.push(...validateAdminAccount(account, osType));
  const script = readScript(reader);
  if (script !== undefined && waitFor === 'accepted') {
    reader.addIssue(
      'wait-for',
      '"accepted" ends before the VM runs: with run-script it must be provisioned or agent.',
    );
  }
  const read = {
    ...common,
    operation,
    cleanup: reader.oneOf('cleanup', ['never', 'on-failure', 'always']) ?? 'on-failure',
    waitFor,
    imageTenantId,
    auxiliaryTenantIds: readAuxiliaryTenants(reader, [common.tenantId, imageTenantId]),
    tags: readTags(reader, ownTags),
    imageWaitMinutes: reader.minutes('image-wait-minutes', maxJobMinutes, { orNone: true }),
    vmName: readVmName(reader, runner.env),
    sizes: readEach(reader, 'vm-size', /^[a-z0-9_-]{1,64}$/i, 'the name of a size (Standard_D2s_v5)'),
    zones: readEach(reader, 'zone', /^[1-3]$/, 'a zone: 1, 2 or 3'),
    ...account,
    ...omitUndefined({
      location: readLocation(reader),
      expiresAfterSeconds,
      spot: readSpot(reader),
      osType,
      osDiskSizeGb: reader.number('os-disk-size-gb', {
        accepts: (value) => Number.isInteger(value) && value >= 1 && value <= 4_095,
        said: 'a whole number from 1 to 4095',
      }),
      osDiskType: reader.oneOf('os-disk-type', [
        'Standard_LRS',
        'StandardSSD_LRS',
        'StandardSSD_ZRS',
        'Premium_LRS',
        'Premium_ZRS',
        'PremiumV2_LRS',
      ]),
      customData: readCustomData(reader, runner),
      userData: encoded(reader, 'user-data', Buffer.from(reader.raw('user-data') ?? ''), 65_536),
      securityType: reader.oneOf('security-type', ['Standard', 'TrustedLaunch', 'ConfidentialVM']),
      licenseType: reader.text('license-type'),
      script,
    }),
    identity,
    roleAssignments: readRoleAssignments(reader),
    overrides: readOverrides(reader, network),
  };
  return image && network && { ...read, image, network };
}

/** Reads the name under which a deployment is made, and deleted again. */
export function readVmName(reader: Reader, env: RunnerValues['env']): string {
  const name = resolveVmName(reader.text('vm-name'), env);
  const fault = validateVmName(name);
  if (fault !== undefined) reader.addIssue('vm-name', `${quoteValue(name)} ${fault}.`);
  return name;
}

function readTags(reader: Reader, ownTags: number): Readonly<Record<string, string>> {
  const tags = reader.textMap('tags');
  const names = Object.keys(tags);
  for (const [name, value] of Object.entries(tags)) {
    if (reservedTags.includes(name.toLowerCase())) {
      reader.addIssue(
        'tags',
        `${quoteValue(name)} is a tag that the action sets itself (${reservedTags.join(', ')}).`,
      );
    }
    if (name.trim() === '' || name.length > 512)
      reader.addIssue('tags', `${quoteValue(name)} is not a name of 1 to 512 characters.`);
    if (/[<>%&\\?/]/.test(name))
      reader.addIssue('tags', `the name ${quoteValue(name)} contains one of < > % & \\ ? /.`);
    if (value.length > 256)
      reader.addIssue(
        'tags',
        `the value of ${quoteValue(name)} has ${value.length} characters; the limit is 256.`,
      );
  }
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
    reader.addIssue('tags', 'has two names that differ only in case, which are one to Azure.');
  }
  if (names.length + ownTags > 50) {
    reader.addIssue(
      'tags',
      `has ${names.length} tags; Azure takes 50 and the action sets ${ownTags} itself.`,
    );
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
      `${quoteValue(text)} is not an ISO 8601 duration of weeks, days, hours, minutes and seconds (PT2H, P1DT12H), above zero and at most P3650D.`,
    );
  }
  return seconds;
}

function readLocation(reader: Reader): string | undefined {
  const text = reader.text('location');
  if (text === undefined) return undefined;
  const region = normaliseRegion(text);
  if (!/^[a-z0-9]+$/.test(region)) {
    reader.addIssue(
      'location',
      `${quoteValue(text)} is not the name of a region (westeurope, "West Europe").`,
    );
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

function readImageInput(reader: Reader): ImageReference | undefined {
  const text = reader.required('image-id');
  if (text === '') return undefined;
  const image = parseImageReference(text);
  if (image === undefined) reader.addIssue('image-id', `${quoteValue(text)} ${describeInvalidImageId(text)}`);
  return image;
}

function readEach(reader: Reader, name: InputName, pattern: RegExp, rule: string): readonly string[] {
  const entries = reader.list(name);
  for (const entry of entries) {
    if (!pattern.test(entry)) reader.addIssue(name, `${quoteValue(entry)} is not ${rule}.`);
  }
  return entries;
}

function readSpot(reader: Reader): DeployInputs['spot'] {
  if (!reader.boolean('spot')) {
    reader.rejectIfGiven(['max-price', 'eviction-policy'], 'it is for Azure Spot, and spot is not true');
    return undefined;
  }
  const price = {
    accepts: (value: number) => value === -1 || value > 0,
    said: 'a price in US dollars an hour above 0, or -1 for no limit',
  };
  return {
    maxPrice: reader.number('max-price', price) ?? -1,
    evictionPolicy: reader.oneOf('eviction-policy', ['Delete', 'Deallocate']) ?? 'Delete',
  };
}

function readSshKeys(reader: Reader): readonly string[] {
  if (/PRIVATE KEY/.test(reader.raw('ssh-public-key') ?? '')) {
    reader.addIssue('ssh-public-key', 'holds a private key: give the public one, the line in the .pub file.');
    return [];
  }
  const lines = reader.list('ssh-public-key', /\n/).filter((line) => !line.startsWith('#'));
  const keys = [...new Set(lines.flatMap(keysIn))];
  for (const key of keys) {
    const fault = validateSshPublicKey(key);
    if (fault !== undefined) reader.addIssue('ssh-public-key', `${quoteValue(key.slice(0, 40))} ${fault}.`);
  }
  return keys;
}

/** A key's comment may hold commas: one separates only where another key begins behind it, or nothing. */
function keysIn(line: string): readonly string[] {
  const keys = line.split(
    /,(?=\s*(?:(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-(?:ssh|ecdsa)-\S+)\s|,|$))/,
  );
  return keys.map((key) => key.trim()).filter((key) => key !== '');
}

function encoded(reader: Reader, name: InputName, bytes: Buffer, limit: number): string | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes.length > limit) reader.addIssue(name, `has ${bytes.length} bytes; the limit is ${limit}.`);
  return bytes.toString('base64');
}

function readCustomData(reader: Reader, runner: RunnerValues): string | undefined {
  const text = reader.raw('custom-data');
  const file = reader.text('custom-data-file');
  if (text !== undefined && file !== undefined) {
    reader.addIssue('custom-data-file', 'excludes custom-data: give one of the two.');
  }
  if (file === undefined) return encoded(reader, 'custom-data', Buffer.from(text ?? ''), 65_535);
  const workspace = runner.realPath(runner.env['GITHUB_WORKSPACE'] ?? '.');
  const path = workspace && runner.realPath(resolve(workspace, file));
  if (workspace === undefined || path === undefined) {
    reader.addIssue(
      'custom-data-file',
      `${quoteValue(file)} does not exist in the workspace: is the repository checked out?`,
    );
    return undefined;
  }
  if (!path.startsWith(workspace.endsWith(sep) ? workspace : workspace + sep)) {
    reader.addIssue('custom-data-file', `${quoteValue(file)} lies outside the workspace.`);
    return undefined;
  }
  const bytes = runner.readFile(path);
  if (bytes === undefined) reader.addIssue('custom-data-file', `${quoteValue(file)} cannot be read.`);
  return bytes && encoded(reader, 'custom-data-file', bytes, 65_535);
}

function readIdentityInput(reader: Reader): IdentityChoice {
  const type = 'Microsoft.ManagedIdentity/userAssignedIdentities';
  const given: ResourceId[] = [];
  const named: string[] = [];
  let system = false;
  for (const entry of reader.list('identity')) {
    const id = parseResourceId(entry);
    if (entry.toLowerCase() === 'system') system = true;
    else if (id?.type === type.toLowerCase()) given.push(id);
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
    if ('fault' in request) reader.addIssue('role-assignments', `${quoteValue(entry)} ${request.fault}.`);
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

function readScript(reader: Reader): GuestScript | undefined {
  const text = reader.raw('run-script');
  const parameters = reader.textMap('run-script-parameters');
  const secrets = reader.textMap('run-script-secrets');
  const maps = [
    ['run-script-parameters', Object.keys(parameters)],
    ['run-script-secrets', Object.keys(secrets)],
  ] as const;
  if (text === undefined) {
    const filled = maps.filter(([, keys]) => keys.length > 0).map(([name]) => name);
    reader.rejectIfGiven(filled, 'there is no run-script that could take it');
    return undefined;
  }
  for (const [name, keys] of maps) {
    for (const [index, key] of keys.entries()) {
      if (/^[a-z_][a-z0-9_]*$/i.test(key)) continue;
      // Where secrets are meant to be, even a name may be one, put there by mistake.
      const which = name === 'run-script-secrets' ? `the name of entry ${index + 1}` : quoteValue(key);
      const rule = 'letters, digits and _, not starting with a digit';
      reader.addIssue(name, `${which} is not a name that a script can use: ${rule}.`);
    }
  }
  const taken = new Set(Object.keys(parameters).map((key) => key.toLowerCase()));
  for (const [key, value] of Object.entries(secrets)) {
    if (value === '') reader.addMissing('run-script-secrets', `the value of ${quoteValue(key)} is empty.`);
    if (taken.has(key.toLowerCase()))
      reader.addIssue('run-script-secrets', `${quoteValue(key)} is also in run-script-parameters.`);
  }
  // Run Command's limit: https://learn.microsoft.com/azure/virtual-machines/linux/run-command
  const timeoutMinutes = reader.minutes('run-script-timeout-minutes', 90);
  return { text, timeoutMinutes, parameters, secrets };
}

const overrideTargets = [
  'vm',
  'nic',
  'vnet',
  'nsg',
  'public-ip',
] as const satisfies readonly OverrideTarget[];

function readOverrides(reader: Reader, network: NetworkChoice | undefined): DeployInputs['overrides'] {
  const patches: Partial<Record<OverrideTarget, MergePatch>> = {};
  const notMade = network === undefined ? [] : targetsNotMade(network);
  const nicId = network?.kind === 'given-nic' ? network.nicId : undefined;
  for (const [key, patch] of Object.entries(reader.map('overrides'))) {
    const target = overrideTargets.find((one) => one === key);
    if (target === undefined) {
      reader.addIssue('overrides', `${quoteValue(key)} is none of: ${overrideTargets.join(', ')}.`);
    } else if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
      reader.addIssue(
        'overrides',
        `${target}: is not an object in the REST shape, e.g. {"properties": {…}}.`,
      );
    } else if (notMade.includes(target)) {
      reader.addIssue(
        'overrides',
        `${target}: the action makes none with these inputs, and never changes what exists already.`,
      );
    } else {
      for (const message of validateOverrides(target, { ...patch }, nicId))
        reader.addIssue('overrides', message);
      patches[target] = { ...patch };
    }
  }
  return patches;
}

function targetsNotMade(network: NetworkChoice): readonly OverrideTarget[] {
  if (network.kind === 'given-nic') return ['nic', 'vnet', 'nsg', 'public-ip'];
  return [
    ...(network.subnet.kind === 'given' ? (['vnet'] as const) : []),
    ...(network.nsg.kind === 'given' ? (['nsg'] as const) : []),
    ...(network.publicIp.kind === 'new' ? [] : (['public-ip'] as const)),
  ];
}
