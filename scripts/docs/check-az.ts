/**
 * Lets the real Azure CLI parse every `az` command that this repository tells somebody to run: in the documents, in the
 * explanations of errors, in scripts/setup.sh. It is not signed in, so that nothing is ever carried out: a command whose
 * names and options are right ends in "Please run 'az login'", another one in the parser's error (exit code 2).
 *
 *     npm run check-az
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { explainedCatalogue } from '../../src/explain.ts';
import { filledIn, shellLines } from './documents.ts';

const root = resolve(import.meta.dirname, '../..');
const config = mkdtempSync(join(tmpdir(), 'az-'));
const env = {
  PATH: process.env['PATH'] ?? '',
  HOME: config,
  AZURE_CONFIG_DIR: config,
  AZURE_CORE_COLLECT_TELEMETRY: 'false',
  AZURE_CORE_NO_COLOR: 'true',
};

// It looks into certificates before it asks whether somebody is signed in.
execFileSync(
  'openssl',
  'req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x -keyout key.pem -out cert.pem'.split(' '),
  { cwd: config, stdio: 'ignore' },
);

/** The arguments of each command, as a shell hands them over. */
function commands(): string[][] {
  const told = [
    ...shellLines.map(({ line }) => line),
    ...explainedCatalogue().flatMap(({ entries }) => entries.flatMap(({ fix }) => fix)),
  ].filter((line) => line.startsWith('az '));
  const found = [...told.map((line) => words(filledIn(line))), ...ofTheScript()];
  return [...new Map(found.map((command) => [command.join('\0'), command])).values()];
}

/** Bash splits the line itself; what follows a pipe is not ours. */
function words(line: string): string[] {
  const script = `az() { printf '%s\\0' "$@"; exit; }; ${line.replace(/ (\||<|&&) .*$/, '')}`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
}

/** The calls in scripts/setup.sh, with something in place of its variables. */
function ofTheScript(): string[][] {
  const source = readFileSync(join(root, 'scripts/setup.sh'), 'utf8')
    .replaceAll(/\\\n\s*/g, '')
    .replaceAll(/"\$\(\w+ "\$\d"\)"/g, 'x')
    .replaceAll(/^.*\b(?:say|fail) .*$/gm, '');
  return [...source.matchAll(/\baz ((?:[a-z-]+ )+--[^\n]*)/g)].map(([, rest = '']) => {
    const tokens = rest.match(/\)"|\)'|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s)]+|\)/g) ?? [];
    const end = tokens.findIndex((token) => /^\)|^\||^;/.test(token));
    return tokens
      .slice(0, end < 0 ? undefined : end)
      .filter((token) => token !== '"')
      .map((token) => token.replaceAll(/^["']|["']$/g, '').replaceAll(/\$\{?\w+\}?/g, 'x'))
      .map((token) => (token === '@x' ? '@cert.pem' : token));
  });
}

/** What is wrong with a command; undefined: nothing. */
async function fault(command: readonly string[]): Promise<string | undefined> {
  // To sign in would ask the network; the help names the options too.
  const signsIn = command[0] === 'login' || command[0] === 'logout';
  const args = signsIn ? [command[0] ?? '', '--help'] : command;
  return await new Promise((done) => {
    execFile('az', [...args], { env, cwd: config, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (signsIn) {
        const unknown = command.filter((word) => word.startsWith('--') && !stdout.includes(` ${word}`));
        done(unknown.length > 0 ? `unknown: ${unknown.join(', ')}` : undefined);
      } else {
        const parsed =
          error?.code !== 2 && !/misspelled|unrecognized|not in the '.*' command group/.test(stderr);
        done(parsed ? undefined : (stderr.split('\n')[0] ?? 'refused'));
      }
    });
  });
}

const version = execFileSync('az', ['version', '--output', 'json'], { env, encoding: 'utf8' });
console.log(`azure-cli ${(JSON.parse(version) as Record<string, string>)['azure-cli']}`);
const all = commands();
let wrong = 0;
for (const command of all) {
  const found = await fault(command);
  if (found === undefined) continue;
  wrong += 1;
  console.error(`az ${command.join(' ')}\n    ${found}`);
}
console.log(`${all.length} commands, ${wrong} not understood`);
process.exitCode = wrong > 0 ? 1 : 0;
rmSync(config, { recursive: true, force: true });
