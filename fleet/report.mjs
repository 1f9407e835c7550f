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
    const latest = results
      .filter((result) => result.name === name)
      .toSorted((a, b) => b.attempt - a.attempt)[0];
    const outcome = !latest || latest.outcome === 'skipped' ? 'not run' : latest.outcome;
    return { name, wave, outcome, ...(latest ? { attempt: latest.attempt, result: latest.result } : {}) };
  });
}

export function formatSummary(rows, { title, url }) {
  const countOf = (outcome) => rows.filter((row) => row.outcome === outcome).length;
  const cell = (text) =>
    String(text ?? '')
      .replaceAll('|', '\\|')
      .replaceAll('<', '&lt;');
  const counts = Object.keys(symbols)
    .filter((outcome) => countOf(outcome) > 0)
    .map((outcome) => `${countOf(outcome)} ${outcome}`);
  const lines = rows.map(({ name, wave, outcome, attempt, result }) =>
    [
      `${symbols[outcome] ?? ''} ${outcome}`,
      cell(name),
      wave,
      cell(result?.['vm-name']),
      cell(result?.['image-version']),
      cell(result?.location),
      cell(result?.['public-ip-address'] ?? result?.['private-ip-address']),
      attempt ?? '',
    ].join(' | '),
  );
  const retry =
    countOf('success') < rows.length || rows.length === 0
      ? [
          '',
          `**Re-run failed jobs** on [the run](${url}) retries these tenants only; existing VMs are not changed.`,
        ]
      : [];
  return [
    `### ${title}`,
    '',
    `${rows.length} tenants: ${counts.join(', ')}.`,
    ...retry,
    '',
    '| outcome | tenant | wave | VM | image version | region | address | attempt |',
    '|---|---|---|---|---|---|---|---|',
    ...lines.map((line) => `| ${line} |`),
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
