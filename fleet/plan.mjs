/**
 * Reads and validates tenants.json for the reusable workflow fleet.yml. Runs on Node 20 or later, without packages.
 *
 *     node plan.mjs waves  FILE        ONLY, SHARD, ENVIRONMENT from the environment → outputs canary, early, rest, targets
 *     node plan.mjs target FILE NAME   → one output per action input, for the tenant NAME
 */
import { randomUUID } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { validate } from './validate-schema.mjs';

const schema = JSON.parse(readFileSync(new URL('tenants.schema.json', import.meta.url), 'utf8'));

export const waves = ['canary', 'early', 'rest'];
/** The action inputs that a tenant can set. The action's `environment` is named `cloud` here. */
export const inputNames = Object.keys(schema.$defs.inputs);

/** https://docs.github.com/actions/reference/limits */
const maxMatrixJobs = 256;

/**
 * Returns all issues of a document, one sentence each: first those of the schema, then duplicates.
 * @returns {string[]}
 */
export function validateTenants(document) {
  if (!validate(document)) return validate.errors.map(formatSchemaError);
  const issues = [];
  const seen = new Map();
  const assertUnique = (kind, value, path) => {
    const key = `${kind} ${value.toLowerCase()}`;
    if (seen.has(key)) issues.push(`${path}: has the same ${kind} as ${seen.get(key)}`);
    else seen.set(key, path);
  };
  for (const [index, tenant] of document.tenants.entries()) {
    const path = `/tenants/${index} (${tenant.name})`;
    const merged = { 'vm-name': tenant.name, ...document.defaults, ...tenant };
    assertUnique('name', tenant.name, path);
    if (merged['resource-group'] === undefined) issues.push(`${path}: must have a resource-group, here or in defaults`);
    const vm = ['tenant-id', 'subscription-id', 'resource-group', 'vm-name'].map((name) => merged[name]);
    assertUnique('VM', vm.join('/'), path);
  }
  return issues;
}

/** Ajv's messages do not name the unknown property, the allowed values or the rejected text. */
function formatSchemaError({ instancePath, keyword, params, message, data }) {
  const path = instancePath || 'the document';
  if (keyword === 'additionalProperties') return `${path}: unknown property ${params.additionalProperty}`;
  if (keyword === 'enum') return `${path}: must be one of ${params.allowedValues.join(', ')}`;
  if (keyword === 'pattern') return `${path}: ${JSON.stringify(data)} ${message}`;
  return `${path}: ${message}`;
}

/**
 * Returns the matrix of each wave.
 * @param only tenant names, separated by commas or white space; empty: all
 * @param shard `2/4`: every fourth tenant, starting with the second
 * @throws if a name is unknown, the shard is invalid, or the tenants exceed one matrix
 */
export function planWaves(document, { only = '', shard = '1/1', environment = '' } = {}) {
  const names = only.split(/[\s,]+/).filter(Boolean);
  const unknown = names.filter((name) => !document.tenants.some((tenant) => tenant.name === name));
  if (unknown.length > 0) throw new Error(`Unknown tenant: ${unknown.join(', ')}`);
  const [, index, count] = (/^(\d+)\/(\d+)$/.exec(shard) ?? []).map(Number);
  if (!(index >= 1 && index <= count)) throw new Error(`Invalid shard (expected a value such as 2/4): ${shard}`);
  const selected = document.tenants
    .filter(({ name }) => names.length === 0 || names.includes(name))
    .filter((_, position) => position % count === index - 1);
  if (selected.length > maxMatrixJobs) {
    const shards = Math.ceil(selected.length / maxMatrixJobs);
    throw new Error(
      `${selected.length} tenants exceed the ${maxMatrixJobs} jobs of a matrix: run this ${shards} times, with shard 1/${shards} to ${shards}/${shards}.`,
    );
  }
  const targetsOf = (wave) =>
    selected
      .filter((tenant) => (tenant.wave ?? 'rest') === wave)
      .map((tenant) => ({ name: tenant.name, environment: tenant.environment ?? environment }));
  return Object.fromEntries(waves.map((wave) => [wave, targetsOf(wave)]));
}

/** Returns the action's inputs for one tenant, as strings. An empty string selects the action's default. */
export function inputsForTenant(document, name, fleet) {
  const tenant = document.tenants.find((candidate) => candidate.name === name);
  if (!tenant) throw new Error(`Unknown tenant: ${name}`);
  const merged = { 'vm-name': `${fleet}-${name}`, ...document.defaults, ...tenant };
  if (document.defaults?.tags && tenant.tags) merged.tags = { ...document.defaults.tags, ...tenant.tags };
  const text = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value));
  return Object.fromEntries(inputNames.map((input) => [input, merged[input] === undefined ? '' : text(merged[input])]));
}

function writeOutputs(values) {
  for (const [name, value] of Object.entries(values)) {
    const delimiter = `end-${randomUUID()}`;
    appendFileSync(process.env.GITHUB_OUTPUT, `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
  }
}

function run([command, file, name]) {
  const document = JSON.parse(readFileSync(file, 'utf8'));
  const issues = validateTenants(document);
  if (issues.length > 0) throw new Error(issues.map((issue) => `${file} ${issue}`).join('\n'));
  if (command === 'target') {
    writeOutputs(inputsForTenant(document, name, process.env.FLEET ?? ''));
    return;
  }
  const { ONLY: only, SHARD: shard, ENVIRONMENT: environment } = process.env;
  const plan = Object.entries(planWaves(document, { only, shard, environment }));
  writeOutputs(Object.fromEntries(plan.map(([wave, targets]) => [wave, JSON.stringify(targets)])));
  writeOutputs({
    targets: JSON.stringify(plan.flatMap(([wave, targets]) => targets.map((target) => ({ ...target, wave })))),
  });
  for (const [wave, targets] of plan) {
    console.log(`${wave}: ${targets.map((target) => target.name).join(', ') || 'no tenants'}`);
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
