/**
 * Random lives of several runs that share a resource group: they overlap, are killed, read late, and a stranger creates,
 * retags and deletes in between. No run changes or deletes what is not its own, and a sweep leaves nothing behind.
 *
 * SEVERAL_RUNS_LIVES sets how many lives, LIFECYCLE_SEED draws other ones, LIFECYCLE_ONLY=<n>[,<n>] runs single ones of
 * them and prints their logs.
 */
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { type Simulator, defaults, startSimulator } from '../../simulator/index.ts';
import { settings, type Shortage } from '../../simulator/providers/compute/settings.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import type { LogLine } from '../../scripts/action-runner/log.ts';
import { type Run, defaultInputs, runAction, timeScale } from '../support/harness.ts';
import {
  addIdentity,
  addStranger,
  expireDeployments,
  group,
  partsOf,
  disturbed,
  snapshot,
} from '../support/lifecycle.ts';
import { type Actor, OwnershipWatch, describedTags, isOfStep } from '../support/ownership-watch.ts';

const lives = Number(process.env['SEVERAL_RUNS_LIVES'] ?? 30);
const seed = Number(process.env['LIFECYCLE_SEED'] ?? 1);
const only = process.env['LIFECYCLE_ONLY']?.split(',').map(Number);

/** Servers, repositories, runs, jobs and steps that differ in one respect each. */
const identities = [
  {},
  { GITHUB_RUN_ID: '2' },
  { GITHUB_RUN_ATTEMPT: '2' },
  { GITHUB_ACTION: 'vm_2' },
  { GITHUB_JOB: 'other' },
  { GITHUB_REPOSITORY: 'contoso/other' },
  { GITHUB_SERVER_URL: 'https://github.example' },
].map((differs) => ({
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_REPOSITORY: 'contoso/deploy',
  GITHUB_RUN_ID: '1',
  GITHUB_RUN_ATTEMPT: '1',
  GITHUB_JOB: 'deploy',
  GITHUB_ACTION: 'vm',
  ...differs,
}));

const onceIn = <T>(times: number, what: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: what });

const parts = ['nsg', 'vnet', 'publicIp', 'nic', 'osDisk', 'machine', 'identity'] as const;
const names = ['vm1', 'vm1', 'vm2'] as const;

const step = fc.record({
  operation: fc.constantFrom('create', 'create', 'create', 'delete', 'sweep'),
  deployment: fc.constantFrom(...names),
  identity: fc.nat({ max: identities.length - 1 }),
  cleanup: fc.constantFrom('on-failure', 'always', 'never'),
  access: fc.constantFrom('none', 'named', 'given', 'system'),
  image: fc.constantFrom('linux', 'linux-data-disks'),
  ifExists: fc.constantFrom('keep', 'replace'),
  /** Azure has no capacity for the next VM that is created. */
  hasShortage: onceIn(4, fc.constant(true)),
  /** The next step runs while this request is held, between main and post step, or after both. */
  next: fc.oneof(fc.integer({ min: 1, max: 45 }), fc.constantFrom('between', 'after', 'after')),
  kill: onceIn(
    2,
    fc.record({
      name: fc.constantFrom('SIGKILL', 'SIGKILL', 'SIGINT', 'cancel'),
      nth: fc.integer({ min: 1, max: 60 }),
    }),
  ),
});
type Step = ReturnType<(typeof step)['generate']>['value'];

const life = fc.record({
  steps: fc.uniqueArray(step, { minLength: 2, maxLength: 3, selector: ({ identity }) => identity }),
  strangers: fc.array(
    fc.record({
      /** Before this request to Resource Manager, counted over all runs. */
      nth: fc.integer({ min: 1, max: 130 }),
      action: fc.constantFrom('create', 'retag', 'retag', 'delete'),
      deployment: fc.constantFrom(...names),
      part: fc.constantFrom(...parts),
      tags: fc.constantFrom('own', 'none', 'other repository'),
    }),
    { maxLength: 2 },
  ),
  late: onceIn(2, fc.record({ part: fc.constantFrom(...parts), times: fc.integer({ min: 1, max: 5 }) })),
});
type Life = ReturnType<(typeof life)['generate']>['value'];
type StrangerEvent = Life['strangers'][number];

const givenIdentity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/given`;

const idsOf = (deployment: string) => ({
  ...partsOf(deployment),
  identity: `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${deployment}-identity`,
});

/** What a stranger did. Removals are of what nothing else uses, as Azure would refuse any other. */
function actAsStranger(sim: Simulator, watch: OwnershipWatch, event: StrangerEvent): string | undefined {
  const { world } = sim;
  const id = idsOf(event.deployment)[event.part];
  const existing = world.resources.get(id);
  if (existing && watch.deleting.has(id.toLowerCase())) return undefined;
  const tags = {
    own: { owner: 'somebody' },
    none: undefined,
    'other repository': { ...existing?.body['tags'], 'github-repository': 'fabrikam/theirs' },
  }[event.tags];
  if (event.action === 'create') {
    if (existing || event.part === 'machine') return undefined;
    if (event.part === 'identity') addIdentity(world, id, tags);
    else addStranger(world, id, tags);
  } else if (event.action === 'retag') {
    if (!existing) return undefined;
    if (tags) existing.body['tags'] = { ...tags };
    else delete existing.body['tags'];
  } else {
    const isUsed = [...world.resources.all()].some(
      (other) => other.id !== id && JSON.stringify(other.body).toLowerCase().includes(`"${id.toLowerCase()}`),
    );
    // Azure deletes an identity that is in use, and it has no provisioning state.
    const isIdentity = event.part === 'identity';
    const isReady = isIdentity || existing?.body['properties'].provisioningState === 'Succeeded';
    if (!existing || (isUsed && !isIdentity) || event.part === 'machine' || !isReady) return undefined;
    world.resources.remove(id);
  }
  watch.noteChange(id);
  return id;
}

function inputsOf(
  sim: Simulator,
  { operation, deployment, cleanup, access, image, ifExists }: Step,
): Record<string, string> {
  const registry = addRegistry(sim.world, {
    subscription: defaults.subscriptionId,
    group: 'registries',
    name: 'images',
  });
  const identity = { none: '', named: `${deployment}-identity`, given: givenIdentity, system: 'system' }[access];
  return {
    ...defaultInputs(sim),
    operation,
    'vm-name': deployment,
    cleanup,
    'image-id': defaults.imageId(image),
    identity,
    'role-assignments': identity && `AcrPull on ${registry}`,
    'expires-after': '1h',
    'if-exists': ifExists,
    'timeout-minutes': '360',
  };
}

function prepareWorld(sim: Simulator): void {
  const { world } = sim;
  world.addGroup(defaults.subscriptionId, 'registries', defaults.location);
  const registries = `/subscriptions/${defaults.subscriptionId}/resourceGroups/registries`;
  world.grant(defaults.clientId, 'User Access Administrator', registries);
  world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
  addIdentity(world, givenIdentity);
}

async function live(drawn: Life): Promise<{ violations: string[]; log: string; ends: string[] }> {
  const sim = await startSimulator({ timeScale: 0.002, world: undefined });
  prepareWorld(sim);
  const before = snapshot(sim);
  const watch = new OwnershipWatch(sim);
  const strangers = new Map<string, string>();
  /** Deployments of which a stranger changed something. */
  const disturbedNames = new Set<string | undefined>();
  const violations: string[] = [];
  const ends: string[] = [];
  const runs: Run[] = [];
  let log = '';
  let requests = 0;
  const counts = new Map<Actor, number>();
  const waiting = new Map<Actor, { readonly nth: number; readonly act: () => void | Promise<void> }[]>();
  const late = new Set<string>();
  sim.faults.add({
    match: { host: 'arm', times: Infinity },
    effect: {
      onArrival: async (exchange) => {
        requests += 1;
        for (const event of drawn.strangers.filter(({ nth }) => nth === requests)) {
          const id = actAsStranger(sim, watch, event);
          if (!id) continue;
          disturbedNames.add(event.deployment);
          log += `--- request ${requests}: a stranger: ${event.action} ${id}\n`;
          const body = sim.world.resources.get(id)?.body;
          if (body) strangers.set(id, withoutExpiry(body['tags']));
          else strangers.delete(id);
        }
        const actor = watch.senderOf(exchange);
        if (!actor) return;
        const path = exchange.path;
        if (
          exchange.method === 'PUT' &&
          drawn.late &&
          path.endsWith(idsOf(actor.deployment)[drawn.late.part].slice(-24)) &&
          !late.has(path)
        ) {
          late.add(path);
          sim.faults.add({
            match: { method: 'GET', path: new RegExp(`${path}(\\?|$)`), times: drawn.late.times },
            effect: { status: 404, code: 'ResourceNotFound', message: 'The Resource was not found.' },
          });
        }
        const nth = (counts.get(actor) ?? 0) + 1;
        counts.set(actor, nth);
        for (const each of waiting.get(actor) ?? []) if (each.nth === nth) await each.act();
        // Not before: a request that was held while another step ran may have been handled since.
        if (actor.operation === 'sweep' && path === `${group}/resources`) expireDeployments(sim);
        watch.judge(actor, exchange);
      },
    },
  });

  async function runStep([drawnStep, ...rest]: readonly Step[]): Promise<void> {
    if (!drawnStep) return;
    const { operation, deployment, identity, next, kill, cleanup } = drawnStep;
    const env = identities[identity] ?? {};
    const actor: Actor = { operation, deployment, env, deletesAll: cleanup === 'always' };
    const shortage: Shortage = { code: 'AllocationFailed', at: 'operation', times: 1 };
    if (drawnStep.hasShortage) settings(sim.world).shortages.push(shortage);
    const killed = Promise.withResolvers<void>();
    let continued: Promise<void> | undefined;
    const runRest = (): Promise<void> => (continued ??= runStep(rest));
    waiting.set(actor, [
      ...(kill ? [{ nth: kill.nth, act: () => killed.resolve() }] : []),
      ...(typeof next === 'number' ? [{ nth: next, act: runRest }] : []),
    ]);
    const run = await runAction({
      sim,
      onLine: ({ text }: LogLine) => watch.readLine(actor, text),
      inputs: inputsOf(sim, drawnStep),
      env,
      timeScale,
      phases: ['main', 'post'],
      ...(kill ? { signal: { name: kill.name as 'SIGKILL', when: killed.promise } } : {}),
      between: async () => {
        waiting.delete(actor);
        if (next === 'between') await runRest();
      },
    });
    runs.push(run);
    log += `--- ${operation} ${deployment} ${JSON.stringify(env)}: exit ${run.exitCode}\n${run.stdout}\n--- post: ${run.post?.stdout}\n`;
    ends.push(run.exitCode === null ? 'killed' : run.exitCode === 0 ? 'succeeded' : 'failed');
    if (run.post?.exitCode !== 0) violations.push(`the post step ended with ${run.post?.exitCode}`);
    const isKept = operation !== 'create' || cleanup === 'never' || (run.exitCode === 0 && cleanup !== 'always');
    if (!isKept) {
      const isAlone = drawn.steps.filter((each) => each.deployment === deployment).length === 1;
      const mayLeave = !isAlone || drawn.late !== undefined || disturbedNames.has(deployment);
      const warned = mayLeave ? `${shownLog(run)}${run.post ? shownLog(run.post) : ''}` : '';
      for (const id of tagged(sim)) {
        const isOurs = isOfStep(actor, watch.tagsOf(id)) && watch.creators.get(id.toLowerCase()) === actor;
        if (isOurs && !warned.includes(id.toLowerCase())) violations.push(`left by its run: ${id}`);
      }
    }
    await runRest();
  }

  try {
    await runStep(drawn.steps);
    await sweepAll();
    violations.push(...watch.violations);
    for (const id of disturbed(sim, before)) {
      if (!id.includes('/registries/')) violations.push(`changed or deleted: ${id}`);
    }
    for (const [id, tags] of strangers) {
      const now = sim.world.resources.get(id)?.body;
      if (watch.changedInGap.has(id.toLowerCase())) continue;
      if (withoutExpiry(now?.['tags']) !== tags) violations.push(`a stranger's was changed or deleted: ${id}`);
    }
  } catch (error) {
    violations.push(`the scenario itself failed: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    for (const run of runs) run.dispose();
    await sim.close();
  }
  return { violations, log, ends };

  /** Sweeps every repository that has left something, and reports what remains. */
  async function sweepAll(): Promise<void> {
    const left = tagged(sim);
    const owners = new Map(
      left.flatMap((id) => {
        const env = identities.find(
          (each) =>
            watch.tagsOf(id)?.['github-repository'] === each.GITHUB_REPOSITORY &&
            watch.tagsOf(id)?.['github-server-url'] === each.GITHUB_SERVER_URL,
        );
        return env ? [[`${env.GITHUB_SERVER_URL}/${env.GITHUB_REPOSITORY}`, env]] : [];
      }),
    );
    let said = '';
    for (const env of owners.values()) {
      const actor: Actor = { operation: 'sweep', deployment: '', env };
      const inputs = { ...defaultInputs(sim), operation: 'sweep' };
      const onLine = ({ text }: LogLine) => watch.readLine(actor, text);
      const run = await runAction({ sim, inputs, env, timeScale, onLine });
      log += `--- sweep ${JSON.stringify(env)}: exit ${run.exitCode}\n${run.stdout}\n`;
      said += shownLog(run);
      runs.push(run);
    }
    for (const id of tagged(sim)) {
      if (watch.tagsOf(id)?.['github-repository'] === 'fabrikam/theirs') continue;
      // A data disk of a VM that a stranger took over.
      const vm = sim.world.resources.get(id)?.body['managedBy'];
      if (watch.changedInGap.has(id.toLowerCase()) || (vm && !isSameRepository(watch.tagsOf(vm), watch.tagsOf(id))))
        continue;
      const isDisturbed = disturbedNames.has(watch.tagsOf(id)?.['cross-tenant-vm']);
      const isExplained = isDisturbed && said.includes(id.toLowerCase());
      if (!isExplained) violations.push(`left behind: ${id}`);
    }
  }
}

/** What a user sees without debug logging, in lower case: a long annotation is shortened, but its lines are in the log. */
function shownLog({ lines }: Pick<Run, 'lines'>): string {
  return lines
    .filter(({ command }) => command !== 'debug')
    .map(({ text }) => `${text.toLowerCase()}\n`)
    .join('');
}

function isSameRepository(tags: Record<string, string> = {}, others: Record<string, string> = {}): boolean {
  return ['github-server-url', 'github-repository'].every((name) => tags[name] === others[name]);
}

function withoutExpiry(tags: Record<string, string> = {}): string {
  return JSON.stringify({ ...tags, 'expires-on': undefined });
}

/** IDs of resources and role assignments that carry tags of this action. */
function tagged(sim: Simulator): string[] {
  const { resources, roleAssignments } = sim.world;
  return [
    ...[...resources.all()].filter(({ body }) => body['tags']?.['cross-tenant-vm']).map(({ id }) => id),
    ...roleAssignments.filter(({ description }) => describedTags(description)).map(({ id }) => id),
  ];
}

test(
  'several runs change and delete nothing but their own and leave nothing behind',
  async () => {
    const drawn = [...fc.sample(life, { numRuns: lives, seed }).entries()];
    const waiting = drawn.filter(([index]) => !only || only.includes(index));
    const ends: Record<string, number> = {};
    const violated: string[] = [];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [index, each] = next;
        const { violations, log, ends: ended } = await live(each);
        for (const end of ended) ends[end] = (ends[end] ?? 0) + 1;
        if (only) process.stdout.write(`${fc.stringify(each)}\n${log}\n`);
        if (violations.length === 0) continue;
        violated.push(
          `LIFECYCLE_SEED=${seed} SEVERAL_RUNS_LIVES=${lives} LIFECYCLE_ONLY=${index}\n${fc.stringify(each)}\n- ${violations.join('\n- ')}`,
        );
        if (lives > 100) process.stdout.write(`${violated.at(-1)}\n`);
      }
    };
    await Promise.all(Array.from({ length: 4 }, worker));
    process.stdout.write(`${lives} lives, seed ${seed}: ${JSON.stringify(ends)}\n`);
    expect(violated.join('\n\n')).toBe('');
  },
  Math.max(240_000, lives * 20_000),
);
