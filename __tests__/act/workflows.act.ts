/** Workflows of users on nektos/act, against the simulator: `npm run test:act`. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { defaults, principals, type Simulator, startSimulator } from '../../simulator/index.ts';
import { workflowBlocks } from '../../scripts/lint/workflows.ts';
import { type ActRun, exampleVariables, runWorkflow } from '../support/act.ts';
import { usesOf, workflowAt } from '../support/workflow-files.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(resolve(root, file), 'utf8');

const path = '.github/workflows/test.yml';
const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const [checkout = ''] = usesOf(workflowAt('.github/workflows/test.yml').workflow);
const inputs = {
  'client-id': defaults.clientId,
  'tenant-id': defaults.tenantId,
  'image-tenant-id': defaults.imageTenantId,
  'resource-group': defaults.resourceGroup,
  'image-id': defaults.imageId('linux'),
};

/** A failure shows the whole log. */
function expectSuccess({ exitCode, log }: ActRun): void {
  if (exitCode !== 0) throw new Error(log);
}

let sim: Simulator;
afterEach(() => sim.close());

/** Azure accepts tokens for its public name, and there is the README's group. */
async function startAzure(): Promise<void> {
  sim = await startSimulator({
    timeScale: 0.02,
    world: (world) => {
      world.tokens.audiences.push('https://management.azure.com');
      world.addGroup(defaults.subscriptionId, 'deployments', defaults.location);
      world.grant(
        principals.deploy,
        'Contributor',
        `/subscriptions/${defaults.subscriptionId}/resourceGroups/deployments`,
      );
    },
  });
}

function run(
  files: Readonly<Record<string, string>>,
  more: { cancelAt?: string; inputs?: Record<string, string> } = {},
): Promise<ActRun> {
  return runWorkflow({ sim, files, workflow: path, vars: exampleVariables, ...more });
}

const vms = () => sim.world.resources.ofType('Microsoft.Compute/virtualMachines');
const vmWrites = (method: 'PUT' | 'DELETE') =>
  sim.journal.filter((exchange) => exchange.method === method && /\/virtualMachines\/[^/]+$/.test(exchange.path));

test('the workflow of the README creates a VM, reaches its SSH step with the outputs and deletes the VM', async () => {
  await startAzure();
  const [workflow = ''] = workflowBlocks('README.md');
  const result = await run({ [path]: workflow });
  expectSuccess(result);
  const { calls } = result;
  expect(calls.ssh).toHaveLength(1);
  expect(calls.ssh[0]).toMatch(/^-i \S+ .*azureuser@\d+\.\d+\.\d+\.\d+ uptime$/);
  expect(vmWrites('PUT')).not.toHaveLength(0);
  expect([...vms()]).toEqual([]);
});

test('the nightly example connects with the output ssh-command', async () => {
  await startAzure();
  const result = await run({ [path]: read('examples/nightly-ssh.yml') });
  expectSuccess(result);
  expect(result.calls.ssh).toEqual([expect.stringMatching(/^-i \S+ .*azureuser@\d+\.\d+\.\d+\.\d+ /)]);
  expect([...vms()]).toEqual([]);
});

test('a matrix creates a VM of each image and deletes all of them', async () => {
  await startAzure();
  // act has no `strategy.job-index`, so the default of `vm-name` is the same in all jobs.
  const example = read('examples/boot-test.yml');
  const workflow = example.replace(/^( +)cleanup: always$/m, '$1vm-name: boot-${{ matrix.image }}\n$&');
  expect(workflow).not.toBe(example);
  const result = await run({ [path]: workflow });
  expectSuccess(result);
  const images = vmWrites('PUT').map(
    ({ requestBody }) => /\/images\/([^/]+)\/versions\//.exec(JSON.stringify(requestBody))?.[1],
  );
  expect(new Set(images)).toEqual(new Set(['linux', 'linux-arm64', 'linux-specialized']));
  expect([...vms()]).toEqual([]);
});

test('a composite action passes inputs on and returns the outputs', async () => {
  await startAzure();
  const result = await run({
    '.github/actions/vm/action.yml': `name: VM
description: Creates a VM for a test
inputs:
  name: { required: true, description: Name of the VM }
outputs:
  address: { value: '\${{ steps.vm.outputs.public-ip-address }}', description: Public IP address }
runs:
  using: composite
  steps:
    - id: vm
      uses: OWNER/cross-tenant-vm@v1
      with:
        ${Object.entries(inputs)
          .map(([name, value]) => `${name}: ${value}`)
          .join('\n        ')}
        vm-name: \${{ inputs.name }}
        cleanup: always
`,
    [path]: `on: workflow_dispatch
permissions: {}
jobs:
  test:
    runs-on: ubuntu-latest
    permissions:
      id-token: write
    steps:
      - uses: ${checkout}
      - id: test
        uses: ./.github/actions/vm
        with:
          name: composite-1
      - run: ssh "$ADDRESS"
        env:
          ADDRESS: \${{ steps.test.outputs.address }}
`,
  });
  expectSuccess(result);
  expect(result.calls.ssh).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+\.\d+$/)]);
  expect(vmWrites('PUT')[0]?.path).toMatch(/\/composite-1$/);
  expect([...vms()]).toEqual([]);
});

// act kills the process at once, so all of the clean-up is left to the post step.
test('a cancelled workflow deletes what it has created', async () => {
  await startAzure();
  const { exitCode } = await run(
    {
      [path]: `on: workflow_dispatch
permissions: {}
jobs:
  test:
    runs-on: ubuntu-latest
    permissions:
      id-token: write
    steps:
      - uses: OWNER/cross-tenant-vm@v1
        with:
          ${Object.entries(inputs)
            .map(([name, value]) => `${name}: ${value}`)
            .join('\n          ')}
`,
    },
    { cancelAt: 'Creating virtual machine' },
  );
  expect(exitCode).not.toBe(0);
  expect(sim.journal.filter(({ method }) => method === 'PUT')).not.toHaveLength(0);
  expect([...sim.world.resources.under(group)].map(({ id }) => id)).toEqual([]);
});

test('the reusable fleet workflow creates a VM in each wave and reports all of them', async () => {
  await startAzure();
  const tenant = { 'tenant-id': defaults.tenantId, 'subscription-id': defaults.subscriptionId };
  const result = await run({
    '.github/workflows/fleet.yml': read('.github/workflows/fleet.yml'),
    '.github/workflows/fleet-wave.yml': read('.github/workflows/fleet-wave.yml'),
    'tenants.json': JSON.stringify({
      defaults: { 'resource-group': defaults.resourceGroup, 'public-ip': false },
      tenants: [
        { name: 'first', wave: 'canary', ...tenant },
        { name: 'second', wave: 'early', ...tenant },
        { name: 'third', ...tenant },
      ],
    }),
    [path]: `on: workflow_dispatch
permissions: {}
jobs:
  fleet:
    permissions:
      contents: read
      id-token: write
    uses: ./.github/workflows/fleet.yml
    with:
      name: app-1
      client-id: \${{ vars.CLIENT_ID }}
      image-tenant-id: \${{ vars.IMAGE_TENANT_ID }}
      image-id: \${{ vars.IMAGE_ID }}
      environment: customers
`,
  });
  expectSuccess(result);
  expect(vmWrites('PUT').map((exchange) => exchange.path.split('/').at(-1))).toEqual([
    'app-1-first',
    'app-1-second',
    'app-1-third',
  ]);
  expect(JSON.parse(result.artifact('roll-up-create-app-1/fleet.json'))).toMatchObject([{}, {}, {}]);
});
