/**
 * Azure Resource Manager. Checks each request in Azure's order before a provider handles it: api-version, token,
 * subscription and tenant, rate limits, permissions, registration, resource group, linked resources, locks.
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
  checkLinkedResources,
  checkLocks,
  checkPolicies,
  checkQueryOptions,
  checkRegistration,
  checkResourceGroup,
  checkSubscriptionState,
  resourceTypeOf,
} from './checks.ts';
import { sendJson, splitUrl } from './listener.ts';
import { metadataDocument } from './metadata.ts';
import { checkPolicyToken } from './policy-tokens.ts';
import type { Call, Provider, ProviderType, Route } from './provider.ts';
import {
  missingApiVersionError,
  params,
  parseBody,
  type RequestScope,
  requireApiVersion,
  resolveScope,
  resourceIdFrom,
} from './request.ts';
import { chargeArmBuckets, chargeBudgets } from './throttling.ts';
import { TokenReader } from './tokens.ts';

/** URLs of the listeners, known only once they listen. */
export interface Origins {
  readonly arm: () => string;
  readonly login: () => string;
}

interface Gateway {
  readonly world: World;
  readonly tokens: TokenReader;
  readonly origins: Origins;
}

/** A route with the provider and the resource type that it belongs to. */
interface ProviderRoute {
  readonly provider: Provider;
  readonly route: Route;
  readonly type: ProviderType;
}

/** Registers the metadata document, the operation polls and the routes of all providers. */
export function registerGateway(
  app: FastifyInstance,
  world: World,
  providers: readonly Provider[],
  origins: Origins,
): void {
  const gateway: Gateway = { world, tokens: new TokenReader(world), origins };
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
    await sendJson(reply, metadataDocument(world, version, origins.arm(), origins.login()));
  });
  for (const path of pollPaths) {
    app.get(path, async (request, reply) => {
      await handlePoll(gateway, request, reply);
    });
  }
  for (const provider of providers) {
    for (const route of provider.routes) {
      const providerRoute = { provider, route, type: resourceTypeOf(provider, route) };
      app.route({
        method: route.method,
        url: route.path,
        handler: async (request, reply) => {
          await handleRequest(gateway, providerRoute, request, reply);
        },
      });
    }
  }
}

async function handlePoll(gateway: Gateway, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { world, tokens, origins } = gateway;
  request.state.exchange.kind = 'poll';
  requireApiVersion(request);
  const scope = resolveScope(world, request, await tokens.primary(request), origins.login());
  chargeArmBuckets(world, request, reply, scope);
  await tokens.auxiliary(request, scope.caller);
  const id = params(request)['operation'] ?? '';
  chargeBudgets(world, reply, world.operations.find(id)?.budgets ?? []);
  await sendAnswer(reply, world.operations.poll(id, request.raw.url ?? '', originOf(request)));
}

async function handleRequest(
  gateway: Gateway,
  { provider, route, type }: ProviderRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const { world, tokens, origins } = gateway;
  const { exchange } = request.state;
  exchange.kind = route.kind;
  const apiVersion = requireApiVersion(request);
  const scope = resolveScope(world, request, await tokens.primary(request), origins.login());
  chargeArmBuckets(world, request, reply, scope);
  const auxiliary = await tokens.auxiliary(request, scope.caller);
  checkApiVersion(apiVersion, provider, type);
  const body = parseBody(request);
  exchange.requestBody = request.body === undefined || request.body === '' ? undefined : body;

  const call = createCall(gateway, route, request, { ...scope, apiVersion, body, auxiliary });
  checkAccess(provider, route, call, scope.subscription);
  checkQueryOptions(route, call);
  chargeBudgets(world, reply, route.budgets?.(call) ?? []);
  if (route.delayedBy !== undefined) {
    await world.clock.sleep(world.latency(route.delayedBy));
    world.settle();
  }
  await sendAnswer(reply, await route.handle(call));
}

/** Links lead to the host of the request: behind a proxy that is the public name of Resource Manager. */
const originOf = (request: FastifyRequest) => `https://${request.host}`;

function createCall(
  { world }: Gateway,
  route: Route,
  request: FastifyRequest,
  parsed: RequestScope & {
    readonly apiVersion: string;
    readonly body: Call['body'];
    readonly auxiliary: readonly Caller[];
  },
): Call {
  const { exchange } = request.state;
  const { subscription, tenant, caller, apiVersion, body, auxiliary } = parsed;
  const resourceId = resourceIdFrom(route, params(request));
  return {
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
    // Undefined for tenant-level routes, whose handlers do not read it.
    subscription: subscription as Subscription,
    tenant,
    caller,
    auxiliary,
    origin: originOf(request),
    accept: (operation) =>
      world.operations.start(
        {
          method: route.method,
          origin: originOf(request),
          apiVersion,
          subscription: subscription?.id ?? '',
          caller,
        },
        operation,
        request.state.operation,
      ),
  };
}

/** Permissions, subscription state, registration, resource group, linked resources and locks. */
function checkAccess(provider: Provider, route: Route, call: Call, subscription: Subscription | undefined): void {
  const { world, caller } = call;
  const scope = route.scope?.(call) ?? call.resourceId;
  const action = typeof route.action === 'function' ? route.action(call) : route.action;
  const required = [...(action === null ? [] : [action]), ...(route.additionalActions?.(call) ?? [])];
  for (const name of required) {
    if (!isAllowed(world, caller.oid, name, scope)) throw authorizationFailedError(caller, name, scope);
  }
  if (subscription) {
    checkSubscriptionState(route, subscription);
    checkRegistration(route, provider, subscription);
    checkResourceGroup(route, subscription, call);
  }
  checkLinkedResources(route, call, action ?? '');
  checkLocks(world, route, scope);
  checkPolicyToken(call);
  checkPolicies(call);
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

async function sendAnswer(reply: FastifyReply, answer: Answer): Promise<void> {
  reply.code(answer.status).headers({ ...answer.headers });
  if (answer.body === undefined) await reply.send();
  else await sendJson(reply, answer.body);
}

/** A bug in the simulator. 501, because clients would retry a 500 and hide it. */
function internalError(thrown: unknown): ArmError {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  process.stderr.write(`simulator: ${text}\n`);
  return new ArmError(501, 'SimulatorBroken', text);
}
