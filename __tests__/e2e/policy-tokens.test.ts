import { expect, test } from '@jest/globals';
import { policyTokenState } from '../../simulator/http/policy-tokens.ts';
import type { Simulator } from '../../simulator/index.ts';
import { assertNoSecrets } from '../support/harness.ts';
import { errorOf, expectAllGone, snapshot, startWorld, writesOf, actWithPost } from '../support/lifecycle.ts';

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
  const run = await actWithPost(sim);
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
  const run = await actWithPost(sim);
  expect(run.exitCode).toBe(1);
  expect(errorOf(run)).toContain('Outside of the change window.');
  expectAllGone(sim, before);
});
