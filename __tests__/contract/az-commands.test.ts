// Every az command that is printed or documented, read by Bash; `npm run check-az` has Azure CLI read them as well.
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { azScripts, commandsOf } from '../../scripts/docs/az-commands.ts';

const scripts = azScripts();

test('the sources of az commands are found', () => {
  const sources = new Set(scripts.map(({ source }) => source.split('/')[0]));
  expect([...sources]).toEqual(expect.arrayContaining(['docs', 'examples', 'src']));
  expect(scripts.length).toBeGreaterThan(150);
});

test('Bash runs az in each script', () => {
  const silent = scripts.filter(({ text }) => !commandsOf(text).some(([tool]) => tool === 'az'));
  expect(silent).toEqual([]);
});

test('Bash runs nothing but az in the commands that the action prints', () => {
  const others = scripts
    .filter(({ source }) => source.startsWith('src/'))
    .flatMap(({ source, text }) =>
      commandsOf(text)
        .map(([tool]) => tool)
        .filter((tool) => tool !== 'az')
        .map((tool) => ({ source, text, tool })),
    );
  expect(others).toEqual([]);
});

test('a query in backticks is a command of Bash', () => {
  expect(commandsOf('az vm list-skus --query "[?length(restrictions)==`0`].name"').map(([tool]) => tool)).toEqual([
    '0',
    'az',
  ]);
});

test('each az command with a value in it is quoted by shellCommand', () => {
  const quotedByHand = globSync('src/**/*.ts').flatMap((path) => {
    const text = readFileSync(path, 'utf8');
    return [...text.matchAll(/(?<!shellCommand)`az [a-z][^`]*\$\{/g)].map(([command]) => `${path}: ${command}`);
  });
  expect(quotedByHand).toEqual([]);
});

test('each command that the action prints names its subscription, by an option or in an ID', () => {
  const isElsewhere = /^az (?:account|acr|ad|login) /;
  const withoutSubscription = scripts
    .filter(({ source, isPartial }) => source.startsWith('src/') && isPartial !== true)
    .filter(({ text }) => !isElsewhere.test(text) && !/ --(?:subscription|ids|scope|resource-id) /.test(text))
    .map(({ source, text }) => `${source}: ${text}`);
  expect(withoutSubscription).toEqual([]);
});
