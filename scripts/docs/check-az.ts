/**
 * Parses every `az` command of the documents, the error catalogue and scripts/setup.sh with the real Azure CLI. The CLI is
 * signed out, so nothing is executed: a valid command ends in "Please run 'az login'", an invalid one in a parser error
 * (exit code 2).
 *
 *     npm run check-az
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { documentedErrors } from './documented-errors.ts';
import { fillPlaceholders, shellLines } from './documents.ts';

const root = resolve(import.meta.dirname, '../..');
const config = mkdtempSync(join(tmpdir(), 'az-'));
const env = {
  PATH: process.env['PATH'] ?? '',
  HOME: config,
  AZURE_CONFIG_DIR: config,
  AZURE_CORE_COLLECT_TELEMETRY: 'false',
  AZURE_CORE_NO_COLOR: 'true',
};

// The CLI reads certificate files before it checks the sign-in.
execFileSync(
  'openssl',
  'req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x -keyout key.pem -out cert.pem'.split(' '),
  { cwd: config, stdio: 'ignore' },
);

/** Returns the distinct commands as argument lists. */
function readCommands(): string[][] {
  const documented = [
    ...shellLines.map(({ line }) => line),
    ...documentedErrors().flatMap(({ entries }) => entries.flatMap(({ fix }) => fix)),
  ].filter((line) => line.startsWith('az '));
  const found = [...documented.map((line) => splitWords(fillPlaceholders(line))), ...setupScriptCommands()];
  return [...new Map(found.map((command) => [command.join('\0'), command])).values()];
}

/** Lets Bash split the line; drops pipes, redirections and `&&`. */
function splitWords(line: string): string[] {
  const script = `az() { printf '%s\\0' "$@"; exit; }; ${line.replace(/ (\||<|&&) .*$/, '')}`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
}

/** Returns the calls in scripts/setup.sh with `x` in place of variables. */
function setupScriptCommands(): string[][] {
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

/** Returns the problem with a command, if any. */
async function findProblem(command: readonly string[]): Promise<string | undefined> {
  // `az login` would use the network; its help lists the options.
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
        done(parsed ? undefined : (stderr.split('\n')[0] ?? 'rejected'));
      }
    });
  });
}

const version = execFileSync('az', ['version', '--output', 'json'], { env, encoding: 'utf8' });
console.log(`azure-cli ${(JSON.parse(version) as Record<string, string>)['azure-cli']}`);
const commands = readCommands();
let invalid = 0;
for (const command of commands) {
  const problem = await findProblem(command);
  if (problem === undefined) continue;
  invalid += 1;
  console.error(`az ${command.join(' ')}\n    ${problem}`);
}
console.log(`${commands.length} commands, ${invalid} invalid`);
process.exitCode = invalid > 0 ? 1 : 0;
rmSync(config, { recursive: true, force: true });
