/**
 * Resource Manager itself: what it does with a request before a provider sees it, in its order — api-version, token,
 * subscription and its tenant, budgets, rights, registration, group, linked resources, locks — and the headers that it
 * puts on every answer.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pollPaths } from '../engine/operations.ts';
import { ArmError, notModelled } from '../model/arm-error.ts';
import type { Answer, Caller } from '../model/contract.ts';
import type { Subscription } from '../model/entities.ts';
import { isAllowed } from '../world/permissions.ts';
import type { World } from '../world/world.ts';
import {
  authorizationFailedError,
  checkApiVersion,
  checkResourceGroup,
  checkLinkedResources,
  checkLocks,
  checkQueryOptions,
  checkRegistration,
  checkSubscriptionState,
  resourceTypeOf,
} from './checks.ts';
import { sendJson, splitUrl } from './listener.ts';
import { metadataDocument } from './metadata.ts';
import type { Call, Provider, ProviderType, Route } from './provider.ts';
import {
  requireApiVersion,
  resolveScope,
  missingApiVersionError,
  params,
  parseBody,
  type RequestScope,
  resourceIdFrom,
} from './request.ts';
import { chargeBudgets, globalFactor, armBuckets } from './throttling.ts';
import { TokenReader } from './tokens.ts';

/** Declares the routes of all providers, the polls and the metadata document. */
export function registerGateway(
  app: FastifyInstance,
  world: World,
  providers: readonly Provider[],
  origin: () => string,
  loginOrigin: () => string,
): void {
  const tokens = new TokenReader(world);

  app.setErrorHandler(async (thrown, request, reply) => {
    const error = thrown instanceof ArmError ? thrown : internalError(thrown);
    request.state.exchange.code = error.code;
    reply.code(error.status).headers(error.headers);
    if (error.gateway) reply.header('x-ms-failure-cause', 'gateway');
    await sendJson(reply, error.body());
  });
  app.setNotFoundHandler((request) => {
    throw notModelled(`${request.method} ${splitUrl(request.url)[0]}`);
  });

  app.get('/metadata/endpoints', async (request, reply) => {
    request.state.exchange.kind = 'metadata';
    const version = (request.query as Record<string, string>)['api-version'];
    if (version === undefined) throw missingApiVersionError();
    await sendJson(reply, metadataDocument(world, version, origin(), loginOrigin()));
  });

  for (const path of pollPaths) {
    app.get(path, async (request, reply) => {
      request.state.exchange.kind = 'poll';
      requireApiVersion(request);
      const place = resolveScope(world, request, await tokens.primary(request), loginOrigin());
      await admitRequest(world, request, tokens, place, reply);
      const id = params(request)['operation'] ?? '';
      chargeBudgets(world, reply, world.operations.find(id)?.budgets ?? []);
      await sendAnswer(reply, world.operations.poll(id, request.raw.url ?? '', origin()));
    });
  }

  for (const provider of providers) {
    for (const route of provider.routes) {
      const type = resourceTypeOf(provider, route);
      app.route({
        method: route.method,
        url: route.path,
        handler: async (request, reply) => {
          await serve(request, reply, provider, route, type);
        },
      });
    }
  }

  async function serve(
    request: FastifyRequest,
    reply: FastifyReply,
    provider: Provider,
    route: Route,
    type: ProviderType,
  ): Promise<void> {
    const { exchange } = request.state;
    exchange.kind = route.kind;
    const apiVersion = requireApiVersion(request);
    const place = resolveScope(world, request, await tokens.primary(request), loginOrigin());
    const { caller } = place;
    const auxiliary = await admitRequest(world, request, tokens, place, reply);
    checkApiVersion(apiVersion, provider, type);
    const body = parseBody(request);
    exchange.requestBody = request.body === undefined || request.body === '' ? undefined : body;

    const resourceId = resourceIdFrom(route, params(request));
    const call: Call = {
      world,
      method: route.method,
      path: exchange.path,
      params: params(request),
      query: exchange.query,
      apiVersion,
      headers: exchange.requestHeaders,
      body,
      resourceId,
      name: resourceId.split('/').at(-1) ?? '',
      // Tenant-level routes have none; their handlers do not read it.
      subscription: place.subscription as Subscription,
      tenant: place.tenant,
      caller,
      auxiliary,
      origin: origin(),
      accept: (operation) =>
        world.operations.start(
          {
            method: route.method,
            origin: origin(),
            apiVersion,
            subscription: place.subscription?.id ?? '',
            caller,
          },
          operation,
          request.state.operationFailure,
        ),
    };

    const scope = route.scope?.(call) ?? resourceId;
    const action = typeof route.action === 'function' ? route.action(call) : route.action;
    for (const wanted of [...(action === null ? [] : [action]), ...(route.additionalActions?.(call) ?? [])]) {
      if (!isAllowed(world, caller.oid, wanted, scope)) throw authorizationFailedError(caller, wanted, scope);
    }
    if (place.subscription) {
      checkSubscriptionState(route, place.subscription);
      checkRegistration(route, provider, place.subscription);
      checkResourceGroup(world, route, place.subscription, call);
    }
    checkLinkedResources(world, route, call, action ?? '', resourceId);
    checkLocks(world, route, scope);
    checkQueryOptions(route, call);
    chargeBudgets(world, reply, route.budgets?.(call) ?? []);
    if (route.delayedBy !== undefined) {
      await world.clock.sleep(world.latency(route.delayedBy));
      world.settle();
    }
    await sendAnswer(reply, await route.handle(call));
  }
}

/** Headers of every answer of Resource Manager. */
export function armHeaders(world: World, request: FastifyRequest): Record<string, string> {
  const id = world.uuid();
  const sent = request.headers;
  const headers: Record<string, string> = {
    'cache-control': 'no-cache',
    pragma: 'no-cache',
    expires: '-1',
    'x-ms-request-id': id,
    'x-ms-correlation-request-id': String(sent['x-ms-correlation-request-id'] ?? id),
    'x-ms-routing-request-id': `SIMULATOR:${new Date().toISOString().replaceAll(/[-:]/g, '').replace(/\.\d+/, '')}:${world.uuid()}`,
    'strict-transport-security': 'max-age=31536000; includeSubDomains',
    'x-content-type-options': 'nosniff',
  };
  if (sent['x-ms-return-client-request-id'] === 'true' && sent['x-ms-client-request-id'] !== undefined) {
    headers['x-ms-client-request-id'] = String(sent['x-ms-client-request-id']);
  }
  if (request.state.exchange.provider.toLowerCase() === 'microsoft.network') {
    headers['x-ms-arm-service-request-id'] = world.uuid();
  }
  return headers;
}

/** Charges Resource Manager's own buckets and reads the auxiliary tokens. */
async function admitRequest(
  world: World,
  request: FastifyRequest,
  tokens: TokenReader,
  place: RequestScope,
  reply: FastifyReply,
): Promise<Caller[]> {
  const { caller } = place;
  const kind = ['GET', 'HEAD'].includes(request.method)
    ? 'reads'
    : request.method === 'DELETE'
      ? 'deletes'
      : 'writes';
  const bucket = armBuckets[kind];
  const where = place.subscription ? 'subscription' : 'tenant';
  const owner = place.subscription?.id ?? place.tenant.id;
  if (world.throttling) {
    const own = world.budgets.take({ name: `${where}-${kind}`, key: `${owner};${caller.oid}`, ...bucket });
    const all = world.budgets.take({
      name: `${where}-global-${kind}`,
      key: owner,
      size: bucket.size * globalFactor,
      perMinute: bucket.perMinute * globalFactor,
    });
    const empty = 'retryAfter' in own ? own : 'retryAfter' in all ? all : undefined;
    if (empty) {
      const seconds = world.clock.retryAfter(empty.retryAfter, 1);
      throw new ArmError(
        429,
        where === 'subscription' ? 'SubscriptionRequestsThrottled' : 'TenantRequestsThrottled',
        `Number of '${kind.slice(0, -1)}' requests for ${where} '${owner}' actor '${caller.oid}' exceeded. Please try again after '${seconds}' seconds after additional tokens are available. Refer to https://aka.ms/arm-throttling for additional information.`,
        { gateway: true, headers: { 'retry-after': seconds } },
      );
    }
    if ('remaining' in own) reply.header(`x-ms-ratelimit-remaining-${where}-${kind}`, String(own.remaining));
    if ('remaining' in all)
      reply.header(`x-ms-ratelimit-remaining-${where}-global-${kind}`, String(all.remaining));
  }
  return tokens.auxiliary(request, caller);
}

// --- Answers -----------------------------------------------------------------------------------------------------

async function sendAnswer(reply: FastifyReply, answer: Answer): Promise<void> {
  reply.code(answer.status).headers({ ...answer.headers });
  if (answer.body === undefined) await reply.send();
  else await sendJson(reply, answer.body);
}

/** A fault of the simulator itself: loud, and not one that clients send again. */
function internalError(thrown: unknown): ArmError {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  process.stderr.write(`simulator: ${text}\n`);
  return new ArmError(501, 'SimulatorBroken', text);
}
