/** Reads command lines as Bash does, without running them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `az`, `gh` and the other tools of a fix print their arguments; every other command is unknown. */
const stubs = ['az', 'gh', 'curl', 'grep', 'ssh-keygen']
  .map((tool) => `${tool}() { printf '%s\\0' ${tool} "$@" $'\\036' >&3; }`)
  .join('\n');

/**
 * The argument lists of all commands in a line, each beginning with its tool. Throws if Bash finds a syntax error, an unknown
 * command (so a substitution that was executed), or wrote a file.
 */
export function commandsIn(line: string): string[][] {
  const folder = mkdtempSync(join(tmpdir(), 'bash-'));
  try {
    const output = execFileSync('bash', ['-c', `set -eu\n${stubs}\n{ ${line}\n} 3>&1 >/dev/null`], {
      cwd: folder,
      encoding: 'utf8',
      env: {},
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const written = readdirSync(folder);
    if (written.length > 0) throw new Error(`${line}\nwrote ${written.join(', ')}`);
    return output
      .split('\u001E\0')
      .slice(0, -1)
      .map((words) => words.split('\0').slice(0, -1));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The arguments of a line with one command. */
export function wordsOf(line: string): string[] {
  return commandsIn(line)[0] ?? [];
}
