/** Runs workflows on nektos/act, without containers and network: a second runner, written by others, for what users run. */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createProxy } from 'proxy';
import { idTokenEnvironment } from '../../simulator/github/github.ts';
import { defaults, type Simulator } from '../../simulator/index.ts';
import { usesOf, workflowsIn } from './workflow-files.ts';

const root = resolve(import.meta.dirname, '../..');
const idTokenHost = 'pipelines.actions.githubusercontent.com';

export interface ActOptions {
  readonly sim: Simulator;
  /** Files of the repository in which the workflow runs, by path. */
  readonly files: Readonly<Record<string, string>>;
  /** Path of the workflow in `files`. */
  readonly workflow: string;
  readonly vars?: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, string>>;
  /** Sent once, when a line of the log contains this text: the workflow is cancelled. */
  readonly cancelAt?: string;
}

interface LogEntry {
  readonly msg: string;
  readonly jobID?: string;
  readonly matrix?: Readonly<Record<string, unknown>>;
  readonly jobResult?: string;
  readonly step?: string;
  readonly stage?: string;
  readonly stepResult?: string;
}

export interface ActRun {
  readonly exitCode: number | null;
  readonly log: string;
  readonly entries: readonly LogEntry[];
  /** Arguments of each call of a command that stands in for a program which needs the network. */
  readonly calls: Readonly<Record<'ssh' | 'curl', readonly string[]>>;
  /** Files that were uploaded as artifacts. */
  artifact(name: string): string;
  resultOf(step: string, stage?: 'Main' | 'Post'): string | undefined;
}

/** What each action that the workflows use from elsewhere does here; the network and GitHub's services are missing. */
const standIns: Readonly<Record<string, string>> = {
  checkout: `
    const path = process.env.INPUT_PATH;
    if (path) for (const name of ['action.yml', 'dist', 'fleet'])
      cpSync(join(process.env.ACT_PRODUCT, name), join(path, name), { recursive: true });`,
  'upload-artifact': `
    const target = join(process.env.ACT_ARTIFACTS, process.env.INPUT_NAME);
    mkdirSync(target, { recursive: true });
    cpSync(process.env.INPUT_PATH, join(target, basename(process.env.INPUT_PATH)), { recursive: true });`,
  'download-artifact': `
    mkdirSync(process.env.INPUT_PATH, { recursive: true });
    const prefix = process.env.INPUT_PATTERN.replace('*', '');
    for (const name of readdirSync(process.env.ACT_ARTIFACTS))
      if (name.startsWith(prefix)) cpSync(join(process.env.ACT_ARTIFACTS, name), process.env.INPUT_PATH, { recursive: true });`,
};

/** `curl` prints the address of the runner; both write their arguments down. */
const command = (name: string) => `#!/bin/sh
printf '%s\\n' "$*" >> "$ACT_CALLS/${name}"
${name === 'curl' ? 'echo 203.0.113.7' : 'echo connected'}
`;

/** Runs a workflow and returns its log. The folder is deleted when the run has ended. */
export async function runWorkflow(options: ActOptions): Promise<ActRun> {
  const folder = mkdtempSync(join(tmpdir(), 'act-'));
  const proxy = await startProxy(options.sim);
  try {
    const repository = createRepository(folder, options.files);
    const args = [
      ...['workflow_dispatch', '--json', '--workflows', options.workflow, '--platform', 'ubuntu-latest=-self-hosted'],
      ...['--use-new-action-cache', '--no-cache-server', '--action-cache-path', join(folder, 'cache')],
      ...createLocalRepositories(folder).flatMap((entry) => ['--local-repository', entry]),
      ...pairs('--env', { ...environment(options.sim, folder), HTTPS_PROXY: proxy.url }),
      ...pairs('--var', options.vars ?? {}),
      ...pairs('--input', options.inputs ?? {}),
    ];
    const { exitCode, log } = await spawnAct(args, repository, options.cancelAt);
    const entries = log.split('\n').flatMap(parseEntry);
    const callsOf = (name: string) => readLines(join(folder, 'calls', name));
    const artifacts = new Map<string, string>();
    for (const path of spawnSync('find', ['artifacts', '-type', 'f'], {
      cwd: folder,
      encoding: 'utf8',
    }).stdout.split('\n'))
      if (path !== '') artifacts.set(path.slice('artifacts/'.length), readFileSync(join(folder, path), 'utf8'));
    return {
      exitCode,
      log: entries.map(({ msg }) => msg).join('\n'),
      entries,
      calls: { ssh: callsOf('ssh'), curl: callsOf('curl') },
      artifact: (name) => artifacts.get(name) ?? '',
      resultOf: (step, stage = 'Main') =>
        entries.findLast((entry) => entry.step === step && entry.stage === stage && entry.stepResult)?.stepResult,
    };
  } finally {
    await proxy.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function createRepository(folder: string, files: Readonly<Record<string, string>>): string {
  const repository = join(folder, 'repository');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(repository, dirname(path)), { recursive: true });
    writeFileSync(join(repository, path), text);
  }
  for (const args of [
    ['init', '--quiet', '--initial-branch', 'main'],
    ['add', '--all'],
    ['-c', 'user.name=a', '-c', 'user.email=a@example.org', 'commit', '--quiet', '--message', 'Workflow'],
    ['remote', 'add', 'origin', 'https://github.com/contoso/deploy'],
  ])
    spawnSync('git', args, { cwd: repository });
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'calls'));
  mkdirSync(join(folder, 'artifacts'));
  for (const name of ['ssh', 'curl']) writeFileSync(join(folder, 'bin', name), command(name), { mode: 0o755 });
  symlinkSync(process.execPath, join(folder, 'bin/node'));
  return repository;
}

/** `owner/name@ref=folder` for this repository and for the stand-ins, in every version that is in use. */
function createLocalRepositories(folder: string): string[] {
  const product = join(folder, 'actions/product');
  mkdirSync(product, { recursive: true });
  for (const name of ['action.yml', 'dist', 'fleet', '.github'])
    cpSync(join(root, name), join(product, name), { recursive: true });
  const standInOf = (name: string): string => {
    const target = join(folder, 'actions', name);
    mkdirSync(target, { recursive: true });
    writeFileSync(join(target, 'action.yml'), `name: ${name}\nruns: { using: node24, main: main.mjs }\n`);
    writeFileSync(
      join(target, 'main.mjs'),
      `import { cpSync, mkdirSync, readdirSync } from 'node:fs';\nimport { basename, join } from 'node:path';\n${standIns[name]}\n`,
    );
    return target;
  };
  const used = new Set(
    [...workflowsIn('.github/workflows'), ...workflowsIn('examples')].flatMap(({ workflow }) => usesOf(workflow)),
  );
  return [...used]
    .flatMap((uses) => {
      const [, action = '', name = ''] = /^(actions\/([\w-]+)@.+)$/.exec(uses) ?? [];
      return Object.hasOwn(standIns, name) ? [`${action}=${standInOf(name)}`] : [];
    })
    .concat(`OWNER/cross-tenant-vm@v1=${product}`);
}

function environment(sim: Simulator, folder: string): Record<string, string> {
  return {
    ...idTokenEnvironment(sim.world, `https://${idTokenHost}`),
    PATH: `${join(folder, 'bin')}:/usr/local/bin:/usr/bin:/bin`,
    NODE_EXTRA_CA_CERTS: sim.certificateFile,
    CROSS_TENANT_VM_TIME_SCALE: '0.02',
    ACT_CALLS: join(folder, 'calls'),
    ACT_ARTIFACTS: join(folder, 'artifacts'),
    ACT_PRODUCT: join(folder, 'actions/product'),
  };
}

/** Leads the hosts of Azure and of GitHub's OIDC provider to the simulator, so that workflows run unchanged. */
async function startProxy(sim: Simulator): Promise<{ readonly url: string; close(): Promise<void> }> {
  const routes: Readonly<Record<string, string>> = {
    'management.azure.com:443': new URL(sim.armEndpoint).host,
    'login.microsoftonline.com:443': new URL(sim.loginEndpoint).host,
    [`${idTokenHost}:443`]: new URL(sim.githubEndpoint).host,
  };
  const proxy = createProxy(createServer());
  // Before the proxy's own listener.
  proxy.prependListener('connect', (request) => {
    request.url = routes[request.url ?? ''] ?? 'localhost:1';
  });
  await new Promise<void>((listening) => proxy.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    close: () => {
      proxy.closeAllConnections();
      return new Promise((closed) => proxy.close(() => closed()));
    },
  };
}

function spawnAct(
  args: readonly string[],
  cwd: string,
  cancelAt: string | undefined,
): Promise<{ readonly exitCode: number | null; readonly log: string }> {
  return new Promise((done, failed) => {
    const child = spawn(process.env['ACT_PATH'] ?? 'act', args, {
      cwd,
      env: { PATH: process.env['PATH'], HOME: dirname(cwd), XDG_CACHE_HOME: join(dirname(cwd), 'cache') },
    });
    let log = '';
    let isCancelled = false;
    const add = (chunk: Buffer) => {
      log += chunk.toString();
      if (cancelAt === undefined || isCancelled || !log.includes(cancelAt)) return;
      isCancelled = true;
      child.kill('SIGINT');
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    child.on('error', failed);
    child.on('close', (exitCode) => done({ exitCode, log }));
  });
}

function parseEntry(line: string): LogEntry[] {
  try {
    return [JSON.parse(line) as LogEntry];
  } catch {
    return line === '' ? [] : [{ msg: line }];
  }
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n');
  } catch {
    return [];
  }
}

const pairs = (option: string, values: Readonly<Record<string, string>>) =>
  Object.entries(values).flatMap(([name, value]) => [option, `${name}=${value}`]);

/** The variables that README and examples name. */
export const exampleVariables: Readonly<Record<string, string>> = {
  CLIENT_ID: defaults.clientId,
  TENANT_ID: defaults.tenantId,
  IMAGE_TENANT_ID: defaults.imageTenantId,
  SUBSCRIPTION_ID: defaults.subscriptionId,
  RESOURCE_GROUP: defaults.resourceGroup,
  IMAGE_ID: defaults.imageId('linux'),
  GALLERY_ID: defaults.imageId('linux').replace(/\/images\/[^/]+$/, ''),
  EXPECTED_SERVICE: 'app',
};
