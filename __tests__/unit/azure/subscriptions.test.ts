import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { ArmRequest } from '../../../src/azure/arm-client.ts';
import { findSubscription, assertSubscriptionInTenant, type Subscription } from '../../../src/azure/subscriptions.ts';
import { ActionError, AzureError } from '../../../src/errors/errors.ts';
import { parseErrorResponse } from '../../../src/errors/parse-error-response.ts';

const tenantId = '22222222-bbbb-4c3d-9d63-1e8e2f6a2b02';
const about = { clientId: '7c9d0c52-3f5b-4a84-9e0e-5b2f4d6a8c10', resourceGroup: 'deploy-rg' };

function subscription(more: Partial<Subscription> = {}): Subscription {
  return { subscriptionId: 'sub-1', displayName: 'Deployments', state: 'Enabled', tenantId, ...more };
}

describe('without a name', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** Looks for the subscription while the list shows one after the other of `lists`, the last again and again. */
  async function find(...lists: (readonly Subscription[])[]) {
    const lines: string[] = [];
    let looks = 0;
    const arm: ArmRequest = async <T>() => ({ value: lists[Math.min(looks++, lists.length - 1)] }) as T;
    const stop = new AbortController();
    const started = Date.now();
    const outcome = findSubscription(arm, tenantId, about, {
      signal: stop.signal,
      onWaiting: (line) => lines.push(line),
    }).catch((error: unknown) => error);
    await jest.runAllTimersAsync();
    return { outcome: await outcome, seconds: (Date.now() - started) / 1000, lines, looks };
  }

  test('the only enabled one, at once', async () => {
    const foreign = subscription({ subscriptionId: 'sub-2', tenantId: 'another' });
    const disabled = subscription({ subscriptionId: 'sub-3', state: 'Disabled' });
    const { outcome, seconds } = await find([foreign, disabled, subscription()]);
    expect([outcome, seconds]).toEqual(['sub-1', 0]);
  });

  test('one of which nothing says whose it is', async () => {
    const { tenantId: _, ...silent } = subscription();
    const foreign = subscription({ subscriptionId: 'sub-2', tenantId: 'another' });
    expect((await find([foreign, silent])).outcome).toBe('sub-1');
  });

  test.each([{ subscriptionId: 'sub-1' }, subscription({ state: 'enabled' })])(
    'takes the only one when the list contains %j',
    async (listed) => {
      expect((await find([listed as Subscription])).outcome).toBe('sub-1');
    },
  );

  test('waits for a subscription after a grant, and explains the wait once', async () => {
    const { outcome, seconds, lines } = await find([], [], [], [subscription()]);
    expect([outcome, seconds]).toEqual(['sub-1', 7]);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/sees no subscription in tenant .*; checking again in 1 s\.$/);
    expect(lines.slice(1)).toEqual([
      'Still no subscription; checking again in 2 s.',
      'Still no subscription; checking again in 4 s.',
    ]);
  });

  test('none at all: given up after two minutes, with a look every 15 s at least', async () => {
    const { outcome, seconds, looks } = await find([]);
    expect(seconds).toBe(120);
    expect(looks).toBe(12);
    expect(outcome).toBeInstanceOf(ActionError);
    expect((outcome as ActionError).explanation?.fix.join('\n')).toContain(
      `az role assignment create --assignee ${about.clientId} --role Contributor --scope "$(az group show --name deploy-rg --query id --output tsv)"`,
    );
  });

  test.each<[string, readonly Subscription[], RegExp]>([
    ['only a disabled one', [subscription({ state: 'Disabled' })], /no enabled .*only Deployments \(sub-1\)/],
    [
      'two',
      [subscription(), subscription({ subscriptionId: 'sub-2', displayName: 'Other' })],
      /2 enabled .*Deployments \(sub-1\), Other \(sub-2\)/,
    ],
  ])('%s is not waited for', async (_what, list, message) => {
    const { outcome, seconds } = await find(list);
    expect(seconds).toBe(0);
    expect((outcome as ActionError).message).toMatch(message);
  });

  test('a stopped run stops waiting', async () => {
    const stop = new AbortController();
    const arm: ArmRequest = async <T>() => ({ value: [] }) as T;
    const outcome = findSubscription(arm, tenantId, about, {
      signal: stop.signal,
      onWaiting: () => undefined,
    }).catch((error: unknown) => error);
    stop.abort(new Error('cancelled'));
    await jest.runAllTimersAsync();
    expect(await outcome).toEqual(new Error('cancelled'));
  });
});

describe('a named one', () => {
  const answering =
    (answer: Subscription): ArmRequest =>
    async <T>() =>
      answer as T;
  const refusing =
    (status: number, code: string): ArmRequest =>
    async () => {
      const bodyText = JSON.stringify({ error: { code, message: 'No.' } });
      throw new AzureError(parseErrorResponse({ method: 'GET', url: '/', status, headers: () => undefined, bodyText }));
    };

  test('of the tenant', async () => {
    await assertSubscriptionInTenant(answering(subscription()), 'sub-1', tenantId);
    await assertSubscriptionInTenant(answering(subscription({ tenantId: tenantId.toUpperCase() })), 'x', tenantId);
  });

  test('of which nothing says whose it is', async () => {
    const { tenantId: _, ...silent } = subscription();
    await assertSubscriptionInTenant(answering(silent), 'sub-1', tenantId);
  });

  test('delegated by another tenant', async () => {
    const arm = answering(subscription({ tenantId: 'another' }));
    await expect(assertSubscriptionInTenant(arm, 'sub-1', tenantId)).rejects.toThrow('belongs to tenant another');
  });

  test('accepts a subscription that cannot be read (403) and throws every other error', async () => {
    await assertSubscriptionInTenant(refusing(403, 'AuthorizationFailed'), 'sub-1', tenantId);
    for (const [status, code] of [
      [401, 'InvalidAuthenticationTokenTenant'],
      [404, 'SubscriptionNotFound'],
    ] as const) {
      await expect(assertSubscriptionInTenant(refusing(status, code), 'sub-1', tenantId)).rejects.toMatchObject({
        activity: 'reading subscription sub-1',
        cause: { fault: { code } },
      });
    }
  });
});
