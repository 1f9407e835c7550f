/** A TLS listener: fastify, the journal's entry for each request, and injected faults. */
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Exchange } from '../engine/journal.ts';
import type { InjectedOperation } from '../engine/operations.ts';
import type { World } from '../world/world.ts';
import { tlsIdentity } from './keys.ts';

/** The simulator's data about a request in progress. */
export interface RequestState {
  readonly exchange: Exchange;
  /** Set by a fault: how the operation that this request starts is polled and ends. */
  readonly operation: InjectedOperation;
  /** Set by a fault: changes the body of the answer. */
  changeAnswer: ((body: unknown) => void) | undefined;
  /** Set by a fault: the request is handled but not answered. */
  drop: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    state: RequestState;
  }
}

export interface Listener {
  /** `https://localhost:port`. */
  readonly origin: string;
  close(): Promise<void>;
}

export interface ListenerOptions {
  readonly world: World;
  readonly host: Exchange['host'];
  /** 0: any free port. */
  readonly port: number;
  /** Body for a fault that sets only an error code. */
  errorBody(code: string, message: string): unknown;
  /** Headers of every answer of this host. */
  headers(request: FastifyRequest): Record<string, string>;
  routes(app: FastifyInstance, origin: () => string): void | Promise<void>;
}

const pollPath = /\/(operations|operationresults|diskoperations|capsoperations)\/[^/]+$/i;

export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { world, host } = options;
  const tls = await tlsIdentity();
  const app = Fastify({
    // Room for four tokens of 1 to 2 KB, or a poll URL of 2 to 3 KB.
    https: { key: tls.key, cert: tls.certificate, maxHeaderSize: 65_536 },
    // Resource Manager ignores the case of paths. The job IDs in poll paths are long.
    routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, maxParamLength: 4096 },
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    bodyLimit: 4 * 1024 * 1024,
  });
  let origin = '';

  app.removeAllContentTypeParsers();
  // Clients send `application/json` with an empty body on DELETE and POST; providers check the body.
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body);
  });

  app.decorateRequest('state');
  app.addHook('onRequest', async (request) => {
    world.settle();
    request.state = {
      exchange: startExchange(world, host, request),
      operation: {},
      changeAnswer: undefined,
      drop: false,
    };
  });
  // After the body was read: a delayed request is then handled even if the client disconnects.
  app.addHook('preHandler', async (request, reply) => {
    await applyFaults(world, options, request, reply);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    for (const [name, value] of Object.entries(options.headers(request))) {
      if (!reply.hasHeader(name)) reply.header(name, value);
    }
    const { exchange, changeAnswer, drop } = request.state;
    exchange.status = reply.statusCode;
    exchange.endedAt = world.clock.wall();
    exchange.responseHeaders = flatten(reply.getHeaders());
    if (exchange.status >= 400) exchange.code ??= errorCodeOf(payload);
    if (drop) request.raw.socket.destroy();
    return changeAnswer && reply.statusCode < 300 ? changedAnswer(payload, changeAnswer) : payload;
  });
  // A TLS handshake that a client gave up would delay the close by its timeout of two minutes.
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await options.routes(app, () => origin);
  // `localhost` may resolve to IPv4 or IPv6 first; the certificate covers both.
  await app.listen({ host: 'localhost', port: options.port });
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('the listener has no port');
  origin = `https://localhost:${address.port}`;
  return {
    origin,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await app.close();
    },
  };
}

function startExchange(world: World, host: Exchange['host'], request: FastifyRequest): Exchange {
  const [path, search] = splitUrl(request.raw.url ?? '');
  const query: Record<string, string> = {};
  // Resource Manager's providers do not read a plus sign as a space.
  for (const [name, value] of new URLSearchParams(search.replaceAll('+', '%2B'))) {
    query[name.toLowerCase()] = name === 'c' || name === 's' || name === 'h' ? '<cut>' : value;
  }
  const decoded = decode(path);
  const exchange: Exchange = {
    at: world.clock.wall(),
    endedAt: Number.NaN,
    host,
    method: request.method,
    path: decoded,
    query,
    apiVersion: query['api-version'],
    provider:
      host === 'arm' ? (/\/providers\/([^/]+)(?!.*\/providers\/)/i.exec(decoded)?.[1] ?? 'Microsoft.Resources') : host,
    caller: undefined,
    auxiliary: [],
    requestHeaders: flatten(request.headers, ['authorization', 'x-ms-authorization-auxiliary', 'cookie']),
    requestBody: undefined,
    status: 0,
    responseHeaders: {},
    code: undefined,
    isPoll: host === 'arm' && request.method === 'GET' && pollPath.test(decoded),
    kind: 'unknown',
    faulted: false,
  };
  world.journal.add(exchange);
  return exchange;
}

async function applyFaults(
  world: World,
  options: ListenerOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const { state } = request;
  const { exchange } = state;
  const effects = world.faults.apply({
    host: options.host,
    method: exchange.method,
    url: decode(request.raw.url ?? ''),
    isPoll: exchange.isPoll,
  });
  for (const effect of effects) {
    exchange.faulted = true;
    if ('reset' in effect) {
      reply.hijack();
      request.raw.socket.destroy();
      return;
    }
    if ('delaySeconds' in effect) {
      await new Promise((resolve) => setTimeout(resolve, effect.delaySeconds * 1000));
      world.settle();
    } else if ('onArrival' in effect) {
      await effect.onArrival(exchange);
      world.settle();
    } else if ('dropAfterCommit' in effect) {
      state.drop = true;
    } else if ('changeAnswer' in effect) {
      state.changeAnswer = effect.changeAnswer;
    } else if ('operationFails' in effect) {
      state.operation.failure = effect.operationFails;
    } else if ('operationStyle' in effect) {
      state.operation.style = effect.operationStyle;
    } else {
      const body =
        effect.body ?? (effect.code === undefined ? undefined : options.errorBody(effect.code, effect.message ?? ''));
      exchange.kind = 'fault';
      reply.code(effect.status).headers({ ...effect.headers });
      if (body === undefined) await reply.send();
      else if (typeof body === 'string') await reply.send(body);
      else await sendJson(reply, body);
      return;
    }
  }
}

/** Sends JSON with Azure's charset, without fastify's additions. */
export async function sendJson(reply: FastifyReply, body: unknown): Promise<void> {
  await reply.header('content-type', 'application/json; charset=utf-8').send(JSON.stringify(body));
}

/** Path and query of a request's URL. */
export function splitUrl(url: string): [string, string] {
  const mark = url.indexOf('?');
  return mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}

/** Decodes percent-encoding; returns malformed text unchanged. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function flatten(headers: Record<string, unknown>, without: readonly string[] = []): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || without.includes(name)) continue;
    const text = Array.isArray(value) ? value.join(', ') : `${value as string | number}`;
    // Signatures of poll URLs; their certificate would make up most of the journal.
    flat[name] = text.replace(/([?&][csh]=)[^&]*/g, '$1<cut>');
  }
  return flat;
}

function changedAnswer(payload: unknown, change: (body: unknown) => void): string {
  const body: unknown = JSON.parse(String(payload));
  change(body);
  return JSON.stringify(body);
}

function errorCodeOf(payload: unknown): string | undefined {
  if (typeof payload !== 'string') return undefined;
  try {
    const body = JSON.parse(payload);
    const description =
      typeof body.error_description === 'string' ? /^AADSTS\d+/.exec(body.error_description)?.[0] : undefined;
    return description ?? body.error?.code ?? body.code ?? (typeof body.error === 'string' ? body.error : undefined);
  } catch {
    return undefined;
  }
}
