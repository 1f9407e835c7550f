import { resolve, sep } from 'node:path';
import { adminFaults } from './admin-account.ts';
import { parseDuration } from './duration.ts';
import { overrideFaults, reservedTags } from './guarantees.ts';
import { present, quote } from './input-reader.ts';
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
  Runner,
} from './inputs.ts';
import { readNetwork } from './network-inputs.ts';
import {
  type ImageReference,
  imageFault,
  normaliseRegion,
  parseImageReference,
  parseResourceId,
  type ResourceId,
} from './resource-id.ts';
import { parseRoleRequest } from './role-request.ts';
import { sshKeyFault } from './ssh-key.ts';
import { vmNameFault, vmNameOf } from './vm-name.ts';

/** Five days: no job lives longer. */
export const longestJobMinutes = 7_200;

/** Reads the inputs that describe the deployment. Nothing is returned where a fault leaves nothing to stand in. */
export function readDeployment(
  reader: Reader,
  runner: Runner,
  operation: DeployInputs['operation'],
  common: CommonInputs,
): DeployInputs | undefined {
  const imageTenantId = reader.tenant('image-tenant-id', reader.required('image-tenant-id'));
  const expiresAfterSeconds = readExpiry(reader);
  const ownTags = expiresAfterSeconds === undefined ? reservedTags.length - 1 : reservedTags.length;
  const image = readImage(reader);
  const identity = readIdentity(reader);
  const network = readNetwork(reader);
  const waitFor = reader.choice('wait-for', ['provisioned', 'accepted', 'agent']) ?? 'provisioned';
  const osType = reader.choice('os-type', ['Linux', 'Windows']);
  const account = {
    adminUsername: reader.text('admin-username') ?? '',
    sshPublicKeys: readSshKeys(reader),
    ...present({ adminPassword: reader.raw('admin-password'), computerName: reader.text('computer-name') }),
  };
  reader.faults.push(...adminFaults(account, osType));
  const script = readScript(reader);
  if (script !== undefined && waitFor === 'accepted') {
    reader.fault(
      'wait-for',
      '"accepted" ends before the VM runs: with run-script it must be provisioned or agent.',
    );
  }
  const read = {
    ...common,
    operation,
    cleanup: reader.choice('cleanup', ['never', 'on-failure', 'always']) ?? 'on-failure',
    waitFor,
    imageTenantId,
    auxiliaryTenantIds: readAuxiliaryTenants(reader, [common.tenantId, imageTenantId]),
    tags: readTags(reader, ownTags),
    imageWaitMinutes: reader.minutes('image-wait-minutes', longestJobMinutes, { orNone: true }),
    vmName: readVmName(reader, runner.env),
    sizes: readEach(reader, 'vm-size', /^[a-z0-9_-]{1,64}$/i, 'the name of a size (Standard_D2s_v5)'),
    zones: readEach(reader, 'zone', /^[1-3]$/, 'a zone: 1, 2 or 3'),
    ...account,
    ...present({
      location: readLocation(reader),
      expiresAfterSeconds,
      spot: readSpot(reader),
      osType,
      osDiskSizeGb: reader.number('os-disk-size-gb', {
        accepts: (value) => Number.isInteger(value) && value >= 1 && value <= 4_095,
        said: 'a whole number from 1 to 4095',
      }),
      osDiskType: reader.choice('os-disk-type', [
        'Standard_LRS',
        'StandardSSD_LRS',
        'StandardSSD_ZRS',
        'Premium_LRS',
        'Premium_ZRS',
        'PremiumV2_LRS',
      ]),
      customData: readCustomData(reader, runner),
      userData: encoded(reader, 'user-data', Buffer.from(reader.raw('user-data') ?? ''), 65_536),
      securityType: reader.choice('security-type', ['Standard', 'TrustedLaunch', 'ConfidentialVM']),
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
export function readVmName(reader: Reader, env: Runner['env']): string {
  const name = vmNameOf(reader.text('vm-name'), env);
  const fault = vmNameFault(name);
  if (fault !== undefined) reader.fault('vm-name', `${quote(name)} ${fault}.`);
  return name;
}

function readTags(reader: Reader, ownTags: number): Readonly<Record<string, string>> {
  const tags = reader.textMap('tags');
  const names = Object.keys(tags);
  for (const [name, value] of Object.entries(tags)) {
    if (reservedTags.includes(name.toLowerCase())) {
      reader.fault(
        'tags',
        `${quote(name)} is a tag that the action sets itself (${reservedTags.join(', ')}).`,
      );
    }
    if (name.trim() === '' || name.length > 512)
      reader.fault('tags', `${quote(name)} is not a name of 1 to 512 characters.`);
    if (/[<>%&\\?/]/.test(name))
      reader.fault('tags', `the name ${quote(name)} contains one of < > % & \\ ? /.`);
    if (value.length > 256)
      reader.fault('tags', `the value of ${quote(name)} has ${value.length} characters; the limit is 256.`);
  }
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length) {
    reader.fault('tags', 'has two names that differ only in case, which are one to Azure.');
  }
  if (names.length + ownTags > 50) {
    reader.fault('tags', `has ${names.length} tags; Azure takes 50 and the action sets ${ownTags} itself.`);
  }
  return tags;
}

function readExpiry(reader: Reader): number | undefined {
  const text = reader.text('expires-after');
  if (text === undefined) return undefined;
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds <= 0 || seconds > 3_650 * 86_400) {
    reader.fault(
      'expires-after',
      `${quote(text)} is not an ISO 8601 duration of weeks, days, hours, minutes and seconds (PT2H, P1DT12H), above zero and at most P3650D.`,
    );
  }
  return seconds;
}

function readLocation(reader: Reader): string | undefined {
  const text = reader.text('location');
  if (text === undefined) return undefined;
  const region = normaliseRegion(text);
  if (!/^[a-z0-9]+$/.test(region)) {
    reader.fault('location', `${quote(text)} is not the name of a region (westeurope, "West Europe").`);
  }
  return region;
}

function readAuxiliaryTenants(reader: Reader, others: readonly string[]): readonly string[] {
  const entries = reader.list('auxiliary-tenant-ids');
  const tenants = entries.map((entry) => reader.tenant('auxiliary-tenant-ids', entry));
  if (tenants.length > 2) {
    reader.fault(
      'auxiliary-tenant-ids',
      `has ${tenants.length} entries: Resource Manager takes three auxiliary tokens, of which the image tenant's is one.`,
    );
  }
  for (const tenant of tenants.filter((one) => others.includes(one))) {
    reader.fault(
      'auxiliary-tenant-ids',
      `${quote(tenant)} is already named by tenant-id or image-tenant-id: leave it out.`,
    );
  }
  return tenants;
}

function readImage(reader: Reader): ImageReference | undefined {
  const text = reader.required('image-id');
  if (text === '') return undefined;
  const image = parseImageReference(text);
  if (image === undefined) reader.fault('image-id', `${quote(text)} ${imageFault(text)}`);
  return image;
}

function readEach(reader: Reader, name: InputName, pattern: RegExp, rule: string): readonly string[] {
  const entries = reader.list(name);
  for (const entry of entries) {
    if (!pattern.test(entry)) reader.fault(name, `${quote(entry)} is not ${rule}.`);
  }
  return entries;
}

function readSpot(reader: Reader): DeployInputs['spot'] {
  if (!reader.flag('spot')) {
    reader.ruleOut(['max-price', 'eviction-policy'], 'it is for Azure Spot, and spot is not true');
    return undefined;
  }
  const price = {
    accepts: (value: number) => value === -1 || value > 0,
    said: 'a price in US dollars an hour above 0, or -1 for no limit',
  };
  return {
    maxPrice: reader.number('max-price', price) ?? -1,
    evictionPolicy: reader.choice('eviction-policy', ['Delete', 'Deallocate']) ?? 'Delete',
  };
}

function readSshKeys(reader: Reader): readonly string[] {
  if (/PRIVATE KEY/.test(reader.raw('ssh-public-key') ?? '')) {
    reader.fault('ssh-public-key', 'holds a private key: give the public one, the line in the .pub file.');
    return [];
  }
  const lines = reader.list('ssh-public-key', /\n/).filter((line) => !line.startsWith('#'));
  const keys = [...new Set(lines.flatMap(keysIn))];
  for (const key of keys) {
    const fault = sshKeyFault(key);
    if (fault !== undefined) reader.fault('ssh-public-key', `${quote(key.slice(0, 40))} ${fault}.`);
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
  if (bytes.length > limit) reader.fault(name, `has ${bytes.length} bytes; the limit is ${limit}.`);
  return bytes.toString('base64');
}

function readCustomData(reader: Reader, runner: Runner): string | undefined {
  const text = reader.raw('custom-data');
  const file = reader.text('custom-data-file');
  if (text !== undefined && file !== undefined) {
    reader.fault('custom-data-file', 'excludes custom-data: give one of the two.');
  }
  if (file === undefined) return encoded(reader, 'custom-data', Buffer.from(text ?? ''), 65_535);
  const workspace = runner.realPath(runner.env['GITHUB_WORKSPACE'] ?? '.');
  const path = workspace && runner.realPath(resolve(workspace, file));
  if (workspace === undefined || path === undefined) {
    reader.fault(
      'custom-data-file',
      `${quote(file)} does not exist in the workspace: is the repository checked out?`,
    );
    return undefined;
  }
  if (!path.startsWith(workspace.endsWith(sep) ? workspace : workspace + sep)) {
    reader.fault('custom-data-file', `${quote(file)} lies outside the workspace.`);
    return undefined;
  }
  const bytes = runner.readFile(path);
  if (bytes === undefined) reader.fault('custom-data-file', `${quote(file)} cannot be read.`);
  return bytes && encoded(reader, 'custom-data-file', bytes, 65_535);
}

function readIdentity(reader: Reader): IdentityChoice {
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
      reader.fault('identity', `${quote(entry)} is neither ${rule}.`);
    }
  }
  return { system, given, named };
}

function readRoleAssignments(reader: Reader): readonly RoleRequest[] {
  const requests: RoleRequest[] = [];
  for (const entry of reader.list('role-assignments')) {
    const request = parseRoleRequest(entry);
    if ('fault' in request) reader.fault('role-assignments', `${quote(entry)} ${request.fault}.`);
    else requests.push(request);
  }
  if (reader.isGiven('role-assignments') && !reader.isGiven('identity')) {
    reader.fault(
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
    reader.ruleOut(filled, 'there is no run-script that could take it');
    return undefined;
  }
  for (const [name, keys] of maps) {
    for (const [index, key] of keys.entries()) {
      if (/^[a-z_][a-z0-9_]*$/i.test(key)) continue;
      // Where secrets are meant to be, even a name may be one, put there by mistake.
      const which = name === 'run-script-secrets' ? `the name of entry ${index + 1}` : quote(key);
      const rule = 'letters, digits and _, not starting with a digit';
      reader.fault(name, `${which} is not a name that a script can use: ${rule}.`);
    }
  }
  const taken = new Set(Object.keys(parameters).map((key) => key.toLowerCase()));
  for (const [key, value] of Object.entries(secrets)) {
    if (value === '') reader.absent('run-script-secrets', `the value of ${quote(key)} is empty.`);
    if (taken.has(key.toLowerCase()))
      reader.fault('run-script-secrets', `${quote(key)} is also in run-script-parameters.`);
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
      reader.fault('overrides', `${quote(key)} is none of: ${overrideTargets.join(', ')}.`);
    } else if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
      reader.fault('overrides', `${target}: is not an object in the REST shape, e.g. {"properties": {…}}.`);
    } else if (notMade.includes(target)) {
      reader.fault(
        'overrides',
        `${target}: the action makes none with these inputs, and never changes what exists already.`,
      );
    } else {
      for (const message of overrideFaults(target, { ...patch }, nicId)) reader.fault('overrides', message);
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
