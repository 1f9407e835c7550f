/**
 * Checks workflows, examples and the complete workflows in README and docs with actionlint and zizmor, where these are
 * installed: `npm run lint:workflows`. The workflow "Lint" installs them.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** GitHub has these since actionlint 1.7.12; a step that waits for others or cancels one has neither `run` nor `uses`. */
const newerThanActionlint = [
  'property "workflow_(repository|sha)" is not defined',
  'unexpected key "(background|wait|cancel)" for ("step" section|step to execute action)',
  'step must run script with "run" section or run action with "uses" section',
];

/** Texts of complete workflows in the YAML blocks of a page. */
export function workflowBlocks(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll('\r\n', '\n');
  return [...text.matchAll(/^```ya?ml\n([\s\S]*?)^```$/gm)]
    .map(([, block = '']) => block)
    .filter((block) => /^jobs:$/m.test(block));
}

/** Writes each block to a file whose name says where it comes from. */
function extractBlocks(folder: string): string[] {
  return ['README.md', ...globSync('docs/**/*.md', { cwd: root })].flatMap((page) =>
    workflowBlocks(page).map((block, index) => {
      const path = join(folder, `${page.replaceAll(/[/\\.]/g, '-')}-${index + 1}.yml`);
      writeFileSync(path, block);
      return path;
    }),
  );
}

/** Returns false if the tool finds something or fails, true if it is missing. */
function runTool(tool: string, args: readonly string[]): boolean {
  const { error, status } = spawnSync(tool, args, { cwd: root, stdio: 'inherit' });
  if (error) console.log(`Skipped: ${tool} is not installed.`);
  return error !== undefined || status === 0;
}

function lintWorkflows(): boolean {
  const temporary = mkdtempSync(join(tmpdir(), 'workflows-'));
  const folder = join(temporary, 'blocks');
  mkdirSync(folder);
  try {
    const files = [...globSync(['.github/workflows/*.yml', 'examples/*.yml'], { cwd: root }), ...extractBlocks(folder)];
    // Without a token, zizmor skips the audits that ask GitHub.
    const online = process.env['GH_TOKEN'] === undefined ? ['--offline'] : [];
    const results = [
      runTool('actionlint', [...newerThanActionlint.flatMap((pattern) => ['-ignore', pattern]), ...files]),
      runTool('zizmor', ['--quiet', '--config', '.github/zizmor.yml', ...online, ...files]),
    ];
    return results.every((passed) => passed);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

if (import.meta.main && !lintWorkflows()) process.exitCode = 1;
