import * as core from '@actions/core';

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
export interface Stage {
  readonly title: string;
  readonly from: number;
  readonly to: number;
  readonly failed: boolean;
}

export interface Log {
  debug(line: string): void;
  info(line: string): void;
  notice(line: string): void;
  warning(line: string): void;
}

/** The one place that writes to the log, to the outputs and to the job summary. */
export interface Report {
  readonly log: Log;
  readonly stages: readonly Stage[];
  readonly warnings: readonly string[];
  readonly outputs: Readonly<Partial<Record<OutputName, string>>>;
  /** Runs a stage of the story in a group of its own. */
  stage<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** Sets an output as soon as it is known; undefined is left out. */
  output(name: PlainOutput, value: string | number | undefined): void;
  outputList(name: 'created' | 'deleted', ids: readonly string[]): void;
  outputFindings(findings: readonly object[]): void;
  /** Sets `result` to all outputs so far. */
  conclude(): void;
}

export function openReport(): Report {
  const started = performance.now();
  const stages: Stage[] = [];
  const warnings: string[] = [];
  const outputs: Partial<Record<OutputName, string>> = {};
  const set = (name: OutputName, value: string): void => {
    if (outputs[name] === value) return;
    outputs[name] = value;
    core.setOutput(name, value);
  };
  return {
    log: {
      debug: (line) => core.debug(line),
      info: (line) => core.info(line),
      notice: (line) => core.notice(line),
      warning: (line) => {
        warnings.push(line);
        core.warning(line);
      },
    },
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
    outputList: (name, ids) => set(name, JSON.stringify(ids)),
    outputFindings: (findings) => set('findings', JSON.stringify(findings)),
    conclude() {
      const parsed = Object.entries(outputs).map(([name, value]) => [
        name,
        name === 'created' || name === 'deleted' || name === 'findings' ? JSON.parse(value ?? '[]') : value,
      ]);
      set('result', JSON.stringify(Object.fromEntries(parsed)));
    },
  };
}
