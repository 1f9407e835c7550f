/** Workflows of users on nektos/act, against the simulator: `npm run test:act`. */
import { afterEach, expect, test } from '@jest/globals';
import { defaults, principals, type Simulator, startSimulator } from '../../simulator/index.ts';
import { workflowBlocks } from '../../scripts/lint/workflows.ts';
import { type ActRun, exampleVariables, runWorkflow } from '../support/act.ts';

/** A failure shows the whole log. */
function expectSuccess({ exitCode, log }: ActRun): void {
  if (exitCode !== 0) throw new Error(log);
}
const path = '.github/workflows/test.yml';

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
  sim.journal.filter(
    (exchange) => exchange.method === method && /\/virtualMachines\/[^/]+$/.test(exchange.path),
  );

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
