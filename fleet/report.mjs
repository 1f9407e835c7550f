/**
 * Reports the results of a fleet deployment: a table in the job summary, fleet.json, and the exit code. Runs on Node 20 or
 * later, without packages.
 *
 *     node report.mjs FOLDER   TARGETS (JSON) from the environment
 */
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const symbols = { success: '✅', failure: '❌', cancelled: '🚫', 'not run': '⬜' };

/**
 * Returns one row per tenant, in the order of the waves. A tenant without a result did not run.
 * @param targets `{name, wave}` of all tenants
 * @param results one per job; jobs of earlier attempts of the run may be included
 */
export function collectResults(targets, results) {
  return targets.map(({ name, wave }) => {
    const latest = results.filter((result) => result.name === name).toSorted((a, b) => b.attempt - a.attempt)[0];
    const outcome = !latest || latest.outcome === 'skipped' ? 'not run' : latest.outcome;
    const { attempt, result, job } = latest ?? {};
    return { name, wave, outcome, ...(latest ? { attempt, result, ...(job ? { job } : {}) } : {}) };
  });
}

const order = ['failure', 'cancelled', 'not run', 'success'];
const words = { failure: 'failed', success: 'succeeded' };

/** Text of Azure or of the tenant list in one cell of a table. */
function cell(text) {
  return String(text ?? '')
    .slice(0, 500)
    .replaceAll(/\s+/g, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll(/[\\`*_[\]|@#]/g, '\\$&');
}

/** Leaves out columns without a value: a check has no codes, a list no versions. */
function table(heading, rows) {
  const isUsed = (_, column) => rows.some((cells) => cells[column]);
  const line = (cells) => `| ${cells.filter(isUsed).join(' | ')} |`;
  return [line(heading), line(heading.map(() => ':---')), ...rows.map(line)];
}

function tenantLink({ name, job }, url) {
  return job ? `[${cell(name)}](${url}/job/${job})` : cell(name);
}

/** Failures first: tenant with a link to its job, Azure's code, cause, and who must act. */
function failureTable(rows, url) {
  const failed = rows.filter(({ outcome }) => outcome !== 'success');
  if (failed.length === 0) return [];
  const cells = failed.map((row) => [
    `${symbols[row.outcome] ?? ''} ${row.outcome}`,
    tenantLink(row, url),
    row.wave,
    cell(row.result?.error?.code),
    cell(row.result?.error?.title),
    cell(row.result?.error?.who),
  ]);
  return ['', ...table(['outcome', 'tenant', 'wave', 'code', 'cause', 'who must act'], cells)];
}

/** What `operation: check` found, except for what passed; the same finding of several tenants is one row. */
function findingTable(rows, url) {
  const tenantsByFinding = new Map();
  for (const row of rows) {
    for (const { id, level, answer } of row.result?.findings ?? []) {
      if (level === 'ok') continue;
      const key = JSON.stringify([level, id, answer]);
      tenantsByFinding.set(key, [...(tenantsByFinding.get(key) ?? []), row]);
    }
  }
  const levels = { fault: '❌ failed', warning: '⚠️ warning', unknown: '⏭️ skipped' };
  const heading = ['level', 'check', 'answer', 'tenants'];
  const findings = [...tenantsByFinding].map(([key, tenants]) => ({ key: JSON.parse(key), tenants }));
  if (findings.length === 0) return [];
  const rowsOf = (level) =>
    findings
      .filter(({ key }) => key[0] === level)
      .map(({ key: [, id, answer], tenants }) => [
        levels[level],
        cell(id),
        cell(answer),
        tenants.map((row) => tenantLink(row, url)).join(', '),
      ]);
  const [open, skipped] = [[...rowsOf('fault'), ...rowsOf('warning')], rowsOf('unknown')];
  return [
    ...(open.length > 0 ? ['', '### Findings', '', ...table(heading, open.slice(0, 500))] : []),
    ...(skipped.length > 0
      ? [
          '',
          `<details><summary>${skipped.length} ${skipped.length === 1 ? 'check' : 'checks'} skipped</summary>`,
          '',
          ...table(heading, skipped.slice(0, 500)),
          '',
          '</details>',
        ]
      : []),
  ];
}

/** What `operation: list` found, in one table for all tenants. */
function deploymentTable(rows, url) {
  const cells = rows.flatMap((row) =>
    (row.result?.deployments ?? []).map((deployment) => [
      tenantLink(row, url),
      cell(deployment['vm-name']),
      cell(deployment.state),
      cell(deployment['image-version-id']?.split('/').at(-1)),
      cell(deployment['vm-size']),
      cell(deployment.location),
      cell(deployment['public-ip-address'] ?? deployment['private-ip-address']),
      cell(deployment['created-on']?.slice(0, 10)),
      cell(deployment['expires-on']?.slice(0, 10)),
    ]),
  );
  if (cells.length === 0) return rows.some(({ result }) => result?.deployments) ? ['', 'No deployments found.'] : [];
  const heading = ['tenant', 'VM', 'state', 'image version', 'size', 'region', 'address', 'created', 'expires'];
  return ['', `### Deployments (${cells.length})`, '', ...table(heading, cells.slice(0, 2000))];
}

export function formatSummary(rows, { title, url }) {
  const countOf = (outcome) => rows.filter((row) => row.outcome === outcome).length;
  const counts = order
    .filter((outcome) => countOf(outcome) > 0)
    .map((outcome) => `${countOf(outcome)} ${words[outcome] ?? outcome}`);
  const retry =
    countOf('success') < rows.length || rows.length === 0
      ? ['', `**Re-run failed jobs** on [the run](${url}) retries these tenants only; existing VMs are not changed.`]
      : [];
  const cells = rows
    .toSorted((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome))
    .map((row) => [
      `${symbols[row.outcome] ?? ''} ${row.outcome}`,
      tenantLink(row, url),
      row.wave,
      cell(row.result?.['vm-name']),
      cell(row.result?.['image-version']),
      cell(row.result?.location),
      cell(row.result?.['public-ip-address'] ?? row.result?.['private-ip-address']),
      row.attempt ?? '',
    ]);
  return [
    `### ${countOf('success') === rows.length && rows.length > 0 ? symbols.success : symbols.failure} ${title}`,
    '',
    `${rows.length} tenants: ${counts.join(', ')}.`,
    ...retry,
    ...failureTable(rows, url),
    ...findingTable(rows, url),
    ...deploymentTable(rows, url),
    '',
    `<details><summary>All ${rows.length} tenants</summary>`,
    '',
    ...table(['outcome', 'tenant', 'wave', 'VM', 'image version', 'region', 'address', 'attempt'], cells),
    '',
    '</details>',
    '',
  ].join('\n');
}

function run([folder]) {
  const { TARGETS = '[]', TITLE = 'Fleet', RUN_URL = '', GITHUB_STEP_SUMMARY } = process.env;
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  const rows = collectResults(
    JSON.parse(TARGETS),
    files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))),
  );
  appendFileSync(GITHUB_STEP_SUMMARY, formatSummary(rows, { title: TITLE, url: RUN_URL }));
  writeFileSync('fleet.json', `${JSON.stringify(rows, undefined, 2)}\n`);
  if (rows.some(({ outcome }) => outcome !== 'success')) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(process.argv.slice(2));
