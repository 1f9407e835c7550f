import { globSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { documentedErrors } from '../../../scripts/docs/documented-errors.ts';
import { explain } from '../../../src/error-catalog/explain.ts';
import type { ErrorContext } from '../../../src/errors/errors.ts';
import { parseErrorResponse } from '../../../src/errors/parse-error-response.ts';
import { catalogue, commandsOf, context, quotedErrors, recordedErrors } from '../../support/azure-errors.ts';
import { commandsIn } from '../../support/bash.ts';

const evidence = [...recordedErrors, ...quotedErrors];

/** Texts that a shell would execute, redirect or split. `touch` would leave a file. */
const hostileTexts = [
  '$(touch pwned);touch pwned|touch pwned&<a>pwned *',
  '`touch pwned`"$(touch pwned)\ntouch pwned',
  "it's\u202E !x",
];

/** The commands for the error with the text in its quoted values and its IDs, and in the names of the run. */
function commandsWith(hostile: string): Set<string> {
  const value = JSON.stringify(hostile).slice(1, -1);
  const known: ErrorContext = { ...context, resourceGroup: hostile, vmName: hostile, vmSize: hostile };
  const commands = evidence.flatMap(({ error }) => {
    const bodyText = error.body
      .replaceAll(/'[^']*'/g, () => `'${value}'`)
      .replaceAll(/\/(resourceGroups|galleries)\/[^/'"\s]+/gi, (_, type: string) => `/${type}/${value}`);
    const changed = parseErrorResponse({ ...error, bodyText, headers: () => undefined });
    const tenant = error.tenant ? { tenant: error.tenant } : {};
    return [
      { ...changed, ...tenant },
      { ...error, url: `${error.url}${hostile}` },
    ].flatMap((variant) => commandsOf(explain(variant, known) ?? { cause: '', who: '', fix: [] }));
  });
  return new Set(commands);
}

test.each(hostileTexts)('keep %j from a message or a name one word of a command', (hostile) => {
  const commands = [...commandsWith(hostile)];
  expect(commands.filter((command) => /[\n\u202E]/.test(command))).toEqual([]);
  const single = commands.filter((command) => !/ && | \| grep -i /.test(command));
  expect(single.length).toBeGreaterThan(50);
  const tools = commandsIn(single.join('\n')).map(([tool]) => tool);
  expect(tools).toEqual(single.map((command) => command.split(' ')[0]));
});

test('give Bash one word per documented placeholder', () => {
  for (const { fix } of documentedErrors().flatMap(({ entries }) => entries)) {
    const commands = commandsOf({ cause: '', who: '', fix });
    if (commands.length > 0) expect(commandsIn(commands.join('\n')).length).toBeGreaterThanOrEqual(commands.length);
  }
});

test('do not announce a change before a command that only shows something', () => {
  const pairs = documentedErrors()
    .flatMap(({ entries }) => entries)
    .flatMap(({ fix }) => fix.slice(1).map((command, index) => [fix[index] ?? '', command] as const));
  const misleading = pairs.filter(
    ([sentence, command]) =>
      /^az [a-z -]+? (?:show|list)(?:-\w+)* /.test(command) &&
      /\b(?:delete|detach|use|grant|assign)\b[^.;]*:$/i.test(sentence),
  );
  expect(misleading).toEqual([]);
});

test('explain each entry in a test', () => {
  const tests = globSync('*.test.ts', { cwd: import.meta.dirname })
    .map((file) => readFileSync(`${import.meta.dirname}/${file}`, 'utf8'))
    .join('\n');
  const isTested = (title: string) => tests.includes(`'${title}'`) || tests.includes(`"${title}"`);
  expect(catalogue.map(({ title }) => title).filter((title) => !isTested(title))).toEqual([]);
});
