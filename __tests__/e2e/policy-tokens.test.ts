import { describe, expect, test } from '@jest/globals';
import { policyTokenState } from '../../simulator/http/policy-tokens.ts';
import { defaults, type Simulator } from '../../simulator/index.ts';
import { assertNoSecrets } from '../support/harness.ts';
import {
  act,
  actWithPost,
  addDeployment,
  disturbed,
  errorOf,
  expectAllGone,
  partsOf,
  snapshot,
  startWorld,
  warningsOf,
  writesOf,
} from '../support/lifecycle.ts';

const name = 'Changes need an approval';

async function worldWithPolicy(requiresChangeReference: boolean): Promise<Simulator> {
  const sim = await startWorld();
  policyTokenState(sim.world).policy = { name, requiresChangeReference, refusal: undefined };
  return sim;
}

const isRefused = ({ code }: { code?: string | undefined }) => code === 'RequestDisallowedByPolicy';

test('acquires a policy token for each write and deletion when a policy demands it', async () => {
  const sim = await worldWithPolicy(true);
  const before = snapshot(sim);
  const inputs = { 'change-reference': 'CHG0012345', identity: 'system, vm1-identity', cleanup: 'always' };
  const run = await actWithPost(sim, inputs);
  expect([errorOf(run), run.exitCode, run.post?.exitCode]).toEqual(['', 0, 0]);
  expectAllGone(sim, before);
  const writes = writesOf(sim.journal);
  const acquired = writes.filter(({ kind }) => kind === 'policyToken.acquire');
  // SDK calls and own requests, PUTs and DELETEs: each was refused once and accepted with its token.
  const refused = writes.filter(isRefused);
  expect(refused.map(({ method }) => method)).toEqual(expect.arrayContaining(['PUT', 'DELETE']));
  expect(acquired).toHaveLength(refused.length);
  expect(acquired.map(({ requestBody }) => (requestBody as { changeReference: string }).changeReference)).toEqual(
    refused.map(() => 'CHG0012345'),
  );
  expect(acquired.some(({ requestHeaders }) => 'x-ms-authorization-auxiliary' in requestHeaders)).toBe(false);
  assertNoSecrets(run, ['.policy-token']);
});

test('ends with what is missing when the policy requires a change reference', async () => {
  const sim = await worldWithPolicy(true);
  const before = snapshot(sim);
  const run = await act(sim);
  expect(run.exitCode).toBe(1);
  expect(errorOf(run)).toContain(`Policy "${name}" requires a policy token`);
  expect(errorOf(run)).toContain('Set `change-reference`');
  expect(errorOf(run)).toContain('No policy token: A change reference is required.');
  expectAllGone(sim, before);
});

test('deletes what it created when the external check refuses the VM', async () => {
  const sim = await worldWithPolicy(false);
  const before = snapshot(sim);
  const { policy } = policyTokenState(sim.world);
  if (policy) policy.refusal = (_, uri) => (/virtualMachines/.test(uri) ? 'Outside of the change window.' : undefined);
  const run = await act(sim);
  expect(run.exitCode).toBe(1);
  expect(errorOf(run)).toContain('Outside of the change window.');
  expectAllGone(sim, before);
});

describe('if-exists: replace', () => {
  const image = { 'image-id': defaults.imageId('linux', '1.9.0') };
  const replacement = { ...image, 'change-reference': 'CHG0012345', 'if-exists': 'replace' };
  const vm = partsOf('vm1').machine;

  async function worldWithOldVm(): Promise<Simulator> {
    const sim = await worldWithPolicy(true);
    await addDeployment(sim);
    return sim;
  }

  function refuse(sim: Simulator, method: string): void {
    const { policy } = policyTokenState(sim.world);
    if (!policy) throw new Error('the world has no policy');
    policy.refusal = (asked, uri) =>
      asked === method && uri.includes('/virtualMachines/') ? 'Outside of the change window.' : undefined;
  }

  test('replaces the VM with a policy token for the deletion and for each write', async () => {
    const sim = await worldWithOldVm();
    const run = await act(sim, replacement);
    expect([errorOf(run), run.outputs['outcome']]).toEqual(['', 'replaced']);
    const writes = writesOf(sim.journal);
    const references = writes
      .filter(({ kind }) => kind === 'policyToken.acquire')
      .map(({ requestBody }) => (requestBody as { changeReference: string }).changeReference);
    expect(references).toEqual(writes.filter(isRefused).map(() => 'CHG0012345'));
    const ofVm = writes.filter(({ path }) => path === vm).map(({ method, code }) => [method, code]);
    expect(ofVm.filter(([method]) => method !== 'PATCH')).toEqual([
      ['DELETE', 'RequestDisallowedByPolicy'],
      ['DELETE', undefined],
      ['PUT', 'RequestDisallowedByPolicy'],
      ['PUT', undefined],
    ]);
  });

  test('keeps the old VM when the external check refuses its deletion', async () => {
    const sim = await worldWithOldVm();
    const before = snapshot(sim);
    refuse(sim, 'DELETE');
    const run = await act(sim, replacement);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('Outside of the change window.');
    // Its interface was set to outlive it, which changes nothing while it exists.
    expect(disturbed(sim, before)).toEqual([vm.toLowerCase()]);
    const { hardwareProfile, vmId, storageProfile } = JSON.parse(before.get(vm.toLowerCase()) ?? '').properties;
    expect(sim.world.resources.get(vm)?.body['properties']).toMatchObject({ hardwareProfile, vmId, storageProfile });
  });

  test('keeps the network and says that no VM is left when the external check refuses the new VM', async () => {
    const sim = await worldWithOldVm();
    refuse(sim, 'PUT');
    const run = await act(sim, replacement);
    expect(run.exitCode).toBe(1);
    expect(errorOf(run)).toContain('Outside of the change window.');
    expect(warningsOf(run)).toContain('Deployment vm1 has no VM now');
    expect(sim.world.resources.has(partsOf('vm1').nic)).toBe(true);
  });
});
