import { appendFileSync } from 'node:fs';
import * as core from '@actions/core';
import type { ErrorReport } from './failure.ts';
import { type CollectedFacts, type Leftover, renderSummary } from './summary.ts';

/** The action's outputs, in the order of the README. */
export const outputNames = [
  'vm-id',
  'vm-name',
  'vm-instance-id',
  'vm-size',
  'subscription-id',
  'resource-group',
  'location',
  'zone',
  'image-version-id',
  'image-version',
  'nic-id',
  'nsg-id',
  'vnet-id',
  'subnet-id',
  'public-ip-id',
  'public-ip-address',
  'private-ip-address',
  'fqdn',
  'os-disk-id',
  'principal-id',
  'admin-username',
  'ssh-private-key-path',
  'script-exit-code',
  'script-stdout',
  'script-stderr',
  'created',
  'deleted',
  'findings',
  'result',
] as const;
export type OutputName = (typeof outputNames)[number];
type PlainOutput = Exclude<OutputName, 'created' | 'deleted' | 'findings' | 'result'>;

/** One stage of the run, for the timeline of the summary. Milliseconds since the start of the run. */
export interface StageTiming {
  readonly title: string;
  readonly from: number;
  readonly to: number;
  readonly failed: boolean;
}

export interface LogWriter {
  debug(line: string): void;
  info(line: string): void;
  notice(line: string): void;
  warning(line: string): void;
}

/** The one place that writes to the log, to the outputs and to the job summary. */
export interface Reporter {
  readonly log: LogWriter;
  readonly stages: readonly StageTiming[];
  readonly warnings: readonly string[];
  readonly outputs: Readonly<Partial<Record<OutputName, string>>>;
  /** Runs a stage of the story in a group of its own. */
  stage<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** Sets an output as soon as it is known; undefined is left out. */
  output(name: PlainOutput, value: string | number | undefined): void;
  outputCreated(ids: readonly string[]): void;
  /** Appends to the IDs of the output `deleted`. */
  addDeleted(ids: readonly string[]): void;
  outputFindings(findings: readonly object[]): void;
  /** Has the runner hide a text in all logs. */
  mask(secret: string): void;
  /** Keeps for the summary what has come to be known. */
  addFacts(facts: Partial<CollectedFacts>): void;
  /** Keeps for the summary what was to be deleted and was not. */
  addLeftovers(left: readonly Leftover[]): void;
  /** Sets `result` to all outputs so far. */
  writeResult(): void;
  /** Writes the job summary; `accounts` tell of the failure, if there was one. Called once, at the end. */
  writeSummary(accounts?: readonly ErrorReport[]): void;
}

/** @param summaryFile GITHUB_STEP_SUMMARY; GitHub Enterprise Server of before 2022 has none. */
export function createReporter(summaryFile: string | undefined): Reporter {
  const started = performance.now();
  const stages: StageTiming[] = [];
  const warnings: string[] = [];
  const outputs: Partial<Record<OutputName, string>> = {};
  const masks = new Set<string>();
  let known: Partial<CollectedFacts> = {};
  const left: Leftover[] = [];
  const deletedIds: string[] = [];
  const set = (name: OutputName, value: string): void => {
    if (outputs[name] === value) return;
    outputs[name] = value;
    core.setOutput(name, value);
  };
  const log: LogWriter = {
    debug: (line) => core.debug(line),
    info: (line) => core.info(escapeWorkflowCommands(line)),
    notice: (line) => core.notice(line),
    warning: (line) => {
      warnings.push(line);
      core.warning(line);
    },
  };
  return {
    log,
    stages,
    warnings,
    outputs,
    async stage(title, work) {
      const from = performance.now() - started;
      let failed = true;
      core.startGroup(title);
      try {
        const done = await work();
        failed = false;
        return done;
      } finally {
        core.endGroup();
        stages.push({ title, from, to: performance.now() - started, failed });
      }
    },
    output(name, value) {
      if (value !== undefined && value !== '') set(name, String(value));
    },
    outputCreated: (ids) => set('created', JSON.stringify(ids)),
    addDeleted(ids) {
      deletedIds.push(...ids);
      set('deleted', JSON.stringify(deletedIds));
    },
    outputFindings: (findings) => set('findings', JSON.stringify(findings)),
    mask(secret) {
      masks.add(secret);
      core.setSecret(secret);
    },
    addFacts(facts) {
      known = { ...known, ...facts };
    },
    addLeftovers(more) {
      left.push(...more);
    },
    writeResult() {
      const parsed = Object.entries(outputs).map(([name, value]) => [
        name,
        name === 'created' || name === 'deleted' || name === 'findings' ? JSON.parse(value ?? '[]') : value,
      ]);
      set('result', JSON.stringify(Object.fromEntries(parsed)));
      const hidden = maskedOutputs(outputs, masks);
      if (hidden.length > 0) log.warning(hiddenOutputs(hidden));
    },
    writeSummary(accounts = []) {
      if (!summaryFile || !known.operation) return;
      const text = renderSummary({
        ...known,
        operation: known.operation,
        outputs,
        stages,
        accounts,
        left,
        ...(outputs.findings ? { findings: JSON.parse(outputs.findings) } : {}),
      });
      try {
        appendFileSync(summaryFile, text);
      } catch (error) {
        log.warning(
          `The job summary could not be written: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    },
  };
}

/**
 * Lines of the log may quote what others chose: names, tags, messages. None of them may speak to the runner, which takes
 * a line that begins with `::` as a command, and the older `##[` anywhere in it.
 * https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
 */
export function escapeWorkflowCommands(text: string): string {
  return text.replaceAll(/(^|[\r\n])([\s\u0085]*):(?=:)/g, '$1$2:\u200B').replaceAll('##[', '##\u200B[');
}

/** Outputs that GitHub keeps from other jobs, as far as it can be known here: only this step's own masks are. */
function maskedOutputs(
  outputs: Readonly<Partial<Record<OutputName, string>>>,
  masks: ReadonlySet<string>,
): OutputName[] {
  const secrets = [...masks].flatMap((mask) => mask.split(/\r?\n/)).filter((secret) => secret.trim() !== '');
  return outputNames.filter(
    (name) => name !== 'result' && secrets.some((secret) => outputs[name]?.includes(secret)),
  );
}

function hiddenOutputs(names: readonly OutputName[]): string {
  return `A value that is masked occurs in ${names.length === 1 ? 'output' : 'outputs'} ${names.map((name) => `\`${name}\``).join(', ')}, so GitHub does not hand ${names.length === 1 ? 'it' : 'them'} (nor \`result\`) to other jobs. Secrets that are as short as a name or a number do that: choose others, or give what is no secret as \`vars\` and \`run-script-parameters\`.`;
}
