/**
 * Reads and checks tenants.json for the reusable workflow fleet.yml. Runs on a runner as it is: no packages, any Node from
 * 20 on.
 *
 *     node plan.mjs waves  FILE   ONLY and SHARD from the environment → outputs canary, early, rest (JSON lists), count
 *     node plan.mjs target FILE NAME → one output per input of the action, for the tenant of that name
 */
import { randomUUID } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const schema = JSON.parse(readFileSync(new URL('tenants.schema.json', import.meta.url), 'utf8'));

export const waves = ['canary', 'early', 'rest'];
/** Names of the action's inputs that a tenant can set; its `environment` is called `cloud` here. */
export const inputs = Object.keys(schema.$defs.inputs);

/** GitHub makes no more jobs from a matrix. https://docs.github.com/actions/reference/limits */
const mostJobs = 256;

/**
 * Everything that is wrong with a document, one sentence each, by the schema beside this file. Knows the keywords that the
 * schema uses and no others.
 * @returns {string[]}
 */
export function faults(document) {
  const found = faultsOf(document, schema, '');
  if (found.length > 0) return found;
  const seen = new Map();
  const claim = (what, key, where) => {
    const other = seen.get(`${what} ${key.toLowerCase()}`);
    if (other) found.push(`${where}: has the same ${what} as ${other}`);
    else seen.set(`${what} ${key.toLowerCase()}`, where);
  };
  for (const [index, tenant] of document.tenants.entries()) {
    const where = `/tenants/${index} (${tenant.name})`;
    const merged = { ...document.defaults, ...tenant };
    claim('name', tenant.name, where);
    if (merged['resource-group'] === undefined)
      found.push(`${where}: has no resource-group, nor do the defaults`);
    const machine = merged['vm-name'] ?? merged.name;
    claim(
      'machine',
      [merged['tenant-id'], merged['subscription-id'], merged['resource-group'], machine].join('/'),
      where,
    );
  }
  return found;
}

function faultsOf(value, rule, path) {
  const known = [
    '$schema',
    '$defs',
    '$ref',
    'title',
    'description',
    'type',
    'properties',
    'required',
    'additionalProperties',
    'items',
    'minItems',
    'enum',
    'pattern',
    'minLength',
    'maxLength',
    'minimum',
    'maximum',
  ];
  const unknown = Object.keys(rule).filter((keyword) => !known.includes(keyword));
  if (unknown.length > 0) throw new Error(`The schema uses ${unknown.join(', ')}, which is not read here.`);
  if (rule.$ref) {
    const target = rule.$ref
      .split('/')
      .slice(1)
      .reduce((at, key) => at[key], schema);
    return faultsOf(value, target, path);
  }
  const at = path || 'the document';
  const types = [rule.type ?? []].flat();
  if (types.length > 0 && !types.some((type) => isA(value, type))) {
    return [
      `${at}: is not ${types.map((type) => `${/^[aio]/.test(type) ? 'an' : 'a'} ${type}`).join(' or ')}`,
    ];
  }
  const found = [];
  if (rule.enum && !rule.enum.includes(value)) found.push(`${at}: is none of ${rule.enum.join(', ')}`);
  if (typeof value === 'string') {
    if (rule.pattern && !new RegExp(rule.pattern, 'u').test(value)) {
      found.push(`${at}: ${JSON.stringify(value)} does not match ${rule.pattern}`);
    }
    const length = Array.from(value).length;
    if (length < (rule.minLength ?? 0)) found.push(`${at}: is shorter than ${rule.minLength}`);
    if (length > (rule.maxLength ?? Infinity)) found.push(`${at}: is longer than ${rule.maxLength}`);
  }
  if (typeof value === 'number') {
    if (value < (rule.minimum ?? -Infinity)) found.push(`${at}: is less than ${rule.minimum}`);
    if (value > (rule.maximum ?? Infinity)) found.push(`${at}: is more than ${rule.maximum}`);
  }
  if (Array.isArray(value)) {
    if (value.length < (rule.minItems ?? 0)) found.push(`${at}: has fewer than ${rule.minItems}`);
    if (rule.items)
      found.push(...value.flatMap((each, index) => faultsOf(each, rule.items, `${path}/${index}`)));
  } else if (isA(value, 'object')) {
    for (const name of rule.required ?? []) {
      if (!Object.hasOwn(value, name)) found.push(`${at}: has no ${name}`);
    }
    for (const [name, each] of Object.entries(value)) {
      if (rule.properties && Object.hasOwn(rule.properties, name)) {
        found.push(...faultsOf(each, rule.properties[name], `${path}/${name}`));
      } else if (rule.additionalProperties === false) {
        found.push(`${at}: ${name} is not known here`);
      }
    }
  }
  return found;
}

function isA(value, type) {
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

/**
 * The legs of each wave.
 * @param only names, separated by commas or white space; empty: all
 * @param shard `2/4`: every fourth tenant, beginning with the second
 */
export function wavesOf(document, { only = '', shard = '1/1', environment = '' } = {}) {
  const names = only.split(/[\s,]+/).filter(Boolean);
  const strangers = names.filter((name) => !document.tenants.some((tenant) => tenant.name === name));
  if (strangers.length > 0) throw new Error(`There is no tenant ${strangers.join(', ')}.`);
  const [, own, all] = (/^(\d+)\/(\d+)$/.exec(shard) ?? []).map(Number);
  if (!(own >= 1 && own <= all)) throw new Error(`This is no shard, as 2/4 is: ${shard}`);
  const chosen = document.tenants
    .filter(({ name }) => names.length === 0 || names.includes(name))
    .filter((_, index) => index % all === own - 1);
  if (chosen.length > mostJobs) {
    throw new Error(
      `${chosen.length} tenants are more than the ${mostJobs} jobs of a matrix: run this ${Math.ceil(chosen.length / mostJobs)} times with shard 1/${Math.ceil(chosen.length / mostJobs)} and so on.`,
    );
  }
  const legs = (wave) =>
    chosen
      .filter((tenant) => (tenant.wave ?? 'rest') === wave)
      .map((tenant) => ({ name: tenant.name, environment: tenant.environment ?? environment }));
  return Object.fromEntries(waves.map((wave) => [wave, legs(wave)]));
}

/** The action's inputs for one tenant, as strings. What is not given is empty, and so has the action's default. */
export function inputsOf(document, name, fleet) {
  const tenant = document.tenants.find((each) => each.name === name);
  if (!tenant) throw new Error(`There is no tenant ${name}.`);
  const merged = { 'vm-name': `${fleet}-${name}`, ...document.defaults, ...tenant };
  if (document.defaults?.tags && tenant.tags) merged.tags = { ...document.defaults.tags, ...tenant.tags };
  const text = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value));
  return Object.fromEntries(
    inputs.map((input) => [input, merged[input] === undefined ? '' : text(merged[input])]),
  );
}

function output(values) {
  for (const [name, value] of Object.entries(values)) {
    const end = `end-${randomUUID()}`;
    appendFileSync(process.env.GITHUB_OUTPUT, `${name}<<${end}\n${value}\n${end}\n`);
  }
}

function run([command, file, name]) {
  const document = JSON.parse(readFileSync(file, 'utf8'));
  const found = faults(document);
  if (found.length > 0) throw new Error(found.map((fault) => `${file} ${fault}`).join('\n'));
  if (command === 'target') {
    output(inputsOf(document, name, process.env.FLEET ?? ''));
    return;
  }
  const { ONLY: only, SHARD: shard, ENVIRONMENT: environment } = process.env;
  const legs = wavesOf(document, { only, shard, environment });
  output(Object.fromEntries(Object.entries(legs).map(([wave, list]) => [wave, JSON.stringify(list)])));
  output({
    targets: JSON.stringify(
      Object.entries(legs).flatMap(([wave, list]) => list.map((leg) => ({ ...leg, wave }))),
    ),
  });
  for (const [wave, list] of Object.entries(legs)) {
    console.log(`${wave}: ${list.map((leg) => leg.name).join(', ') || 'nobody'}`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    run(process.argv.slice(2));
  } catch (error) {
    for (const line of error.message.split('\n')) console.log(`::error title=Fleet::${line}`);
    process.exitCode = 1;
  }
}
