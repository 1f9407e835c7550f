/**
 * Runs the action as GitHub's runner does: in a separate process with the runner's environment, with inputs and state in
 * environment variables, outputs in files and workflow commands in the log.
 * https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionRunner.cs and FileCommandManager.cs
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { inputVariables, type JobFolders, type JobOptions, runnerEnvironment } from './environment.ts';
import { createCommandFiles, parseFileCommands } from './file-commands.ts';
import { type Annotation, Log, type LogLine } from './log.ts';
import { planSignals, type SignalPlan } from './signals.ts';

const root = resolve(import.meta.dirname, '../..');

export interface RunOptions extends JobOptions {
  /** Payload of the event that started the workflow. */
  readonly event?: object;
  /** Files in the workspace, by path. */
  readonly workspace?: Readonly<Record<string, string | Uint8Array>>;
  /** Default: both, as in a job. */
  readonly phases?: readonly ('main' | 'post')[];
  /** State of an earlier main phase, for a run of the post phase only. */
  readonly state?: Readonly<Record<string, string>>;
  /** Entry file. Default: ACTION_ENTRY (`src/index.ts` needs no build), else dist/index.js. */
  readonly bundle?: string;
  /** Signals sent to the main phase. */
  readonly signal?: SignalPlan | readonly SignalPlan[];
  /** Called between the main and the post phase. */
  readonly between?: (run: Run) => void | Promise<void>;
  /** Kills a phase after this time and rejects with its log. Default 5 minutes. */
  readonly limitMs?: number;
  /** Ends the time of a phase when it resolves, before `limitMs`. */
  readonly limit?: Promise<unknown>;
  /** Called for each line of the log, with masked values replaced. */
  readonly onLine?: (line: LogLine) => void;
}

/** One process: the main step or its post step. */
export interface Phase {
  /** Null if a signal ended the process. */
  readonly exitCode: number | null;
  /** The raw log: stdout and stderr in order of arrival, with workflow commands and without masking. */
  readonly stdout: string;
  readonly lines: readonly LogLine[];
  readonly annotations: readonly Annotation[];
  /** Values of `::add-mask::` commands. */
  readonly masks: readonly string[];
  readonly outputs: Readonly<Record<string, string>>;
  /** Outputs that GitHub would not pass to other jobs, because they contain a masked value. */
  readonly droppedOutputs: readonly string[];
  readonly state: Readonly<Record<string, string>>;
  readonly stateText: string;
  readonly summary: string;
  /** Start of the process, as `performance.now()` of this process. */
  readonly startedAt: number;
  readonly wallMs: number;
  /** Peak resident memory and CPU time of the process; 0 on systems without /proc. */
  readonly peakRssBytes: number;
  readonly cpuMs: number;
}

/** The main phase (or the only phase) of a job, and its post phase. */
export interface Run extends Phase {
  readonly post?: Phase;
  /** RUNNER_TEMP, which exists until `dispose`. */
  readonly temp: string;
  readonly workspaceFolder: string;
  /** Reads all files under RUNNER_TEMP, by relative path. */
  files(): Readonly<Record<string, string>>;
  dispose(): void;
}

/** Runs the phases of one job and returns their results. @throws if a phase exceeds `limitMs` */
export async function runAsRunner(options: RunOptions): Promise<Run> {
  const entry = resolve(options.bundle ?? process.env['ACTION_ENTRY'] ?? join(root, 'dist/index.js'));
  if (!existsSync(entry)) throw new Error(`${entry} is missing. Run: npm run build`);
  const folder = mkdtempSync(join(tmpdir(), 'runner-'));
  try {
    return await runJob(entry, folder, options);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function runJob(entry: string, folder: string, options: RunOptions): Promise<Run> {
  const folders = createJobFolders(folder, options);
  const env = runnerEnvironment(options, folders);
  const inputs = inputVariables(options, env);
  const job = {
    temp: folders.temp,
    workspaceFolder: folders.workspaceFolder,
    files: () => filesUnder(folders.temp),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
  let state = options.state ?? {};
  let jobEnv: Readonly<Record<string, string>> = {};
  const results: Phase[] = [];
  for (const phase of options.phases ?? ['main', 'post']) {
    const first = results[0];
    if (first) await options.between?.({ ...first, ...job });
    const stateVariables = Object.fromEntries(Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]));
    const result = await runPhase(phase, options, folders, {
      entry: phase === 'post' ? postEntryOf(entry) : entry,
      env: { ...env, ...jobEnv, ...inputs, ...stateVariables },
    });
    state = { ...state, ...result.state };
    jobEnv = { ...jobEnv, ...result.jobEnv };
    results.push(result);
  }
  const [first, post] = results;
  if (!first) throw new Error('`phases` is empty.');
  return { ...first, ...job, ...(post ? { post } : {}) };
}

function createJobFolders(folder: string, { workspace = {}, event = {} }: RunOptions): JobFolders {
  const temp = join(folder, '_temp');
  const workspaceFolder = join(folder, 'work/deploy/deploy');
  for (const path of [temp, workspaceFolder, join(folder, 'home')]) mkdirSync(path, { recursive: true });
  for (const [name, content] of Object.entries(workspace)) {
    mkdirSync(dirname(join(workspaceFolder, name)), { recursive: true });
    writeFileSync(join(workspaceFolder, name), content);
  }
  writeFileSync(join(folder, 'event.json'), JSON.stringify(event));
  return { folder, temp, workspaceFolder };
}

/** action.yml names post.js, next to the main entry. A single test script is the entry of both phases. */
function postEntryOf(entry: string): string {
  const postEntry = join(dirname(entry), `post${extname(entry)}`);
  return existsSync(postEntry) ? postEntry : entry;
}

async function runPhase(
  phase: 'main' | 'post',
  options: RunOptions,
  { temp, workspaceFolder }: JobFolders,
  { entry, env }: { readonly entry: string; readonly env: Readonly<Record<string, string>> },
): Promise<Phase & { readonly jobEnv: Readonly<Record<string, string>> }> {
  const commandFiles = createCommandFiles(temp);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [entry], {
    cwd: workspaceFolder,
    env: { ...env, ...commandFiles.variables, ...fileOverrides(options.env) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const usage = watchUsage(child);
  const log = new Log(options.onLine);
  const plans = phase === 'main' ? [options.signal ?? []].flat() : [];
  const signals = planSignals(child, plans);
  for (const stream of [child.stdout, child.stderr])
    readLines(stream, (lines) => {
      for (const line of lines) log.add(line);
      signals.checkLog(log.raw);
    });
  const limitMs = options.limitMs ?? 300_000;
  const exit = await waitForExit(child, limitMs, options.limit);
  const wallMs = performance.now() - startedAt;
  signals.stop();
  if (exit.timedOut)
    throw new Error(`The ${phase} phase did not end within its limit (${limitMs} ms). Its log:\n${log.raw}`);

  const stateText = commandFiles.read('GITHUB_STATE');
  const outputs = parseFileCommands(commandFiles.read('GITHUB_OUTPUT'));
  return {
    exitCode: exit.code,
    stdout: log.raw,
    lines: log.lines,
    annotations: log.annotations,
    masks: log.masks,
    outputs,
    droppedOutputs: Object.keys(outputs).filter((name) => log.mask(outputs[name] ?? '') !== outputs[name]),
    state: parseFileCommands(stateText),
    stateText,
    summary: commandFiles.read('GITHUB_STEP_SUMMARY'),
    startedAt,
    wallMs,
    ...usage(),
    jobEnv: parseFileCommands(commandFiles.read('GITHUB_ENV')),
  };
}

/** Command files that the test replaces. */
function fileOverrides(env: RunOptions['env'] = {}): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => /^GITHUB_(OUTPUT|STATE|STEP_SUMMARY)$/.test(name)));
}

function readLines(stream: Readable, onLines: (lines: readonly string[]) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop() ?? '';
    onLines(lines);
  });
  stream.on('end', () => {
    if (rest !== '') onLines([rest]);
  });
}

async function waitForExit(
  child: ChildProcess,
  limitMs: number,
  limit?: Promise<unknown>,
): Promise<{ readonly code: number | null; readonly timedOut: boolean }> {
  let timedOut = false;
  const stop = (): void => {
    timedOut = true;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(stop, limitMs);
  void limit?.then(stop);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, timedOut };
  } finally {
    clearTimeout(timer);
  }
}

/** Samples /proc until the process ends. The kernel keeps the peak itself, so the last sample counts. */
function watchUsage(child: ChildProcess): () => { peakRssBytes: number; cpuMs: number } {
  const usage = { peakRssBytes: 0, cpuMs: 0 };
  const sample = (): void => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      usage.peakRssBytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024 || usage.peakRssBytes;
      // utime and stime, in hundredths of a second: fields 14 and 15, counted from before the name in parentheses.
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      usage.cpuMs = (Number(fields[11]) + Number(fields[12])) * 10;
    } catch {
      // The process has ended, or the system has no /proc.
    }
  };
  const timer = setInterval(sample, 20);
  child.once('exit', () => clearInterval(timer));
  return () => usage;
}

function filesUnder(folder: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files[path.slice(folder.length + 1)] = readFileSync(path, 'utf8');
  }
  return files;
}
