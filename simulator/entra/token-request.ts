import type { FastifyReply, FastifyRequest } from 'fastify';
import { signToken } from '../http/keys.ts';
import { sendJson } from '../http/listener.ts';
import { audiences } from '../http/metadata.ts';
import type { App, Principal, Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';
import { authenticateClient } from './client-credential.ts';
import { EntraError } from './entra-error.ts';

/**
 * Answers a client-credentials request.
 *
 * @throws EntraError as the token endpoint words it.
 */
export async function issueToken(
  world: World,
  origin: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const form = new URLSearchParams(typeof request.body === 'string' ? request.body : '');
  const tenant = findTenant(world, request, 'invalid_request');
  const clientId = (form.get('client_id') ?? '').toLowerCase();
  request.state.exchange.caller = { tenant: tenant.id, app: clientId, oid: '' };
  const grant = form.get('grant_type');
  if (grant !== 'client_credentials') {
    throw new EntraError(
      400,
      'unsupported_grant_type',
      70003,
      `The app requested an unsupported grant type '${grant ?? ''}'.`,
    );
  }
  const { app, principal } = findClient(world, tenant, clientId);
  const resource = requestedResource(world, form.get('scope') ?? '', tenant);
  const credential = await authenticateClient({ world, origin, tenant, app }, form);
  const now = Math.floor(Date.now() / 1000);
  const lifetime = world.tokens.lifetimeSeconds;
  const token = await signToken('entra', {
    aud: resource,
    iss: `https://sts.windows.net/${tenant.id}/`,
    iat: now,
    nbf: now,
    exp: now + lifetime,
    appid: clientId,
    appidacr: credential === 'secret' ? '1' : '2',
    idp: `https://sts.windows.net/${tenant.id}/`,
    idtyp: 'app',
    oid: principal.oid,
    sub: principal.oid,
    tid: tenant.id,
    uti: world.uuid(),
    ver: '1.0',
    ...world.tokens.claims.get(tenant.id),
  });
  request.state.exchange.caller = { tenant: tenant.id, app: clientId, oid: principal.oid };
  await sendJson(reply, {
    token_type: 'Bearer',
    expires_in: lifetime,
    ext_expires_in: lifetime,
    access_token: world.tokens.opaque ? toOpaqueToken(world, token) : token,
  });
}

function findClient(world: World, tenant: Tenant, clientId: string): { app: App; principal: Principal } {
  const app = world.apps.get(clientId);
  const principal = world.servicePrincipal(clientId, tenant.id);
  if (app && principal) return { app, principal };
  // The home tenant has the app registration even after its service principal was deleted.
  if (app && app.homeTenant.toLowerCase() === tenant.id) {
    throw new EntraError(
      401,
      'invalid_client',
      7000229,
      `The client application ${clientId} is missing service principal in the tenant ${tenant.id}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119`,
    );
  }
  throw new EntraError(
    400,
    'unauthorized_client',
    700016,
    `Application with identifier '${clientId}' was not found in the directory '${tenant.displayName}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.`,
  );
}

function toOpaqueToken(world: World, token: string): string {
  const opaque = `sealed-${world.uuid()}`;
  world.tokens.opaqueTokens.set(opaque, token);
  return opaque;
}

export function findTenant(world: World, request: FastifyRequest, error: string): Tenant {
  const name = (request.params as Record<string, string>)['tenant'] ?? '';
  const tenant = world.tenant(name);
  if (tenant) return tenant;
  const isGuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(name);
  const isDomain = /^([a-z0-9-]+\.)+[a-z]{2,}$/i.test(name);
  if (!isGuid && !isDomain) {
    throw new EntraError(
      400,
      error,
      900023,
      `Specified tenant identifier '${name}' is neither a valid DNS name, nor a valid external domain.`,
    );
  }
  throw new EntraError(
    400,
    error,
    90002,
    `Tenant '${name}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.`,
  );
}

/** The resource of a `…/.default` scope. Only Resource Manager's audiences are registered. */
function requestedResource(world: World, scope: string, tenant: Tenant): string {
  const scopes = scope.split(' ').filter((name) => !['openid', 'profile', 'offline_access'].includes(name));
  const first = scopes[0] ?? '';
  if (scopes.length !== 1 || !first.endsWith('/.default')) {
    throw new EntraError(
      400,
      'invalid_scope',
      1002012,
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
    );
  }
  const resource = first.slice(0, -'/.default'.length);
  const known = [...audiences, ...world.tokens.audiences].find(
    (audience) => withoutSlash(audience) === withoutSlash(resource),
  );
  if (known === undefined) {
    throw new EntraError(
      400,
      'invalid_resource',
      500011,
      `The resource principal named ${resource} was not found in the tenant named ${tenant.displayName}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.`,
    );
  }
  return resource;
}

function withoutSlash(text: string): string {
  return text.replace(/\/+$/, '').toLowerCase();
}
