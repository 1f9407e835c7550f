import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileNames = {
  GITHUB_ENV: 'set_env',
  GITHUB_OUTPUT: 'set_output',
  GITHUB_PATH: 'add_path',
  GITHUB_STATE: 'save_state',
  GITHUB_STEP_SUMMARY: 'step_summary',
} as const;
type FileVariable = keyof typeof fileNames;

/** Creates the empty files of one phase. `variables` holds their paths for the environment of the action. */
export function createCommandFiles(temp: string): {
  readonly variables: Readonly<Record<FileVariable, string>>;
  read(variable: FileVariable): string;
} {
  const folder = join(temp, '_runner_file_commands');
  mkdirSync(folder, { recursive: true });
  const id = randomUUID();
  const variables = Object.fromEntries(
    Object.entries(fileNames).map(([variable, name]) => [variable, join(folder, `${name}_${id}`)]),
  ) as Record<FileVariable, string>;
  for (const path of Object.values(variables)) writeFileSync(path, '');
  return { variables, read: (variable) => readFileSync(variables[variable], 'utf8') };
}

/** Parses the `name=value` lines and `name<<DELIMITER … DELIMITER` blocks of a command file. */
export function parseFileCommands(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  const lines = text.split(/\r?\n/);
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    if (line === '') continue;
    const heredoc = /^([^=]*?)<<(.+)$/.exec(line);
    if (heredoc) {
      const [, name = '', delimiter = ''] = heredoc;
      const end = lines.indexOf(delimiter, index + 1);
      if (end < 0) throw new Error(`Matching delimiter not found '${delimiter}'`);
      values[name] = lines.slice(index + 1, end).join('\n');
      index = end;
      continue;
    }
    const equals = line.indexOf('=');
    if (equals < 1) throw new Error(`Invalid format '${line}'`);
    values[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return values;
}
