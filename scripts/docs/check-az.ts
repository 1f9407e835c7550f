/**
 * Runs every `az` command of the action, documents, examples and scripts through Azure CLI's parser and validators, and
 * compares docs/az-vm-create.yml with the arguments of `az vm create`. Nothing is sent: see check-az.py.
 *
 *     npm run check-az
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { azCommands } from './az-commands.ts';
import { readArguments } from './az-vm-create.ts';
import { fillPlaceholders } from './documents.ts';

const azureCli = '2.91.0';
const root = resolve(import.meta.dirname, '../..');

/** A virtual environment outside the repository, created on first use. AZURE_CLI_VENV overrides its place. */
function azureCliFolder(): string {
  const folder = process.env['AZURE_CLI_VENV'] ?? join(homedir(), '.cache/cross-tenant-vm', `azure-cli-${azureCli}`);
  if (!existsSync(join(folder, 'bin/az'))) {
    console.log(`Installing azure-cli ${azureCli} in ${folder}`);
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'inherit' });
    execFileSync(join(folder, 'bin/pip'), ['install', '--quiet', `azure-cli==${azureCli}`], {
      stdio: 'inherit',
    });
  }
  return join(folder, 'bin');
}

/** The calls in scripts/setup.sh with a word in place of variables; the fake `az` of its tests runs them all. */
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
      .map((token) => token.replaceAll(/^["']|["']$/g, '').replaceAll(/\$\{?\w+\}?/g, 'x'));
  });
}

const bin = azureCliFolder();
const folder = mkdtempSync(join(tmpdir(), 'az-'));
const env = {
  PATH: process.env['PATH'] ?? '',
  HOME: folder,
  AZURE_CONFIG_DIR: folder,
  AZURE_CORE_COLLECT_TELEMETRY: 'false',
  AZURE_CORE_NO_COLOR: 'true',
  // `az acr login` looks for Docker first.
  DOCKER_COMMAND: 'true',
};
const run = (tool: string, args: readonly string[], input = '') =>
  spawnSync(join(bin, tool), [...args], { env, cwd: folder, encoding: 'utf8', input, maxBuffer: 1e8 });

// Files that commands read before their first request.
execFileSync(
  'openssl',
  'req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x -keyout key.pem -out cert.pem'.split(' '),
  { cwd: folder, stdio: 'ignore' },
);
const role = readFileSync(join(root, 'docs/roles/deploy.json'), 'utf8');
writeFileSync(join(folder, 'role.json'), fillPlaceholders(role));
const withFiles = (word: string) => (word === '@x' ? '@cert.pem' : word.replace(/^@.*\.json$/, '@role.json'));

const version = JSON.parse(run('az', ['version', '--output', 'json']).stdout) as Record<string, string>;
if (version['azure-cli'] !== azureCli) throw new Error(`azure-cli ${version['azure-cli']}, not ${azureCli}`);
const commands = [
  ...azCommands(),
  ...setupScriptCommands().map((words) => ({
    source: 'scripts/setup.sh',
    isPartial: true,
    arguments: words,
  })),
].map((command) => ({ ...command, arguments: command.arguments.map(withFiles) }));
const checker = run(
  'python',
  [join(import.meta.dirname, 'check-az.py')],
  JSON.stringify(commands.map((command) => command.arguments)),
);
const problems = JSON.parse(checker.stdout) as (string | null)[];

let invalid = 0;
const report = (text: string) => {
  invalid += 1;
  console.error(text);
};
// What the missing parts of a command would provide: options, a subcommand, JSON.
const incomplete = /required|is missing|cli_ref|parse string as JSON/;
for (const [index, { source, isPartial, arguments: words }] of commands.entries()) {
  const problem = problems[index];
  if (problem && !(isPartial && incomplete.test(problem))) report(`${source}: az ${words.join(' ')}\n    ${problem}`);
}

const options = [...run('az', ['vm', 'create', '--help']).stdout.matchAll(/^ {4}(--[^:]*?) *(?:\[.*)?:/gm)].map(
  ([, names = '']) => names.match(/--[\w-]+/g) ?? [],
);
const globalOptions = ['--debug', '--help', '--only-show-errors', '--output', '--query', '--subscription', '--verbose'];
const documented = new Set(readArguments().rows.map(({ argument }) => argument));
for (const names of options) {
  if (!names.some((name) => documented.has(name) || globalOptions.includes(name)))
    report(`docs/az-vm-create.yml lacks ${names.join(' ')}`);
}
for (const name of documented) {
  if (!options.flat().includes(name)) report(`docs/az-vm-create.yml has ${name}, which az lacks`);
}

console.log(`azure-cli ${azureCli}: ${commands.length} commands, ${options.length} options, ${invalid} problems`);
process.exitCode = invalid > 0 ? 1 : 0;
rmSync(folder, { recursive: true, force: true });
