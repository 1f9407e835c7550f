/** Records a run of the shipped bundle against Azure: `npm run record -- --with inputs.yml --output recording.json`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import type { LogLine } from '../action-runner/log.ts';
import { recordAzure, recordSimulator } from './scenario.ts';

const usage = `npm run record -- --with FILE [--output FILE]
npm run record -- --simulator [--output FILE]
  --with FILE     YAML file with the action's inputs, as under \`with:\`. CLIENT_SECRET in the environment is \`client-secret\`;
                  without it, the job's ID token is used (permissions: id-token: write)
  --simulator     record the simulator instead of Azure
  --output FILE   default: recording.json

Runs check, create, create again and delete, and writes all exchanges without names, IDs and secrets.`;

const { values: options } = parseArgs({
  options: {
    with: { type: 'string' },
    simulator: { type: 'boolean', default: false },
    output: { type: 'string', default: 'recording.json' },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(usage);
else if (options.with === undefined && !options.simulator) {
  console.error(usage);
  process.exitCode = 2;
} else process.exitCode = await record();

async function record(): Promise<number> {
  const interrupted = new AbortController();
  // The bundle gets the signal too, rolls back and ends; the delete step still has to run.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
  const version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version;
  const commit = process.env['GITHUB_SHA'];
  const { recording, failed } = options.simulator
    ? await recordSimulator({ onLine: printLine, signal: interrupted.signal })
    : await recordAzure({
        inputs: readInputs(options.with ?? ''),
        env: jobEnvironment(),
        source: `npm run record, cross-tenant-vm ${version}${commit === undefined ? '' : `@${commit}`}`,
        onLine: printLine,
        signal: interrupted.signal,
      });
  writeFileSync(options.output, `${JSON.stringify(recording, null, 1)}\n`);
  console.log(`${recording.exchanges.length} exchanges written to ${options.output}.`);
  if (failed.length > 0) console.error(`Failed: ${failed.join(', ')}.`);
  return failed.length > 0 ? 1 : 0;
}

function readInputs(file: string): Record<string, string> {
  const values = parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const secret = process.env['CLIENT_SECRET'];
  return {
    ...Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)])),
    ...(secret === undefined ? {} : { 'client-secret': secret }),
  };
}

/** The job's variables, without the files and folders that the recorded steps have for themselves. */
function jobEnvironment(): Record<string, string> {
  const own = /^GITHUB_(OUTPUT|STATE|ENV|PATH|STEP_SUMMARY|WORKSPACE)$/;
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        /^(GITHUB_|ACTIONS_ID_TOKEN_)/.test(entry[0]) && !own.test(entry[0]) && entry[1] !== undefined,
    ),
  );
}

function printLine({ command, text, properties }: LogLine): void {
  if (command === undefined || command === 'group') console.log(text);
  else if (['error', 'warning', 'notice'].includes(command))
    console.log(`${command}: ${properties['title'] ?? ''} ${text}`);
  // In a job the masks must reach the runner that prints this log.
  else if (command === 'add-mask' && process.env['GITHUB_ACTIONS'] === 'true') console.log(`::add-mask::${text}`);
}
