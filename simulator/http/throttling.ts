import type { FastifyReply } from 'fastify';
import { ArmError } from '../model/arm-error.ts';
import type { Budget } from '../model/contract.ts';
import type { World } from '../world/world.ts';

/** Resource Manager's buckets per subscription, principal and kind of operation (published since 2024). */
export const armBuckets: Record<'reads' | 'writes' | 'deletes', { size: number; perMinute: number }> = {
  reads: { size: 250, perMinute: 25 * 60 },
  writes: { size: 200, perMinute: 10 * 60 },
  deletes: { size: 200, perMinute: 10 * 60 },
};

/** The subscription in total has fifteen times the budget of one principal. */
export const globalFactor = 15;

/** Takes one token of each bucket and shows what is left, or refuses in Compute's words. */
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
