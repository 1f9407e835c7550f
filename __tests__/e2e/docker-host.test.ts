/** The managed-identity document in one step, as examples/docker-host.yml has it: a Docker host that proves itself. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, principals, type Simulator, startSimulator, type World } from '../../simulator/index.ts';
import { addRegistry } from '../../simulator/providers/registry.ts';
import { defaultInputs, runAction } from '../support/harness.ts';

const root = resolve(import.meta.dirname, '../..');
const text = (path: string) => readFileSync(resolve(root, path), 'utf8');

interface Workflow {
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly steps: readonly {
          readonly uses?: string;
          readonly with?: Readonly<Record<string, string>>;
        }[];
      }
    >
  >;
}
const workflow = parse(text('examples/docker-host.yml')) as Workflow;

const registryGroup = 'registry-rg';
const registryId = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${registryGroup}/providers/Microsoft.ContainerRegistry/registries/acrimages`;
const acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d';

const variables: Readonly<Record<string, string>> = {
  CLIENT_ID: defaults.clientId,
  IMAGE_TENANT_ID: defaults.imageTenantId,
  IMAGE_ID: defaults.imageId('linux'),
  TENANT_ID: defaults.tenantId,
  RESOURCE_GROUP: defaults.resourceGroup,
  REGISTRY_ID: registryId,
  REGISTRY_NAME: 'acrimages',
  CONTAINER_IMAGE: 'team/app:1.2.3',
};

/** The inputs of the example's step, with the repository's variables filled in. */
function stepOf(job: string): Record<string, string> {
  const step = workflow.jobs[job]?.steps.find(({ uses }) => uses?.includes('cross-tenant-vm@'));
  const filled = Object.entries(step?.with ?? {}).map(([name, value]) => {
    const known = value
      .replaceAll(/\$\{\{ vars\.(\w+) \}\}/g, (_, variable: string) => variables[variable] ?? '')
      .replaceAll('${{ github.run_id }}', '9876543210');
    expect(known).not.toContain('${{');
    return [name, known] as const;
  });
  return Object.fromEntries(filled);
}

/**
 * The registry is in a separate group, where the app may only assign roles; and a guest that does what the
 * script says: it may pull if the identity that the machine has may, at that very moment.
 */
function withRegistry(world: World): void {
  world.addGroup(defaults.subscriptionId, registryGroup, defaults.location);
  addRegistry(world, { subscription: defaults.subscriptionId, group: registryGroup, name: 'acrimages' });
  world.grant(principals.deploy, 'Role Based Access Control Administrator', registryId);
  settings(world).runScript = ({ script, parameters, vm }) => {
    const identity = vm['identity'] as {
      principalId?: string;
      userAssignedIdentities?: Record<string, { principalId: string }>;
    };
    const assigned = Object.values(identity.userAssignedIdentities ?? {}).map(({ principalId }) => principalId);
    const signsIn = script.includes('az login --identity');
    const who = identity.principalId ?? (assigned.length === 1 ? assigned[0] : undefined);
    const may = world.roleAssignments.some(
      ({ principalId, role, scope }) => principalId === who && role === acrPull && scope === registryId,
    );
    const image = `${parameters['REGISTRY']}.azurecr.io/${parameters['IMAGE']}`;
    return signsIn && may && script.includes('docker pull "$REGISTRY.azurecr.io/$IMAGE"')
      ? { exitCode: 0, output: `Login Succeeded\nStatus: Downloaded newer image for ${image}\n`, seconds: 8 }
      : { exitCode: 1, error: `Error response from daemon: unauthorized\n`, seconds: 8 };
  };
}

let sim: Simulator;
afterEach(() => sim.close());

// The job named-identity runs in examples.test.ts; what becomes of such an identity: access.test.ts.
test.each(['system-identity'])('creates, reuses and deletes the VM when the job is %s', async (job) => {
  sim = await startSimulator({ timeScale: 0.002, world: withRegistry });
  const inputs = {
    ...defaultInputs(sim),
    ...stepOf(job),
    'image-id': defaults.imageId('linux'),
    'vm-name': 'docker-host',
  };
  const workspace = { 'examples/cloud-init/docker.yml': text('examples/cloud-init/docker.yml') };
  const assignments = () =>
    sim.world.roleAssignments.filter(
      ({ scope, principalId }) => scope === registryId && principalId !== principals.deploy,
    );
  const sent = (kind: string) => sim.journal.filter((exchange) => exchange.kind === kind);

  const run = await runAction({ sim, inputs, workspace });
  expect(run.annotations.filter(({ level }) => level === 'error')).toEqual([]);
  expect(run.exitCode).toBe(0);
  expect(run.outputs['script-exit-code']).toBe('0');
  expect(run.outputs['script-stdout']).toContain('Downloaded newer image for acrimages.azurecr.io/team/app:1.2.3');
  expect(run.stdout).toContain('stdout | Login Succeeded');
  const [vm] = sent('vm.put');
  const body = vm?.requestBody as { properties: { osProfile: { customData: string } } };
  expect(Buffer.from(body.properties.osProfile.customData, 'base64').toString()).toContain('docker.io');
  expect(assignments()).toHaveLength(1);
  if (job === 'system-identity') {
    expect(run.outputs['principal-id']).toBe(assignments()[0]?.principalId);
  }
  // The script ran when the role was there.
  const granted = sent('assignment.put').find(({ status }) => status === 201);
  expect(granted?.at).toBeLessThan(sent('runCommand.put')[0]?.at ?? 0);

  const before = { assignments: sent('assignment.put').length, identities: sent('identity.put').length };
  const rerun = await runAction({
    sim,
    inputs: { ...inputs, 'vm-name': 'docker-host' },
    workspace,
    env: { GITHUB_RUN_ID: '2' },
  });
  expect(rerun.exitCode).toBe(0);
  expect(rerun.outputs['created']).toBe('[]');
  expect(rerun.outputs['principal-id']).toBe(run.outputs['principal-id']);
  expect({ assignments: sent('assignment.put').length, identities: sent('identity.put').length }).toEqual(before);
  expect(assignments()).toHaveLength(1);

  const removal = await runAction({ sim, inputs: { ...inputs, operation: 'delete' } });
  expect(removal.exitCode).toBe(0);
  expect(assignments()).toEqual([]);
  const left = [...sim.world.resources.under(`/subscriptions/${defaults.subscriptionId}`)].map(({ id }) => id);
  expect(left).toEqual([registryId]);
});
