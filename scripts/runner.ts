/**
 * Runs the action as GitHub's runner does: a process of its own with a runner's environment and nothing else of ours,
 * inputs and state as environment variables, outputs through files, workflow commands in the log.
 * https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionRunner.cs and FileCommandManager.cs
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join, resolve } from 'node:path';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '..');

/** What the emulated GitHub and the private cloud are reached by. */
export interface Surroundings {
  readonly githubEndpoint: string;
  readonly certificateFile: string;
}

export interface SignalPlan {
  /** `cancel` is the runner's sequence: SIGINT, SIGTERM 7.5 s later, SIGKILL 2.5 s later; all by `timeScale`. */
  readonly name: NodeJS.Signals | 'cancel';
  /** Since the start of the process. */
  readonly afterMs?: number;
  /** As soon as the log so far matches. */
  readonly whenLog?: RegExp;
  /** As soon as this has happened outside of the process: a request has arrived, say. */
  readonly upon?: Promise<unknown>;
}

export interface RunOptions {
  readonly sim: Surroundings;
  /** As under `with:`; what is absent gets its default from action.yml. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Over the runner's own environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Factor on all waits of the action and between the signals of a cancellation. Default 1: real time. */
  readonly timeScale?: number;
  /** Values of expressions in action.yml's defaults, by name: `strategy.job-index`. */
  readonly context?: Readonly<Record<string, string>>;
  /** Payload of the event that started the workflow. */
  readonly event?: object;
  /** Files in the workspace, by path. */
  readonly workspace?: Readonly<Record<string, string | Uint8Array>>;
  /** Default: both, as in a job. */
  readonly phases?: readonly ('main' | 'post')[];
  /** State that an earlier phase left; for a post phase alone. */
  readonly state?: Readonly<Record<string, string>>;
  /** Entry file. Default: ACTION_ENTRY (`src/index.ts` runs without a build), else the shipped dist/index.js. */
  readonly bundle?: string;
  /** Signals to the main phase. */
  readonly signal?: SignalPlan | readonly SignalPlan[];
  /** Called when main has ended and before post starts. */
  readonly between?: (run: Run) => void | Promise<void>;
  /** A phase that takes longer is killed, and the run rejects with its log. Default 5 minutes. */
  readonly limitMs?: number;
  /** Sees each line of the log as it comes, with masks applied. */
  readonly onLine?: (line: LogLine) => void;
}

export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice';
  readonly title: string;
  readonly message: string;
}

/** A workflow command, or plain text (`command` undefined). */
export interface LogLine {
  readonly text: string;
  readonly command?: string;
  readonly properties: Readonly<Record<string, string>>;
}

/** One process: the main step or its post step. */
export interface Phase {
  /** null: ended by a signal. */
  readonly exitCode: number | null;
  /** The raw log, stdout and stderr in the order of arrival, workflow commands included, nothing masked. */
  readonly stdout: string;
  readonly lines: readonly LogLine[];
  readonly annotations: readonly Annotation[];
  /** Values given to `::add-mask::`. */
  readonly masks: readonly string[];
  readonly outputs: Readonly<Record<string, string>>;
  /** Outputs that GitHub would not hand to other jobs, since they contain a masked value. */
  readonly droppedOutputs: readonly string[];
  readonly state: Readonly<Record<string, string>>;
  readonly stateText: string;
  readonly summary: string;
  /** When the process was started, by `performance.now()` of the process that runs this. */
  readonly startedAt: number;
  readonly wallMs: number;
  /** Highest resident memory and CPU time of the process, read from /proc; 0 where there is none. */
  readonly peakRssBytes: number;
  readonly cpuMs: number;
}

/** The job: what the main phase did (or the only phase), and its post phase. */
export interface Run extends Phase {
  readonly post?: Phase;
  /** RUNNER_TEMP; stays until `dispose`. */
  readonly temp: string;
  readonly workspaceFolder: string;
  /** Every file under RUNNER_TEMP as it is now, by path relative to it. */
  files(): Readonly<Record<string, string>>;
  dispose(): void;
}

interface ActionDefinition {
  readonly inputs: Readonly<Record<string, { readonly default?: string | number | boolean } | null>>;
}

/** Runs the phases of one job and gives back all that they left behind. */
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
  const temp = join(folder, '_temp');
  const workspaceFolder = join(folder, 'work/deploy/deploy');
  for (const each of [temp, workspaceFolder, join(folder, 'home')]) mkdirSync(each, { recursive: true });
  for (const [name, content] of Object.entries(options.workspace ?? {})) {
    mkdirSync(dirname(join(workspaceFolder, name)), { recursive: true });
    writeFileSync(join(workspaceFolder, name), content);
  }
  writeFileSync(join(folder, 'event.json'), JSON.stringify(options.event ?? {}));
  const env = runnerEnvironment(options, folder, temp, workspaceFolder);
  const inputs = inputVariables(options, env);

  const phases = options.phases ?? ['main', 'post'];
  let state = options.state ?? {};
  let jobEnv: Readonly<Record<string, string>> = {};
  const results: Phase[] = [];
  const frame = {
    temp,
    workspaceFolder,
    files: () => filesUnder(temp),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
  for (const phase of phases) {
    const first = results[0];
    if (first) await options.between?.({ ...first, ...frame });
    const stateVariables = Object.fromEntries(
      Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]),
    );
    const result = await runPhase(
      phase === 'post' ? postEntryOf(entry) : entry,
      { ...env, ...jobEnv, ...inputs, ...stateVariables },
      phase,
      options,
      frame,
    );
    state = { ...state, ...result.state };
    jobEnv = { ...jobEnv, ...result.jobEnv };
    results.push(result);
  }
  const [first, post] = results;
  if (!first) throw new Error('No phase was asked for.');
  return { ...first, ...frame, ...(post ? { post } : {}) };
}

/** action.yml names another file for the post step, beside the main one. An entry that stands alone does both. */
function postEntryOf(entry: string): string {
  const beside = join(dirname(entry), `post${extname(entry)}`);
  return existsSync(beside) ? beside : entry;
}

function runnerEnvironment(
  { sim, env: own = {}, timeScale = 1 }: RunOptions,
  folder: string,
  temp: string,
  workspaceFolder: string,
): Record<string, string> {
  const env: Record<string, string | undefined> = {
    // Nothing of the caller's environment: a proxy, NODE_OPTIONS or a token of ours must not make a test pass.
    PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
    HOME: join(folder, 'home'),
    LANG: 'C.UTF-8',
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTION: 'vm',
    GITHUB_ACTOR: 'octocat',
    GITHUB_API_URL: sim.githubEndpoint,
    GITHUB_EVENT_NAME: 'workflow_dispatch',
    GITHUB_EVENT_PATH: join(folder, 'event.json'),
    GITHUB_GRAPHQL_URL: `${sim.githubEndpoint}/graphql`,
    GITHUB_JOB: 'deploy',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REF_NAME: 'main',
    GITHUB_REPOSITORY: 'contoso/deploy',
    GITHUB_REPOSITORY_ID: '456789',
    GITHUB_REPOSITORY_OWNER: 'contoso',
    GITHUB_REPOSITORY_OWNER_ID: '123456',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: '9876543210',
    GITHUB_RUN_NUMBER: '42',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_SHA: '6dcb09b5b57875f334f61aebed695e2e4193db5e',
    GITHUB_WORKFLOW: 'Deploy',
    GITHUB_WORKFLOW_REF: 'contoso/deploy/.github/workflows/deploy.yml@refs/heads/main',
    GITHUB_WORKSPACE: workspaceFolder,
    RUNNER_ARCH: 'X64',
    RUNNER_ENVIRONMENT: 'github-hosted',
    RUNNER_NAME: 'runner',
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: temp,
    RUNNER_TOOL_CACHE: join(folder, 'tools'),
    NODE_EXTRA_CA_CERTS: sim.certificateFile,
    CROSS_TENANT_VM_TIME_SCALE: timeScale === 1 ? undefined : String(timeScale),
    ...own,
  };
  return Object.fromEntries(
    Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}

/** INPUT_* of every input that action.yml declares: spaces become underscores, hyphens stay. */
function inputVariables(options: RunOptions, env: Readonly<Record<string, string>>): Record<string, string> {
  const { inputs } = parse(readFileSync(join(root, 'action.yml'), 'utf8')) as ActionDefinition;
  // The runner warns of an unknown input and goes on; here it is a slip of the test.
  const unknown = Object.keys(options.inputs).filter((name) => !Object.hasOwn(inputs, name));
  if (unknown.length > 0) throw new Error(`action.yml has no input ${unknown.join(', ')}`);
  const context: Record<string, string> = {
    'github.job': env['GITHUB_JOB'] ?? '',
    'github.run_id': env['GITHUB_RUN_ID'] ?? '',
    'github.token': 'ghs_simulated',
    'strategy.job-index': '0',
    ...options.context,
  };
  const evaluated = (text: string): string =>
    text.replace(/\$\{\{\s*([\w.-]+)\s*\}\}/g, (expression, name: string) => {
      const value = context[name];
      if (value === undefined) throw new Error(`No value for ${expression} in action.yml`);
      return value;
    });
  return Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => [
      `INPUT_${name.replaceAll(' ', '_').toUpperCase()}`,
      options.inputs[name] ?? evaluated(String(input?.default ?? '')),
    ]),
  );
}

async function runPhase(
  entry: string,
  env: Readonly<Record<string, string>>,
  phase: 'main' | 'post',
  options: RunOptions,
  { temp, workspaceFolder }: { readonly temp: string; readonly workspaceFolder: string },
): Promise<Phase & { readonly jobEnv: Readonly<Record<string, string>> }> {
  const commandFiles = join(temp, '_runner_file_commands');
  mkdirSync(commandFiles, { recursive: true });
  const id = randomUUID();
  const fileOf = (name: string): string => {
    const path = join(commandFiles, `${name}_${id}`);
    writeFileSync(path, '');
    return path;
  };
  const files = {
    GITHUB_ENV: fileOf('set_env'),
    GITHUB_OUTPUT: fileOf('set_output'),
    GITHUB_PATH: fileOf('add_path'),
    GITHUB_STATE: fileOf('save_state'),
    GITHUB_STEP_SUMMARY: fileOf('step_summary'),
  };

  const started = performance.now();
  const child = spawn(process.execPath, [entry], {
    cwd: workspaceFolder,
    env: { ...env, ...files },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const usage = watchUsage(child);
  const log = new Log(options.onLine);
  const signals =
    phase === 'main' ? planSignals(child, [options.signal ?? []].flat(), options.timeScale ?? 1) : undefined;
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const line of lines) log.add(line);
      signals?.look(log.raw);
    });
    stream.on('end', () => {
      if (rest !== '') log.add(rest);
    });
  }
  const limitMs = options.limitMs ?? 300_000;
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, limitMs);
  const exitCode = await new Promise<number | null>((ended, failed) => {
    child.once('error', failed);
    child.once('close', (code) => {
      ended(code);
    });
  });
  const wallMs = performance.now() - started;
  clearTimeout(limit);
  signals?.stop();
  const { peakRssBytes, cpuMs } = usage();
  if (late) throw new Error(`The ${phase} phase did not end within ${limitMs} ms. Its log:\n${log.raw}`);

  const read = (path: string): string => readFileSync(path, 'utf8');
  const stateText = read(files.GITHUB_STATE);
  const outputs = parseFileCommands(read(files.GITHUB_OUTPUT));
  return {
    exitCode,
    stdout: log.raw,
    lines: log.lines,
    annotations: log.annotations,
    masks: log.masks,
    outputs,
    droppedOutputs: Object.keys(outputs).filter((name) => log.masked(outputs[name] ?? '') !== outputs[name]),
    state: parseFileCommands(stateText),
    stateText,
    summary: read(files.GITHUB_STEP_SUMMARY),
    startedAt: started,
    wallMs,
    peakRssBytes,
    cpuMs,
    jobEnv: parseFileCommands(read(files.GITHUB_ENV)),
  };
}

/** `name=value` lines and `name<<DELIMITER … DELIMITER` blocks of the runner's file commands. */
export function parseFileCommands(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (line === '') continue;
    const heredoc = /^([^=]*?)<<(.+)$/.exec(line);
    if (heredoc) {
      const [, name = '', delimiter = ''] = heredoc;
      const end = lines.indexOf(delimiter, at + 1);
      if (end < 0) throw new Error(`Matching delimiter not found '${delimiter}'`);
      values[name] = lines.slice(at + 1, end).join('\n');
      at = end;
      continue;
    }
    const equals = line.indexOf('=');
    if (equals < 1) throw new Error(`Invalid format '${line}'`);
    values[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return values;
}

/** The log as the runner reads it, line by line. */
class Log {
  raw = '';
  readonly lines: LogLine[] = [];
  readonly annotations: Annotation[] = [];
  readonly masks: string[] = [];
  readonly #onLine: ((line: LogLine) => void) | undefined;

  constructor(onLine: ((line: LogLine) => void) | undefined) {
    this.#onLine = onLine;
  }

  add(text: string): void {
    this.raw += `${text}\n`;
    const line = parseLine(text);
    this.lines.push(line);
    const { command, properties } = line;
    if (command === 'add-mask') {
      if (line.text !== '') this.masks.push(line.text);
      return;
    }
    if (command === 'error' || command === 'warning' || command === 'notice') {
      this.annotations.push({ level: command, title: properties['title'] ?? '', message: line.text });
    }
    this.#onLine?.({ ...line, text: this.masked(line.text) });
  }

  /** A mask of several lines hides each of them. */
  masked(text: string): string {
    let result = text;
    for (const mask of this.masks) {
      for (const secret of new Set([mask, ...mask.split(/\r?\n/)])) {
        if (secret !== '') result = result.replaceAll(secret, '***');
      }
    }
    return result;
  }
}

/** https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands */
function parseLine(text: string): LogLine {
  const match = /^\s*::([\w-]+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)$/s.exec(text);
  if (!match) return { text, properties: {} };
  const [, command = '', list = '', data = ''] = match;
  const properties: Record<string, string> = {};
  for (const item of list.split(',')) {
    const equals = item.indexOf('=');
    if (equals < 0) continue;
    properties[item.slice(0, equals).trim()] = unescaped(item.slice(equals + 1))
      .replaceAll('%3A', ':')
      .replaceAll('%2C', ',');
  }
  return { command, properties, text: unescaped(data) };
}

function unescaped(text: string): string {
  return text.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
}

function planSignals(
  child: ChildProcess,
  plans: readonly SignalPlan[],
  timeScale: number,
): { look: (log: string) => void; stop: () => void } {
  const timers: NodeJS.Timeout[] = [];
  const waiting = new Set(plans);
  const after = (ms: number, name: NodeJS.Signals): void => {
    timers.push(setTimeout(() => child.kill(name), ms));
  };
  const send = (plan: SignalPlan): void => {
    if (!waiting.delete(plan)) return;
    if (plan.name !== 'cancel') {
      child.kill(plan.name);
      return;
    }
    child.kill('SIGINT');
    after(7_500 * timeScale, 'SIGTERM');
    after(10_000 * timeScale, 'SIGKILL');
  };
  for (const plan of plans) {
    if (plan.afterMs !== undefined) timers.push(setTimeout(() => send(plan), plan.afterMs));
    void plan.upon?.then(() => send(plan));
  }
  return {
    look: (log) => {
      for (const plan of waiting) if (plan.whenLog?.test(log)) send(plan);
    },
    stop: () => {
      waiting.clear();
      timers.forEach((timer) => clearTimeout(timer));
    },
  };
}

/** The kernel keeps the high-water mark itself, so the last look before the end is all that counts. */
function watchUsage(child: ChildProcess): () => { peakRssBytes: number; cpuMs: number } {
  const usage = { peakRssBytes: 0, cpuMs: 0 };
  const look = (): void => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      usage.peakRssBytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024 || usage.peakRssBytes;
      // After the parenthesised name: utime and stime are the fields 14 and 15, in hundredths of a second.
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      usage.cpuMs = (Number(fields[11]) + Number(fields[12])) * 10;
    } catch {
      // Ended, or not Linux.
    }
  };
  const timer = setInterval(look, 20);
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
