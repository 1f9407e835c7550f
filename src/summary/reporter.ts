import { appendFileSync } from 'node:fs';
import type { DeletionResult } from '../cleanup/resource-types.ts';
import { sameId } from '../azure/resource-id.ts';
import { type ErrorReport, formatError } from '../errors/format-error.ts';
import { type StageTiming, logGroup, maskInLogs, runnerLog as log } from '../runner/log.ts';
import {
  type OutputName,
  type OutputValues,
  type PlainOutput,
  outputNames,
  runnerFileError,
  saveCleanupState,
  writeOutput,
} from '../runner/environment.ts';
import { deleteStepYaml } from './render-details.ts';
import { renderSummary } from './render-summary.ts';
import { requestLine, resultLine } from './status.ts';
import {
  type CollectedFacts,
  type Leftover,
  type RequestedDeployment,
  type SummaryFacts,
  notOwnedReason,
  parseIds,
} from './summary-facts.ts';
import { formatDuration } from './topology.ts';

type Outputs = Partial<Record<OutputName, string>>;

/** The only writer of log, outputs and job summary. */
export type Reporter = ReturnType<typeof createReporter>;

/** Outputs that describe a resource, by the output of its ID. */
const outputsByResource: Partial<Record<PlainOutput, readonly PlainOutput[]>> = {
  'vm-id': [
    ...(['vm-instance-id', 'vm-size', 'zone', 'spot', 'os-disk-id', 'principal-id'] as const),
    ...(['ssh-command', 'ssh-known-hosts'] as const),
  ],
  'nic-id': ['private-ip-address'],
  'vnet-id': ['subnet-id'],
  'nsg-id': [],
  'public-ip-id': ['public-ip-address', 'fqdn'],
};

function outputsOfOthers(ids: readonly string[], outputs: Readonly<Outputs>) {
  return Object.entries(outputsByResource).flatMap(([name, details]) => {
    const value = outputs[name as PlainOutput] ?? '';
    return value !== '' && !ids.some((id) => sameId(id, value))
      ? [name as PlainOutput, ...details].filter((output) => outputs[output] !== undefined)
      : [];
  });
}

/** @param summaryFile GITHUB_STEP_SUMMARY; undefined on GitHub Enterprise Server before 3.6. */
export function createReporter(summaryFile: string | undefined) {
  const stages: StageTiming[] = [];
  const outputs: Outputs = {};
  const masks = new Set<string>();
  const left: Leftover[] = [];
  const known: Partial<CollectedFacts> = {};
  const write = createRunnerFileWriter(known);
  const set = (name: OutputName, value: string): void => {
    if (outputs[name] === value) return;
    outputs[name] = value;
    write('GITHUB_OUTPUT', () => writeOutput(name, value));
  };
  /** Sets an output as soon as it is known; does nothing if undefined. */
  const output = (name: PlainOutput, value: string | number | undefined): void => {
    if (value !== undefined && value !== '') set(name, String(value));
  };
  const summaryFacts = (errors: readonly ErrorReport[] = []): SummaryFacts => ({
    ...known,
    operation: known.operation ?? 'create',
    outputs,
    stages,
    errors,
    left,
    findings: outputs.findings ? JSON.parse(outputs.findings) : undefined,
  });
  return {
    log,
    outputs: outputs as Readonly<Outputs>,
    ...createStageRunner(stages),
    /** For the post step. */
    saveState: (state: object) => write('GITHUB_STATE', () => saveCleanupState(state)),
    output,
    outputAll: (values: OutputValues) =>
      Object.entries(values).forEach(([name, value]) => output(name as PlainOutput, value)),
    outputCreated: (ids: readonly string[]) => set('created', JSON.stringify(ids)),
    /** Appends to the IDs of the output `deleted`. */
    addDeleted: (ids: readonly string[]) =>
      set('deleted', JSON.stringify([...new Set([...parseIds(outputs.deleted), ...ids])])),
    /** Its name exists again: what is in `created` and not in `deleted` exists. */
    removeDeleted: (id: string) =>
      set('deleted', JSON.stringify(parseIds(outputs.deleted).filter((other) => !sameId(other, id)))),
    outputJson: (name: 'findings' | 'deployments', entries: readonly object[]) => set(name, JSON.stringify(entries)),
    /** Empties the outputs of all other resources than these. */
    clearOutputsExcept: (ids: readonly string[]) => outputsOfOthers(ids, outputs).forEach((name) => set(name, '')),
    mask(secret: string) {
      masks.add(secret);
      maskInLogs(secret);
    },
    addFacts: (facts: Partial<CollectedFacts>) => void Object.assign(known, facts),
    addLeftovers: (more: readonly Leftover[]) => void left.push(...more),
    logRequest(requested: RequestedDeployment) {
      if (known.operation) log.info(requestLine(known.operation, requested));
    },
    logResult: () => log.info(resultLine(summaryFacts())),
    /** Sets `result` to all outputs so far and, after a failure, what failed and who must act. */
    writeResult(errors: readonly ErrorReport[] = []) {
      set('result', formatResult(outputs, errors));
      warnAboutMaskedOutputs(outputs, masks);
    },
    /** Called once, at the end. */
    writeSummary(errors?: readonly ErrorReport[]) {
      if (summaryFile && known.operation) appendSummary(summaryFile, renderSummary(summaryFacts(errors)));
    },
  };
}

/** Warns once per file: what was created must still be finished or deleted. */
function createRunnerFileWriter(known: Partial<CollectedFacts>) {
  const broken = new Set<string>();
  return (variable: string, work: () => void): void => {
    try {
      if (!broken.has(variable)) work();
    } catch (error) {
      broken.add(variable);
      const { requested, operation, subscriptionId } = known;
      const lines = formatError(runnerFileError(variable, error));
      if (requested && operation === 'create') {
        const step = deleteStepYaml(requested, known.uses, subscriptionId);
        lines.push('This step deletes what this one creates:', step);
      }
      log.warning(lines.join('\n'));
    }
  };
}

function createStageRunner(stages: StageTiming[]) {
  const started = performance.now();
  const open: string[] = [];
  /** What the run waits for, to complete "Failed while …". */
  const activity = () => (open.length > 0 ? `waiting for Azure (${open.join(', ')})` : 'waiting for Azure');
  /** Runs a stage in a group of the log, then logs how long it took. */
  const stage = async <T>(title: string, work: () => Promise<T>): Promise<T> => {
    const from = performance.now() - started;
    let failed = true;
    open.push(title);
    try {
      const done = await logGroup(title, work);
      failed = false;
      return done;
    } finally {
      open.splice(open.indexOf(title), 1);
      const to = performance.now() - started;
      stages.push({ title, from, to, failed });
      log.info(`${title}: ${failed ? 'failed after' : 'done in'} ${formatDuration(to - from)}`);
    }
  };
  return { stage, activity };
}

function formatResult(outputs: Readonly<Outputs>, [error]: readonly ErrorReport[]): string {
  const lists = new Set<string>(['created', 'deleted', 'findings', 'deployments']);
  const parsed = Object.entries(outputs).map(([name, value]) => [
    name,
    lists.has(name) ? JSON.parse(value ?? '[]') : value,
  ]);
  const failure = error && { title: error.title, code: error.code ?? '', who: error.explanation?.who ?? '' };
  return JSON.stringify({ ...Object.fromEntries(parsed), ...(failure && { error: failure }) });
}

function appendSummary(file: string, text: string): void {
  try {
    appendFileSync(file, text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warning(`The job summary could not be written: ${reason}`);
  }
}

/** GitHub drops job outputs that contain a masked value. Only this step's own masks are known here. */
function warnAboutMaskedOutputs(outputs: Readonly<Outputs>, masks: ReadonlySet<string>): void {
  const secrets = [...masks].flatMap((mask) => mask.split(/\r?\n/)).filter((secret) => secret.trim() !== '');
  const names = outputNames.filter(
    (name) => name !== 'result' && secrets.some((secret) => outputs[name]?.includes(secret)),
  );
  if (names.length === 0) return;
  const list = names.map((name) => `\`${name}\``).join(', ');
  log.warning(
    `GitHub does not pass ${list} and \`result\` to other jobs, because a masked value occurs in them. Use longer secrets, and pass values that are not secret as \`vars\` and \`run-script-parameters\`.`,
  );
}

/** Outputs and logs what was deleted, and warns about what was not. */
export function reportDeletion({ deleted, notOwned, failed }: DeletionResult, report: Reporter): void {
  report.addDeleted(deleted);
  report.addLeftovers([
    ...notOwned.map((id) => ({ id, why: notOwnedReason })),
    ...failed.map(({ id, error }) => ({ id, why: formatError(error)[0] ?? '' })),
  ]);
  if (deleted.length > 0) report.log.info(`Deleted:\n${deleted.join('\n')}`);
  if (notOwned.length > 0) {
    report.log.warning(
      `Not deleted, because their tags name another deployment, repository or run, or none:\n${notOwned.join('\n')}`,
    );
  }
  if (failed.length > 0) {
    // IDs first: an annotation has room for some of the reasons only.
    const ids = failed.map(({ id }) => id);
    const reasons = failed.map(({ id, error }) => `${id.split('/').at(-1)}: ${formatError(error).join(' ')}`);
    const lines = ['Could not be deleted. Delete them by hand or with `operation: delete`:', ...ids, ...reasons];
    report.log.warning(lines.join('\n'));
  }
}
