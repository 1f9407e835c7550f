/** How many requests each bucket lets through, and how soon it fills again: spent over the wire. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Reply } from '../support/simulator-client.ts';
import { type ComputeTestClient, createComputeTestClient } from '../support/compute-client.ts';

/** So slow that nothing comes back while a test runs, and that a wait of parts of a second is still a number to compare. */
const timeScale = 1_000_000;

let client: ComputeTestClient;
beforeEach(async () => {
  client = await createComputeTestClient(timeScale);
});
afterEach(() => client.sim.close());

/** Sends until it is refused; gives the answers before the refusal, and the refusal. */
async function spend(send: () => Promise<Reply>, most: number): Promise<[Reply[], Reply]> {
  const answered: Reply[] = [];
  for (;;) {
    const reply = await send();
    if (reply.status === 429) return [answered, reply];
    answered.push(reply);
    if (answered.length > most) throw new Error(`more than ${most} requests were answered`);
  }
}

/** Simulated seconds until the next token, to two digits: those that the test itself took are less than that. */
function refill(refusal: Reply): number {
  return Number((Number(refusal.headers['retry-after']) / timeScale).toPrecision(2));
}

const left = (reply: Reply | undefined): string | undefined => reply?.headers['x-ms-ratelimit-remaining-resource'];

test('a VM has separate buckets for 12 PUTs, 12 deletes, 12 updates, 36 reads and 45 polls', async () => {
  const nic = client.addNic('nic');
  const body = client.vmBody(nic);
  const id = client.vmId('spent');
  const created = await client.send('PUT', id, body);
  expect(left(created)).toBe('Microsoft.Compute/PutVMSubscriptionMaximum;1499,Microsoft.Compute/PutVMResource;11');
  const poll = String(created.headers['azure-asyncoperation']);

  const spent = {
    puts: await spend(() => client.send('PUT', id, body), 12),
    updates: await spend(() => client.send('PATCH', id, { tags: {} }), 12),
    looks: await spend(() => client.send('GET', id), 36),
    polls: await spend(() => client.send('GET', poll), 45),
    deletions: await spend(() => client.send('DELETE', id), 12),
  };
  expect(
    Object.fromEntries(
      Object.entries(spent).map(([what, [answered, refusal]]) => [
        what,
        { times: answered.length, first: left(answered[0]), refill: refill(refusal), end: left(refusal) },
      ]),
    ),
  ).toEqual({
    puts: {
      times: 11,
      first: 'Microsoft.Compute/PutVMSubscriptionMaximum;1498,Microsoft.Compute/PutVMResource;10',
      refill: 15,
      end: 'Microsoft.Compute/PutVMResource;0',
    },
    updates: {
      times: 12,
      first: 'Microsoft.Compute/UpdateVMSubscriptionMaximum;1499,Microsoft.Compute/UpdateVMResource;11',
      refill: 15,
      end: 'Microsoft.Compute/UpdateVMResource;0',
    },
    looks: {
      times: 36,
      first: 'Microsoft.Compute/LowCostGetSubscriptionMaximum;23999,Microsoft.Compute/LowCostGetResource;35',
      refill: 5,
      end: 'Microsoft.Compute/LowCostGetResource;0',
    },
    polls: {
      times: 45,
      first: 'Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999',
      refill: 4,
      end: 'Microsoft.Compute/GetOperationResource;0',
    },
    deletions: {
      times: 12,
      first: 'Microsoft.Compute/DeleteVMSubscriptionMaximum;1499,Microsoft.Compute/DeleteVMResource;11',
      refill: 15,
      end: 'Microsoft.Compute/DeleteVMResource;0',
    },
  });
  // Another machine has its own.
  expect((await client.send('PUT', client.vmId('other'), client.vmBody(client.addNic('other')))).status).toBe(201);
});

test.each([
  ['GET', 'reads', 250, 3749, 0.04],
  ['PATCH', 'writes', 200, 2999, 0.1],
  ['DELETE', 'deletes', 200, 2999, 0.1],
])('%s: Resource Manager takes %s, %i of them', async (method, kind, size, all, wait) => {
  const nsg = `${client.group}/providers/Microsoft.Network/networkSecurityGroups/none`;
  const [answered, refusal] = await spend(
    () => client.send(method, nsg, method === 'PATCH' ? { tags: {} } : undefined, { auxiliary: false }),
    size,
  );
  expect(answered).toHaveLength(size);
  const header = (name: string): string | undefined =>
    answered[0]?.headers[`x-ms-ratelimit-remaining-subscription-${name}${kind}`];
  expect([header(''), header('global-')]).toEqual([String(size - 1), String(all)]);
  expect(refusal.body['error'].code).toBe('SubscriptionRequestsThrottled');
  expect(refill(refusal)).toBe(wait);
});
