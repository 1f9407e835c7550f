import { appendFileSync } from 'node:fs';
import type { DeletionResult } from '../cleanup/resource-types.ts';
import { type ErrorReport, formatError } from '../errors/format-error.ts';
import { type LogWriter, type StageTiming, createLog, logGroup, maskInLogs } from '../runner/log.ts';
import { type OutputName, type PlainOutput, outputNames, writeOutput } from '../runner/outputs.ts';
import { renderSummary } from './render-summary.ts';
import type { CollectedFacts, Leftover } from './summary-facts.ts';

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
    writeOutput(name, value);
  };
  const log = createLog((line) => warnings.push(line));
  return {
    log,
    stages,
    warnings,
    outputs,
    async stage(title, work) {
      const from = performance.now() - started;
      let failed = true;
      try {
        const done = await logGroup(title, work);
        failed = false;
        return done;
      } finally {
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
      maskInLogs(secret);
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

/** Puts out what went and warns of what stayed. */
export function reportDeletion({ deleted, notOwned, failed }: DeletionResult, report: Reporter): void {
  report.addDeleted(deleted);
  report.addLeftovers([
    ...notOwned.map((id) => ({ id, why: 'its own tags do not name this deployment' })),
    ...failed.map(({ id, error }) => ({ id, why: formatError(error).slice(0, 2).join(' ') })),
  ]);
  if (deleted.length > 0) report.log.info(`Deleted:\n${deleted.join('\n')}`);
  if (notOwned.length > 0) {
    report.log.warning(
      `Left alone, because their own tags do not name this deployment:\n${notOwned.join('\n')}`,
    );
  }
  if (failed.length > 0) {
    const lines = failed.map(({ id, error }) => `${id}\n  ${formatError(error).join(' ')}`);
    report.log.warning(
      `Could not be deleted; delete by hand or with \`operation: delete\`:\n${lines.join('\n')}`,
    );
  }
}
