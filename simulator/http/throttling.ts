import type { FastifyReply, FastifyRequest } from 'fastify';
import { ArmError } from '../model/arm-error.ts';
import type { Budget } from '../model/contract.ts';
import type { World } from '../world/world.ts';
import type { RequestScope } from './request.ts';

/** Limits of Resource Manager per subscription, principal and kind of request (documented since 2024). */
const armBuckets: Record<'reads' | 'writes' | 'deletes', { size: number; perMinute: number }> = {
  reads: { size: 250, perMinute: 25 * 60 },
  writes: { size: 200, perMinute: 10 * 60 },
  deletes: { size: 200, perMinute: 10 * 60 },
};

/** The limit of the whole subscription is fifteen times that of one principal. */
const globalFactor = 15;

/**
 * Takes one token from Resource Manager's own buckets and reports the remaining ones in headers.
 *
 * @throws ArmError 429 when a bucket is empty.
 */
export function chargeArmBuckets(
  world: World,
  request: FastifyRequest,
  reply: FastifyReply,
  scope: RequestScope,
): void {
  if (!world.throttling) return;
  const { caller } = scope;
  const kind = requestKind(request.method);
  const bucket = armBuckets[kind];
  const level = scope.subscription ? 'subscription' : 'tenant';
  const owner = scope.subscription?.id ?? scope.tenant.id;
  const own = world.budgets.take({ name: `${level}-${kind}`, key: `${owner};${caller.oid}`, ...bucket });
  const all = world.budgets.take({
    name: `${level}-global-${kind}`,
    key: owner,
    size: bucket.size * globalFactor,
    perMinute: bucket.perMinute * globalFactor,
  });
  const empty = 'retryAfter' in own ? own : 'retryAfter' in all ? all : undefined;
  if (empty) {
    const seconds = world.clock.retryAfter(empty.retryAfter, 1);
    throw new ArmError(
      429,
      level === 'subscription' ? 'SubscriptionRequestsThrottled' : 'TenantRequestsThrottled',
      `Number of '${kind.slice(0, -1)}' requests for ${level} '${owner}' actor '${caller.oid}' exceeded. Please try again after '${seconds}' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information.`,
      { gateway: true, headers: { 'retry-after': seconds } },
    );
  }
  if ('remaining' in own) reply.header(`x-ms-ratelimit-remaining-${level}-${kind}`, String(own.remaining));
  if ('remaining' in all) reply.header(`x-ms-ratelimit-remaining-${level}-global-${kind}`, String(all.remaining));
}

function requestKind(method: string): keyof typeof armBuckets {
  if (method === 'GET' || method === 'HEAD') return 'reads';
  return method === 'DELETE' ? 'deletes' : 'writes';
}

/**
 * Takes one token from each bucket of the provider and reports the remaining ones in a header.
 *
 * @throws ArmError 429 as Compute words it, when a bucket is empty.
 */
export function chargeBudgets(world: World, reply: FastifyReply, budgets: readonly Budget[]): void {
  if (budgets.length === 0 || !world.throttling) return;
  const left: string[] = [];
  for (const budget of budgets) {
    const taken = world.budgets.take(budget);
    if ('remaining' in taken) {
      left.push(`${budget.name};${taken.remaining}`);
      continue;
    }
    const group = budget.name.split('/').at(-1) ?? budget.name;
    const now = world.clock.now();
    throw new ArmError(
      429,
      'OperationNotAllowed',
      'The server rejected the request because too many requests have been received for this subscription.',
      {
        bare: true,
        headers: {
          'retry-after': world.clock.retryAfter(taken.retryAfter, 1),
          'x-ms-ratelimit-remaining-resource': `${budget.name};0`,
        },
        details: [
          {
            code: 'TooManyRequests',
            target: group,
            message: JSON.stringify({
              operationGroup: group,
              startTime: world.clock.timestamp(now),
              endTime: world.clock.timestamp(now + taken.retryAfter),
              allowedRequestCount: budget.size,
              measuredRequestCount: budget.size + 1,
            }),
          },
        ],
      },
    );
  }
  reply.header('x-ms-ratelimit-remaining-resource', left.join(','));
}
