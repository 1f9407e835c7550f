/**
 * Resource Manager itself: what it does with a request before a provider sees it, in its order — api-version, token,
 * subscription and its tenant, budgets, rights, registration, group, linked resources, locks — and the headers that it
 * puts on every answer.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { compactVerify, decodeJwt } from 'jose';
import { mayDo } from '../world/permissions.ts';
import { signingKey } from './keys.ts';
import { sendJson, splitUrl } from './listener.ts';
import { audiences, metadata } from './metadata.ts';
import { pollPaths } from '../engine/operations.ts';
import type { Answer, Budget, Caller, Json } from '../model/contract.ts';
import { ArmError, unknown } from '../model/arm-error.ts';
import type { Call, Provider, ProviderType, Route } from './provider.ts';
import { isWithin, subscriptionOf } from '../model/scope.ts';
import type { World } from '../world/world.ts';
import type { Subscription, Tenant } from '../model/entities.ts';

/** Namespaces that every subscription has without registering them. */
const alwaysRegistered = ['microsoft.resources', 'microsoft.authorization', 'microsoft.features'];

/** Resource Manager's buckets per subscription, principal and kind of operation (published since 2024). */
const managerBuckets: Record<'reads' | 'writes' | 'deletes', { size: number; perMinute: number }> = {
  reads: { size: 250, perMinute: 25 * 60 },
  writes: { size: 200, perMinute: 10 * 60 },
  deletes: { size: 200, perMinute: 10 * 60 },
};

/** The subscription in total has fifteen times the budget of one principal. */
const globalFactor = 15;

/** Who asks, and where; tenant-level requests have no subscription. */
interface Place {
  readonly caller: Caller;
  readonly subscription: Subscription | undefined;
  readonly tenant: Tenant;
}

/** Declares the routes of all providers, the polls and the metadata document. */
export function gateway(
  app: FastifyInstance,
  world: World,
  providers: readonly Provider[],
  origin: () => string,
  loginOrigin: () => string,
): void {
  const tokens = new TokenReader(world);

  app.setErrorHandler(async (thrown, request, reply) => {
    const error = thrown instanceof ArmError ? thrown : broken(thrown);
    request.visit.exchange.code = error.code;
    reply.code(error.status).headers(error.headers);
    if (error.gateway) reply.header('x-ms-failure-cause', 'gateway');
    await sendJson(reply, error.body());
  });
  app.setNotFoundHandler((request) => {
    throw unknown(`${request.method} ${splitUrl(request.url)[0]}`);
  });

  app.get('/metadata/endpoints', async (request, reply) => {
    request.visit.exchange.kind = 'metadata';
    const version = (request.query as Record<string, string>)['api-version'];
    if (version === undefined) throw missingApiVersion();
    await sendJson(reply, metadata(world, version, origin(), loginOrigin()));
  });

  for (const path of pollPaths) {
    app.get(path, async (request, reply) => {
      request.visit.exchange.kind = 'poll';
      apiVersionOf(request);
      const place = locate(world, request, await tokens.primary(request), loginOrigin());
      await admit(world, request, tokens, place, reply);
      const id = params(request)['operation'] ?? '';
      charge(world, reply, world.operations.find(id)?.budgets ?? []);
      await send(reply, world.operations.poll(id, request.raw.url ?? '', origin()));
    });
  }

  for (const provider of providers) {
    for (const route of provider.routes) {
      const type = typeOf(provider, route);
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
    const { exchange } = request.visit;
    exchange.kind = route.kind;
    const apiVersion = apiVersionOf(request);
    const place = locate(world, request, await tokens.primary(request), loginOrigin());
    const { caller } = place;
    const auxiliary = await admit(world, request, tokens, place, reply);
    checkApiVersion(apiVersion, provider, type);
    const body = parseBody(request);
    exchange.requestBody = request.body === undefined || request.body === '' ? undefined : body;

    const resourceId = resourceIdOf(route, params(request));
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
          request.visit.operationFailure,
        ),
    };

    const scope = route.scope?.(call) ?? resourceId;
    const action = typeof route.action === 'function' ? route.action(call) : route.action;
    for (const wanted of [...(action === null ? [] : [action]), ...(route.alsoActions?.(call) ?? [])]) {
      if (!mayDo(world, caller.oid, wanted, scope)) throw authorizationFailed(caller, wanted, scope);
    }
    if (place.subscription) {
      checkState(route, place.subscription);
      checkRegistration(route, provider, place.subscription);
      checkGroup(world, route, place.subscription, call);
    }
    checkLinks(world, route, call, action ?? '', resourceId);
    checkLocks(world, route, scope);
    checkQuery(route, call);
    charge(world, reply, route.budgets?.(call) ?? []);
    if (route.holds !== undefined) {
      await world.clock.sleep(world.latency(route.holds));
      world.settle();
    }
    await send(reply, await route.handle(call));
  }
}

/** Headers of every answer of Resource Manager. */
export function managerHeaders(world: World, request: FastifyRequest): Record<string, string> {
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
  if (request.visit.exchange.provider.toLowerCase() === 'microsoft.network') {
    headers['x-ms-arm-service-request-id'] = world.uuid();
  }
  return headers;
}

// --- Tokens ------------------------------------------------------------------------------------------------------

class TokenReader {
  readonly #world: World;
  /** Signatures are verified once per token; the time is looked at each time. */
  readonly #verified = new Map<string, { caller: Caller; audience: string; complete: boolean }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The caller of the request, or undefined when it brings no token at all. */
  async primary(request: FastifyRequest): Promise<Caller | undefined> {
    const header = request.headers.authorization;
    if (header === undefined) return undefined;
    const token = /^Bearer\s+(\S+)$/i.exec(header)?.[1];
    const known = token === undefined ? undefined : await this.#read(token);
    if (!known) throw unauthenticated('InvalidAuthenticationToken', 'The access token is invalid.');
    const { caller } = known;
    request.visit.exchange.caller = { tenant: caller.tenant, app: caller.app, oid: caller.oid };
    if (!this.#isForUs(known.audience)) {
      const allowed = audiences.flatMap((one) => [`'${one}'`, `'${one.replace(/\/$/, '')}'`]).join(',');
      throw unauthenticated(
        'InvalidAuthenticationTokenAudience',
        `The access token has been obtained for wrong audience or resource '${known.audience}'. It should exactly match with one of the allowed audiences ${allowed}.`,
      );
    }
    if (caller.expires <= Date.now()) throw expired(caller);
    if (!known.complete || !this.#world.principals.has(caller.oid.toLowerCase())) {
      throw unauthenticated(
        'InvalidAuthenticationToken',
        "The received access token is not valid: at least one of the claims 'puid' or 'altsecid' or 'oid' should be present. If you are accessing as application please make sure service principal is properly created in the tenant.",
      );
    }
    return caller;
  }

  /**
   * The auxiliary callers. Documented: at most three, all of the same app, all valid and unexpired, else 401 with the
   * client and tenant ID of the bad one. The exact code and text were not recorded: those here are an assumption.
   */
  async auxiliary(request: FastifyRequest, primary: Caller): Promise<Caller[]> {
    const header = request.headers['x-ms-authorization-auxiliary'];
    if (header === undefined || header === '') return [];
    const parts = String(header).split(',');
    const callers: Caller[] = [];
    const refused = (why: string, caller?: Caller): ArmError =>
      unauthenticated(
        'InvalidAuthenticationToken',
        `The auxiliary token${caller ? ` of client '${caller.app}' and tenant '${caller.tenant}'` : ''} is not valid: ${why}.`,
      );
    for (const part of parts) {
      const token = /^\s*Bearer\s+(\S+)\s*$/i.exec(part)?.[1];
      const known = token === undefined ? undefined : await this.#read(token);
      if (!known) throw refused('it cannot be read; each must be sent as Bearer <token>');
      const { caller } = known;
      callers.push(caller);
      request.visit.exchange.auxiliary = callers.map(({ tenant, app }) => ({ tenant, app }));
      if (callers.length > 3) throw refused('at most three auxiliary tokens are accepted', caller);
      if (caller.expires <= Date.now()) throw refused('it has expired', caller);
      if (!this.#isForUs(known.audience)) throw refused('its audience is wrong', caller);
      if (caller.app !== primary.app) throw refused('it is of another application', caller);
    }
    return callers;
  }

  #isForUs(audience: string): boolean {
    return [...audiences, ...this.#world.tokens.audiences].some((one) => bare(one) === bare(audience));
  }

  async #read(token: string): Promise<{ caller: Caller; audience: string; complete: boolean } | undefined> {
    const cached = this.#verified.get(token);
    if (cached) return cached;
    try {
      const key = (await signingKey('entra')).publicKey;
      const signed = this.#world.tokens.behind.get(token) ?? token;
      // Only the signature: times are judged by the callers, since an expired token has an answer of its own.
      await compactVerify(signed, key, { algorithms: ['RS256'] });
      const payload = decodeJwt(signed);
      const claim = (name: string): string => (typeof payload[name] === 'string' ? payload[name] : '');
      const known = {
        caller: {
          tenant: claim('tid'),
          app: claim('appid'),
          oid: claim('oid'),
          expires: (payload.exp ?? 0) * 1000,
        },
        audience: claim('aud'),
        complete: claim('oid') !== '',
      };
      this.#verified.set(token, known);
      return known;
    } catch {
      return undefined;
    }
  }
}

function unauthenticated(code: string, message: string, authority = ''): ArmError {
  const uri = authority === '' ? '' : `authorization_uri="${authority}", `;
  return new ArmError(401, code, message, {
    gateway: true,
    headers: { 'www-authenticate': `Bearer ${uri}error="invalid_token", error_description="${message}"` },
  });
}

function expired(caller: Caller): ArmError {
  // As .NET writes UTC times for en-US: 3/19/2023 8:55:46 AM.
  const text = (at: number): string =>
    new Date(at).toLocaleString('en-US', { timeZone: 'UTC' }).replace(',', '').replaceAll(' ', ' ');
  return unauthenticated(
    'ExpiredAuthenticationToken',
    `The access token expiry UTC time '${text(caller.expires)}' is earlier than current UTC time '${text(Date.now())}'.`,
  );
}

function bare(audience: string): string {
  return audience.replace(/\/+$/, '').toLowerCase();
}

// --- Where -------------------------------------------------------------------------------------------------------

/** Finds subscription and tenant, and refuses callers without a token or of another tenant. */
function locate(world: World, request: FastifyRequest, caller: Caller | undefined, login: string): Place {
  const asked = params(request)['subscriptionId'];
  const subscription = asked === undefined ? undefined : world.subscriptions.get(asked.toLowerCase());
  if (!caller) {
    // The header names the owning tenant even to strangers; without a subscription, none.
    const authority = `${login}/${subscription?.tenant ?? 'common'}`;
    const refused = unauthenticated(
      'AuthenticationFailed',
      "Authentication failed. The 'Authorization' header is missing.",
      authority,
    );
    if (asked !== undefined && !subscription) throw subscriptionNotFound(asked);
    throw refused;
  }
  if (asked === undefined) {
    const tenant = world.tenants.get(caller.tenant);
    if (!tenant) throw unauthenticated('InvalidAuthenticationToken', 'The access token is invalid.');
    return { caller, subscription: undefined, tenant };
  }
  if (!subscription || subscription.state === 'Deleted') throw subscriptionNotFound(asked);
  const tenant = world.tenants.get(subscription.tenant);
  if (!tenant) throw new Error(`subscription ${asked} is in no tenant of this world`);
  if (caller.tenant !== subscription.tenant && !subscription.managedByTenants.includes(caller.tenant)) {
    const error = `The access token is from the wrong issuer 'https://sts.windows.net/${caller.tenant}/'. It must match the tenant 'https://sts.windows.net/${subscription.tenant}/' associated with this subscription. Please use the authority (URL) 'https://login.windows.net/${subscription.tenant}' to get the token. Note, if the subscription is transferred to another tenant there is no impact to the services, but information about new tenant could take time to propagate (up to an hour). If you just transferred your subscription and see this error message, please try back later.`;
    throw unauthenticated('InvalidAuthenticationTokenTenant', error, `${login}/${subscription.tenant}`);
  }
  return { caller, subscription, tenant };
}

function subscriptionNotFound(asked: string): ArmError {
  return new ArmError(404, 'SubscriptionNotFound', `The subscription '${asked}' could not be found.`, {
    gateway: true,
  });
}

/** Charges Resource Manager's own buckets and reads the auxiliary tokens. */
async function admit(
  world: World,
  request: FastifyRequest,
  tokens: TokenReader,
  place: Place,
  reply: FastifyReply,
): Promise<Caller[]> {
  const { caller } = place;
  const kind = ['GET', 'HEAD'].includes(request.method)
    ? 'reads'
    : request.method === 'DELETE'
      ? 'deletes'
      : 'writes';
  const bucket = managerBuckets[kind];
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

function apiVersionOf(request: FastifyRequest): string {
  const version = request.visit.exchange.apiVersion;
  if (version === undefined || version === '') throw missingApiVersion();
  return version;
}

function missingApiVersion(): ArmError {
  return new ArmError(
    400,
    'MissingApiVersionParameter',
    'The api-version query parameter (?api-version=) is required for all requests.',
    { gateway: true },
  );
}

/**
 * The type that a route speaks for, and by whose versions it goes: the innermost one that the provider lists, so that an
 * action (`…/virtualMachines/:vm/start`) goes by the versions of its resource.
 */
function typeOf(provider: Provider, route: Route): ProviderType {
  const marker = `/providers/${provider.namespace}/`.toLowerCase();
  const at = route.path.toLowerCase().lastIndexOf(marker);
  const literals = (at < 0 ? route.path : route.path.slice(at + marker.length))
    .toLowerCase()
    .split('/')
    .filter((segment) => segment !== '' && !segment.startsWith(':'));
  // Resource Manager's own types need no namespace: /subscriptions, …/resourceGroups/:resourceGroup, …/providers/:namespace/register.
  const named = ({ name }: ProviderType): boolean =>
    at < 0
      ? literals.includes(name.toLowerCase())
      : `${literals.join('/')}/`.startsWith(`${name.toLowerCase()}/`);
  const depth = ({ name }: ProviderType): number =>
    at < 0 ? literals.lastIndexOf(name.toLowerCase()) : name.split('/').length;
  const [found] = provider.types.filter(named).toSorted((a, b) => depth(b) - depth(a));
  if (found === undefined) throw new Error(`no type of ${provider.namespace} for ${route.path}`);
  return found;
}

function checkApiVersion(version: string, provider: Provider, type: ProviderType): void {
  if (type.apiVersions.some((one) => one.toLowerCase() === version.toLowerCase())) return;
  // How Azure words the refusal of a version that it does not have was not recorded.
  if (/^\d{4}-\d{2}-\d{2}(-[a-z]+)?$/i.test(version)) {
    throw unknown(`api-version ${version} of ${provider.namespace}/${type.name}`);
  }
  const supported = [...new Set(provider.types.flatMap((type) => type.apiVersions))].join(',');
  throw new ArmError(
    400,
    'InvalidApiVersionParameter',
    `The api-version '${version}' is invalid. The supported versions are '${supported}'.`,
    { gateway: true },
  );
}

/** Azure gives an option a meaning, or ignores it: which of the two is not known of those that no handler reads. */
function checkQuery(route: Route, call: Call): void {
  const other = Object.keys(call.query).find(
    (name) => name !== 'api-version' && !route.query?.includes(name),
  );
  if (other !== undefined) throw unknown(`query option ${other}=${call.query[other]} of ${route.kind}`);
}

// --- What --------------------------------------------------------------------------------------------------------

function parseBody(request: FastifyRequest): Json {
  if (typeof request.body !== 'string' || request.body === '') return {};
  let body: unknown;
  try {
    body = JSON.parse(request.body);
  } catch (error) {
    throw new ArmError(
      400,
      'InvalidRequestContent',
      `The request content was invalid and could not be deserialized: '${error instanceof Error ? error.message : 'not JSON'}'.`,
      { gateway: true },
    );
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ArmError(
      400,
      'InvalidRequestContent',
      'The request content was invalid: an object is expected.',
      {
        gateway: true,
      },
    );
  }
  return body;
}

function resourceIdOf(route: Route, values: Readonly<Record<string, string>>): string {
  return route.path
    .split('/')
    .map((segment) => (segment.startsWith(':') ? (values[segment.slice(1)] ?? '') : segment))
    .join('/');
}

// --- Rights and states -------------------------------------------------------------------------------------------

function authorizationFailed(caller: Caller, action: string, scope: string): ArmError {
  return new ArmError(
    403,
    'AuthorizationFailed',
    `The client '${caller.app}' with object id '${caller.oid}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    { gateway: true },
  );
}

function isWrite(route: Route): boolean {
  return route.method !== 'GET' && route.method !== 'HEAD';
}

function checkState(route: Route, subscription: Subscription): void {
  if (!isWrite(route) || subscription.state === 'Enabled') return;
  throw new ArmError(
    409,
    'ReadOnlyDisabledSubscription',
    `The subscription '${subscription.id}' is disabled and therefore marked as read only. You cannot perform any write actions on this subscription until it is re-enabled.`,
    { gateway: true },
  );
}

function checkRegistration(route: Route, provider: Provider, subscription: Subscription): void {
  if (route.needsRegistration === false || !isWrite(route)) return;
  const namespace = provider.namespace.toLowerCase();
  if (alwaysRegistered.includes(namespace) || subscription.providers.get(namespace) === 'Registered') return;
  const message = `The subscription is not registered to use namespace '${provider.namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions.`;
  throw new ArmError(409, 'MissingSubscriptionRegistration', message, {
    gateway: true,
    details: [{ code: 'MissingSubscriptionRegistration', target: provider.namespace, message }],
  });
}

function checkGroup(world: World, route: Route, subscription: Subscription, call: Call): void {
  const name = call.params['resourceGroup'];
  if (name === undefined || route.needsGroup === false) return;
  const group = world.group(subscription.id, name);
  if (!group) {
    throw new ArmError(404, 'ResourceGroupNotFound', `Resource group '${name}' could not be found.`, {
      gateway: true,
    });
  }
  if (group.provisioningState === 'Deleting' && ['PUT', 'PATCH'].includes(route.method)) {
    throw new ArmError(
      409,
      'ResourceGroupBeingDeleted',
      `The resource group '${name}' is in deprovisioning state and cannot perform this operation.`,
      { gateway: true },
    );
  }
}

/**
 * Every resource that the body refers to is asked too: in the caller's own tenant with the primary token, in another
 * one with the auxiliary token of that tenant.
 */
function checkLinks(world: World, route: Route, call: Call, action: string, scope: string): void {
  const refused = (message: string): ArmError =>
    new ArmError(403, 'LinkedAuthorizationFailed', message, { gateway: true });
  for (const link of route.linked?.(call) ?? []) {
    const id = subscriptionOf(link.id);
    if (id === undefined) {
      // Recorded for an identity, with an empty path.
      throw new ArmError(
        400,
        'LinkedInvalidPropertyId',
        `Property id '${link.id}' at path '' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
        { gateway: true },
      );
    }
    const subscription = world.subscriptions.get(id);
    const start = `The client has permission to perform action '${link.action}' on scope '${scope}', however the`;
    if (!subscription) throw refused(`${start} linked subscription '${id}' was not found. `);
    const speaker =
      subscription.tenant === call.caller.tenant
        ? call.caller
        : call.auxiliary.find((one) => one.tenant === subscription.tenant);
    if (!speaker) {
      throw refused(
        `${start} current tenant '${call.caller.tenant}' is not authorized to access linked subscription '${subscription.id}'.`,
      );
    }
    if (!mayDo(world, speaker.oid, link.action, link.id)) {
      throw refused(
        `The client '${speaker.app}' with object id '${speaker.oid}' has permission to perform action '${action}' on scope '${scope}'; however, it does not have permission to perform action '${link.action}' on the linked scope(s) '${link.id}' or the linked scope(s) are invalid.`,
      );
    }
  }
}

function checkLocks(world: World, route: Route, scope: string): void {
  if (!isWrite(route)) return;
  const isDelete = route.method === 'DELETE';
  const locked = world.locks.filter((lock) =>
    isDelete
      ? // A lock on something inside stops the deletion of what is around it.
        isWithin(scope, lock.scope) || isWithin(lock.scope, scope)
      : lock.level === 'ReadOnly' && isWithin(scope, lock.scope),
  );
  if (locked.length === 0) return;
  const scopes = locked.map((lock) => `'${lock.scope}'`).join(',');
  throw new ArmError(
    409,
    'ScopeLocked',
    `The scope '${scope}' cannot perform ${isDelete ? 'delete' : 'write'} operation because following scope(s) are locked: ${scopes}. Please remove the lock and try again.`,
    { gateway: true },
  );
}

/** Takes one token of each bucket and shows what is left, or refuses in Compute's words. */
function charge(world: World, reply: FastifyReply, budgets: readonly Budget[]): void {
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

// --- Answers -----------------------------------------------------------------------------------------------------

async function send(reply: FastifyReply, answer: Answer): Promise<void> {
  reply.code(answer.status).headers({ ...answer.headers });
  if (answer.body === undefined) await reply.send();
  else await sendJson(reply, answer.body);
}

function params(request: FastifyRequest): Readonly<Record<string, string>> {
  return request.params as Record<string, string>;
}

/** A fault of the simulator itself: loud, and not one that clients send again. */
function broken(thrown: unknown): ArmError {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  process.stderr.write(`simulator: ${text}\n`);
  return new ArmError(501, 'SimulatorBroken', text);
}
