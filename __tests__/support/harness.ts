/** What scenarios share: the action run as a runner runs it, against a simulator of their own. */
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect } from '@jest/globals';
import { idTokenEnvironment } from '../../simulator/github/github.ts';
import { defaults, type Simulator } from '../../simulator/index.ts';
import { type Run, type RunOptions, runAsRunner } from '../../scripts/action-runner/action-runner.ts';

export type { Annotation } from '../../scripts/action-runner/log.ts';
export type { Phase, Run } from '../../scripts/action-runner/action-runner.ts';

export interface ActionOptions extends Omit<RunOptions, 'sim'> {
  readonly sim: Simulator;
  /** The job has `permissions: id-token: write`. */
  readonly idToken?: boolean;
}

/** 1 in the real-time part of `npm run test:soak`. */
export const timeScale = Number(process.env['TIME_SCALE'] ?? 0.02);
/** A cancelled step has 6 s on this clock and needs CPU time, which has no scale: 1.5 s are enough on a busy machine. */
const cancelTimeScale = Math.max(timeScale, 0.25);
/** Saves each process a tenth of its CPU time; what runs is the same. */
export const compileCache = { NODE_COMPILE_CACHE: join(tmpdir(), 'cross-tenant-vm-compile-cache') };

const leftovers: (() => void)[] = [];
afterAll(() => {
  for (const remove of leftovers.splice(0)) remove();
});

/** Runs the main step (or `phases`) of the shipped action; see `RunOptions`. Its folders go when the test file ends. */
export async function runAction({ idToken, ...options }: ActionOptions): Promise<Run> {
  const { sim, env } = options;
  const run = await runAsRunner({
    limitMs: 150_000,
    timeScale: options.signal === undefined ? timeScale : cancelTimeScale,
    phases: ['main'],
    ...options,
    env: {
      ...compileCache,
      ...(idToken ? idTokenEnvironment(sim.world, sim.githubEndpoint) : {}),
      ...env,
    },
  });
  leftovers.push(run.dispose);
  return run;
}

/** Runs the main and the post step, for tests about what is left after the job. */
export const runJob = (options: ActionOptions): Promise<Run> => runAction({ phases: ['main', 'post'], ...options });

/** Environment and signal name by which a running action's time of day jumps ahead, so that its tokens are due for a refresh. */
export function timeJump(seconds: number): {
  readonly env: Record<string, string>;
  readonly name: 'SIGUSR2';
} {
  const script = `const Real = Date; let jumped = 0;
    globalThis.Date = class Date extends Real {
      static now() { return Real.now() + jumped; }
      constructor(...given) { super(...(given.length > 0 ? given : [Date.now()])); }
    };
    process.on('SIGUSR2', () => { jumped += ${seconds * 1000}; });`;
  return {
    env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(script)}` },
    name: 'SIGUSR2',
  };
}

/** An Ed25519 key in OpenSSH format. */
export const publicKey =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD0NLGbY4HbU8Z1ahbDX4n8Y0WqYnVtfL9XWq8m2cB someone@example.org';

/** The action generates a key pair, which takes a third of the CPU time of a create. */
export const generatedKey = { 'ssh-public-key': '' } as const;

/** Inputs for a Windows image, which refuses an SSH key. */
export function windowsImage(definition = 'windows', version?: string): Record<string, string> {
  return { 'image-id': defaults.imageId(definition, version), 'ssh-public-key': '' };
}

/** Inputs of a Linux VM in the default world, with a given key. */
export function defaultInputs(sim: Simulator): Record<string, string> {
  return {
    environment: sim.armEndpoint,
    'client-id': defaults.clientId,
    'client-secret': defaults.clientSecret,
    'tenant-id': defaults.tenantId,
    'image-tenant-id': defaults.imageTenantId,
    'subscription-id': defaults.subscriptionId,
    'resource-group': defaults.resourceGroup,
    'image-id': defaults.imageId('linux'),
    'ssh-public-key': publicKey,
  };
}

/** Entry file of a copy of dist/ in an otherwise empty folder, without node_modules anywhere above it. */
export function copyOfBundle(): string {
  const dist = resolve(import.meta.dirname, '../../dist');
  const folder = mkdtempSync(join(tmpdir(), 'bundle-'));
  leftovers.push(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of readdirSync(dist)) copyFileSync(join(dist, name), join(folder, name));
  return join(folder, 'index.js');
}

/**
 * Expects none of `secrets`, and no token at all, in anything that a run leaves: log (but for the commands that mask them), annotations,
 * outputs, state, summary, and every file under RUNNER_TEMP except the generated private key.
 */
export function assertNoSecrets(run: Run, secrets: readonly string[]): void {
  const key = run.outputs['ssh-private-key-path'];
  const places: [string, string][] = Object.entries(run.files())
    .filter(([path]) => join(run.temp, path) !== key)
    .map(([path, text]) => [`file ${path}`, text]);
  for (const [name, phase] of [
    ['main', run],
    ['post', run.post],
  ] as const) {
    if (!phase) continue;
    const log = phase.lines.filter(({ command }) => command !== 'add-mask');
    places.push([
      `log of ${name}`,
      log.map(({ text, properties }) => [text, ...Object.values(properties)].join('\n')).join('\n'),
    ]);
    places.push([`summary of ${name}`, phase.summary]);
    places.push([`state of ${name}`, Object.values(phase.state).join('\n')]);
    places.push([`outputs of ${name}`, Object.values(phase.outputs).join('\n')]);
  }
  const found = places.flatMap(([place, text]) => [
    ...secrets.filter((secret) => variants(secret).some((variant) => text.includes(variant))).map(() => place),
    ...(token.test(text) ? [`${place}: a token`] : []),
  ]);
  expect(found).toEqual([]);
}

/** Access tokens, ID tokens and assertions are all signed JWTs. */
const token = /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]{8,}/;

/** How a secret may slip through: as it is, in a URL or form, in JSON, or in base64. */
function variants(secret: string): string[] {
  if (secret === '') throw new Error('An empty secret is found everywhere.');
  return [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  ];
}
