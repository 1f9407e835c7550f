/**
 * Rolls the results of a fleet up: one table in the job's summary, one file, and the exit code. Runs on a runner as it is.
 *
 *     node report.mjs FOLDER   TARGETS (JSON) from the environment
 */
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const marks = { success: '✅', failure: '❌', cancelled: '🚫', 'not run': '⬜' };

/**
 * One row a tenant, those of later waves last; who left no result did not run.
 * @param targets `{name, wave}` of all tenants
 * @param results what their jobs left behind, of any attempt of the run
 */
export function rows(targets, results) {
  return targets.map(({ name, wave }) => {
    const own = results.filter((result) => result.name === name).toSorted((a, b) => b.attempt - a.attempt)[0];
    const outcome = !own || own.outcome === 'skipped' ? 'not run' : own.outcome;
    return { name, wave, outcome, ...(own ? { attempt: own.attempt, result: own.result } : {}) };
  });
}

export function summary(list, { title, url }) {
  const count = (outcome) => list.filter((row) => row.outcome === outcome).length;
  const cell = (text) =>
    String(text ?? '')
      .replaceAll('|', '\\|')
      .replaceAll('<', '&lt;');
  const told = Object.keys(marks)
    .filter((outcome) => count(outcome) > 0)
    .map((outcome) => `${count(outcome)} ${outcome}`);
  const lines = list.map(({ name, wave, outcome, attempt, result }) =>
    [
      `${marks[outcome] ?? ''} ${outcome}`,
      cell(name),
      wave,
      cell(result?.['vm-name']),
      cell(result?.['image-version']),
      cell(result?.location),
      cell(result?.['public-ip-address'] ?? result?.['private-ip-address']),
      attempt ?? '',
    ].join(' | '),
  );
  const again =
    told.length > 1 || count('success') === 0
      ? [
          '',
          `**Re-run failed jobs** on [the run](${url}) goes on with these tenants alone; what is there already is not touched.`,
        ]
      : [];
  return [
    `### ${title}`,
    '',
    `${list.length} tenants: ${told.join(', ')}.`,
    ...again,
    '',
    '| outcome | tenant | wave | machine | image version | region | address | attempt |',
    '|---|---|---|---|---|---|---|---|',
    ...lines.map((line) => `| ${line} |`),
    '',
  ].join('\n');
}

function run([folder]) {
  const { TARGETS = '[]', TITLE = 'Fleet', RUN_URL = '', GITHUB_STEP_SUMMARY } = process.env;
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  const list = rows(
    JSON.parse(TARGETS),
    files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))),
  );
  appendFileSync(GITHUB_STEP_SUMMARY, summary(list, { title: TITLE, url: RUN_URL }));
  writeFileSync('fleet.json', `${JSON.stringify(list, undefined, 2)}\n`);
  if (list.some(({ outcome }) => outcome !== 'success')) process.exitCode = 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(process.argv.slice(2));
