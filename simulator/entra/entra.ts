/** Microsoft Entra ID: discovery, signing keys and the token endpoint, with AADSTS errors in Entra's envelope. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { signingKey } from '../http/keys.ts';
import { sendJson } from '../http/listener.ts';
import type { Json } from '../model/contract.ts';
import type { Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';
import { EntraError } from './entra-error.ts';
import { findTenant, issueToken } from './token-request.ts';

/** Issuer of GitHub's ID tokens. GitHub Enterprise Server has its own issuer; all are signed with `signingKey('github')`. */
export const githubIssuer = 'https://token.actions.githubusercontent.com';

/** Registers Entra's routes. */
export function registerEntraRoutes(app: FastifyInstance, world: World): void {
  app.setErrorHandler(async (thrown, request, reply) => {
    const error =
      thrown instanceof EntraError
        ? thrown
        : new EntraError(500, 'server_error', 90033, `A transient error has occurred. ${String(thrown)}`);
    request.state.exchange.code = `AADSTS${error.code}`;
    const correlation = header(request, 'client-request-id') ?? world.uuid();
    const body = error.body(correlation, String(reply.getHeader('x-ms-request-id') ?? world.uuid()));
    await sendJson(reply.code(error.status), body);
  });
  app.setNotFoundHandler(async (request, reply) => {
    request.state.exchange.kind = 'unknown';
    await sendJson(reply.code(501), {
      error: 'simulator_unknown',
      error_description: `The simulator does not know: ${request.method} ${request.url.split('?')[0]} of Entra.`,
    });
  });

  app.get('/:tenant/v2.0/.well-known/openid-configuration', async (request, reply) => {
    request.state.exchange.kind = 'entra.discovery';
    // Recorded: for an unknown tenant, discovery answers invalid_tenant and the token endpoint invalid_request.
    const tenant = findTenant(world, request, 'invalid_tenant');
    await sendJson(reply, openIdConfiguration(tenant, originOf(request)));
  });

  app.get('/common/discovery/instance', async (request, reply) => {
    request.state.exchange.kind = 'entra.instance';
    const { host } = new URL(originOf(request));
    const endpoint = (request.query as Record<string, string>)['authorization_endpoint'] ?? '';
    const tenant = /^https:\/\/[^/]+\/([^/]+)/.exec(endpoint)?.[1] ?? 'common';
    await sendJson(reply, {
      tenant_discovery_endpoint: `${originOf(request)}/${tenant}/v2.0/.well-known/openid-configuration`,
      'api-version': '1.1',
      metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }],
    });
  });

  app.get('/:tenant/discovery/v2.0/keys', async (request, reply) => {
    request.state.exchange.kind = 'entra.keys';
    await sendJson(reply, { keys: [(await signingKey('entra')).jwk] });
  });

  app.post('/:tenant/oauth2/v2.0/token', async (request, reply) => {
    request.state.exchange.kind = 'entra.token';
    if (world.tokens.delaySeconds > 0) {
      await new Promise((resolve) => setTimeout(resolve, world.tokens.delaySeconds * 1000));
    }
    await issueToken(world, originOf(request), request, reply);
  });
}

/** Headers of every answer of Entra. */
export function entraHeaders(world: World, request: FastifyRequest): Record<string, string> {
  const headers: Record<string, string> = {
    'cache-control': 'no-store, no-cache',
    pragma: 'no-cache',
    'x-ms-request-id': world.uuid(),
    'x-ms-ests-server': '2.1.22100.4 - WEULR1 ProdSlices',
    'strict-transport-security': 'max-age=31536000; includeSubDomains',
    'x-content-type-options': 'nosniff',
  };
  const client = header(request, 'client-request-id');
  if (client !== undefined) headers['client-request-id'] = client;
  return headers;
}

function openIdConfiguration(tenant: Tenant, origin: string): Json {
  const base = `${origin}/${tenant.id}`;
  return {
    token_endpoint: `${base}/oauth2/v2.0/token`,
    token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt', 'client_secret_basic'],
    jwks_uri: `${base}/discovery/v2.0/keys`,
    response_modes_supported: ['query', 'fragment', 'form_post'],
    subject_types_supported: ['pairwise'],
    id_token_signing_alg_values_supported: ['RS256'],
    response_types_supported: ['code', 'id_token', 'code id_token', 'id_token token'],
    scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
    issuer: `${base}/v2.0`,
    request_uri_parameter_supported: false,
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
    device_authorization_endpoint: `${base}/oauth2/v2.0/devicecode`,
    http_logout_supported: true,
    end_session_endpoint: `${base}/oauth2/v2.0/logout`,
    tenant_region_scope: 'EU',
    cloud_instance_name: 'simulator.localhost',
  };
}

/** The origin that the client used: a proxy may redirect other host names, such as a cloud's own, to this listener. */
function originOf(request: FastifyRequest): string {
  return `https://${request.headers.host}`;
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
