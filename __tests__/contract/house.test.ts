// Rules that oxlint cannot check. The numbers are counts of what does not comply yet; they may only be lowered.
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { layers } from '../../scripts/lint/layers.ts';

const root = resolve(import.meta.dirname, '../..');
const filesOf = (...patterns: string[]) => globSync(patterns, { cwd: root }).map((path) => path.replaceAll('\\', '/'));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const withoutComments = (source: string) => source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

/** Fails with the entries that exceed `max`, so that the message says what is new or left to do. */
function expectAtMost(max: number, found: readonly string[]) {
  expect({ count: found.length, ...(found.length > max ? { found: found.toSorted() } : {}) }).toEqual({
    count: Math.min(found.length, max),
  });
}

const sources = new Map(filesOf('src/**/*.ts').map((path) => [path, withoutComments(read(path))]));

const declaration =
  /^(export )?(?:declare )?(?:async )?(?:abstract )?(?:function\*?|const|let|class|interface|type|enum) ([A-Za-z_$][\w$]*)/gm;

test.each([
  { folder: 'src', max: 0 },
  { folder: 'simulator', max: 0 },
] as const)('every file and folder of $folder is in the table of layers', ({ folder, max }) => {
  const known: readonly string[] = layers[folder].flat();
  const entries = new Set(filesOf(`${folder}/**/*.ts`).map((path) => path.split('/')[1] ?? ''));
  expectAtMost(
    max,
    [...entries].filter((entry) => !known.includes(entry)),
  );
});

test('src declares no top-level name in two files', () => {
  const files = new Map<string, string[]>();
  for (const [path, source] of sources)
    for (const name of new Set([...source.matchAll(declaration)].map((match) => match[2] ?? '')))
      files.set(name, [...(files.get(name) ?? []), path]);
  const repeated = [...files].filter(([, paths]) => paths.length > 1);
  expectAtMost(
    5,
    repeated.map(([name, paths]) => `${name}: ${paths.join(', ')}`),
  );
});

test('src exports what another file of src imports', () => {
  const imported = new Set<string>();
  for (const [path, source] of sources) {
    const resolved = (specifier = '') => join(dirname(path), specifier).replaceAll('\\', '/');
    for (const [, names = '', specifier] of source.matchAll(/\{([^{}]*)\}\s*from\s*'(\.[^']+)'/g))
      for (const name of names.split(','))
        imported.add(`${resolved(specifier)}: ${name.replace(/^\s*type\s|\sas\s.*/gs, '').trim()}`);
    for (const [, specifier] of source.matchAll(/(?:\* as \w+ from |import\()\s*'(\.[^']+)'/g))
      imported.add(`${resolved(specifier)}: *`);
  }
  const exported = [...sources].flatMap(([path, source]) =>
    [...source.matchAll(declaration)]
      .filter(([, isExported]) => isExported !== undefined)
      .map(([, , name]) => ({ path, name })),
  );
  expectAtMost(
    30,
    exported
      .map(({ path, name }) => ({ entry: `${path}: ${name}`, all: `${path}: *` }))
      .filter(({ entry, all }) => !imported.has(entry) && !imported.has(all))
      .map(({ entry }) => entry),
  );
});

const areas = {
  src: ['src/**/*.ts'],
  simulator: ['simulator/**/*.ts'],
  tests: ['__tests__/**/*.ts'],
  tools: ['scripts/**/*.{ts,js,sh}', 'bench/**/*.{ts,js}', 'fleet/**/*.{mjs,mts,ts,json}', '*.{ts,js}'],
  docs: ['*.md', 'docs/**/*.{md,yml}', 'action.yml', 'examples/**/*.yml', '.github/**/*.{yml,md}'],
};
type Counts = Record<keyof typeof areas, number>;

/** Terms from outside the field; each has a replacement that an Azure or GitHub engineer would search for. */
const identifiers =
  /\b(?!AzureFrontDoor\b)\w*(?:Desk|Site|Bench|Door|Shelf|Ways|Fate|Gauge|Rhythm|Ledger|Standing|Asked|Bringing|Placing)\b|\b(?:bring|letGoOf|orNothing|saysAbsent|keptFault|again)[A-Z]\w*|\b(?:orNothing|saysAbsent|desk|ledger|rhythm|shelf)\b/g;

/** Phrases that a native speaker would not write in a technical text. */
const phrases =
  /\b(?:whoever|whatever|besides|meanwhile|to be had|cannot be had|(?:is|are) told|stands in the way|goes along|as it stands|of its own)\b/gi;

const identifierCounts: Counts = { src: 0, simulator: 0, tests: 0, tools: 0, docs: 0 };
const phraseCounts: Counts = { src: 0, simulator: 0, tests: 0, tools: 0, docs: 0 };

test.each(Object.keys(areas) as (keyof Counts)[])('%s uses the terms of the field', (area) => {
  expectAtMost(identifierCounts[area], occurrences(area, identifiers));
});

test.each(Object.keys(areas) as (keyof Counts)[])('%s is written in plain English', (area) => {
  expectAtMost(phraseCounts[area], occurrences(area, phrases));
});

/** Joins comment lines first: a phrase may continue on the next line. */
function occurrences(area: keyof Counts, pattern: RegExp) {
  return filesOf(...areas[area])
    .filter((path) => resolve(root, path) !== import.meta.filename)
    .flatMap((path) =>
      [
        ...read(path)
          .replace(/\s*\n\s*(?:\*|\/\/|#|>)?\s*/g, ' ')
          .matchAll(pattern),
      ].map(([text]) => `${path}: ${text}`),
    );
}
