/**
 * Entra ID: discovery and the token endpoint (client credentials with secret, certificate or federated assertion), with
 * the AADSTS errors in their real envelope.
 */
import { X509Certificate } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { compactVerify, decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose';
import { signingKey, signToken } from '../http/keys.ts';
import { sendJson } from '../http/listener.ts';
import { audiences } from '../http/metadata.ts';
import type { Json } from '../model/contract.ts';
import type { App, Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';

/** Issuer of GitHub's ID tokens. GitHub Enterprise Server has others; the key of all of them is `signingKey('github')`. */
export const githubIssuer = 'https://token.actions.githubusercontent.com';

const learnMore =
  'https://docs.microsoft.com/en-us/azure/active-directory/develop/workload-identity-federation';
const certificateDocs =
  'https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials';

/** A refusal of Entra, thrown by the checks and by scenarios that need its envelope. */
export class EntraError extends Error {
  readonly status: number;
  readonly error: string;
  readonly code: number;

  constructor(status: number, error: string, code: number, message: string) {
    super(message);
    this.status = status;
    this.error = error;
    this.code = code;
  }

  /** The body as Entra writes it: the text ends in trace ID, correlation ID and time. */
  body(correlationId: string, traceId: string): Json {
    const timestamp = `${new Date().toISOString().slice(0, 19).replace('T', ' ')}Z`;
    return {
      error: this.error,
      error_description: `AADSTS${this.code}: ${this.message}\r\nTrace ID: ${traceId}\r\nCorrelation ID: ${correlationId}\r\nTimestamp: ${timestamp}`,
      error_codes: [this.code],
      timestamp,
      trace_id: traceId,
      correlation_id: correlationId,
      error_uri: `https://login.microsoftonline.com/error?code=${this.code}`,
    };
  }
}

/** Declares Entra's routes. */
export function entra(app: FastifyInstance, world: World): void {
  app.setErrorHandler(async (thrown, request, reply) => {
    const error =
      thrown instanceof EntraError
        ? thrown
        : new EntraError(500, 'server_error', 90033, `A transient error has occurred. ${String(thrown)}`);
    request.visit.exchange.code = `AADSTS${error.code}`;
    const correlation = header(request, 'client-request-id') ?? world.uuid();
    const body = error.body(correlation, String(reply.getHeader('x-ms-request-id') ?? world.uuid()));
    await sendJson(reply.code(error.status), body);
  });
  app.setNotFoundHandler(async (request, reply) => {
    request.visit.exchange.kind = 'unknown';
    await sendJson(reply.code(501), {
      error: 'simulator_unknown',
      error_description: `The simulator does not know: ${request.method} ${request.url.split('?')[0]} of Entra.`,
    });
  });

  app.get('/:tenant/v2.0/.well-known/openid-configuration', async (request, reply) => {
    request.visit.exchange.kind = 'entra.discovery';
    // Discovery words the unknown tenant as invalid_tenant, the token endpoint as invalid_request (recorded).
    const tenant = findTenant(world, request, 'invalid_tenant');
    await sendJson(reply, openIdConfiguration(tenant, originOf(request)));
  });

  app.get('/common/discovery/instance', async (request, reply) => {
    request.visit.exchange.kind = 'entra.instance';
    const { host } = new URL(originOf(request));
    const asked = (request.query as Record<string, string>)['authorization_endpoint'] ?? '';
    const tenant = /^https:\/\/[^/]+\/([^/]+)/.exec(asked)?.[1] ?? 'common';
    await sendJson(reply, {
      tenant_discovery_endpoint: `${originOf(request)}/${tenant}/v2.0/.well-known/openid-configuration`,
      'api-version': '1.1',
      metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }],
    });
  });

  app.get('/:tenant/discovery/v2.0/keys', async (request, reply) => {
    request.visit.exchange.kind = 'entra.keys';
    await sendJson(reply, { keys: [(await signingKey('entra')).jwk] });
  });

  app.post('/:tenant/oauth2/v2.0/token', async (request, reply) => {
    request.visit.exchange.kind = 'entra.token';
    if (world.tokens.delaySeconds > 0) {
      await new Promise((resolve) => setTimeout(resolve, world.tokens.delaySeconds * 1000));
    }
    const form = new URLSearchParams(typeof request.body === 'string' ? request.body : '');
    await issue(world, originOf(request), request, reply, form);
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

async function issue(
  world: World,
  origin: string,
  request: FastifyRequest,
  reply: FastifyReply,
  form: URLSearchParams,
): Promise<void> {
  const tenant = findTenant(world, request, 'invalid_request');
  const clientId = (form.get('client_id') ?? '').toLowerCase();
  request.visit.exchange.caller = { tenant: tenant.id, app: clientId, oid: '' };
  const grant = form.get('grant_type');
  if (grant !== 'client_credentials') {
    throw new EntraError(
      400,
      'unsupported_grant_type',
      70003,
      `The app requested an unsupported grant type '${grant ?? ''}'.`,
    );
  }
  const registration = world.apps.get(clientId);
  const principal = world.servicePrincipal(clientId, tenant.id);
  if (!registration || !principal) {
    // The home tenant knows the registration even when its service principal was deleted.
    if (registration && registration.homeTenant.toLowerCase() === tenant.id) {
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
  const resource = resourceOf(world, form.get('scope') ?? '', tenant);
  const proof = await prove(world, origin, tenant, registration, form);
  const now = Math.floor(Date.now() / 1000);
  const lifetime = world.tokens.lifetimeSeconds;
  const token = await signToken('entra', {
    aud: resource,
    iss: `https://sts.windows.net/${tenant.id}/`,
    iat: now,
    nbf: now,
    exp: now + lifetime,
    appid: clientId,
    appidacr: proof === 'secret' ? '1' : '2',
    idp: `https://sts.windows.net/${tenant.id}/`,
    idtyp: 'app',
    oid: principal.oid,
    sub: principal.oid,
    tid: tenant.id,
    uti: world.uuid(),
    ver: '1.0',
    ...world.tokens.claims.get(tenant.id),
  });
  request.visit.exchange.caller = { tenant: tenant.id, app: clientId, oid: principal.oid };
  await sendJson(reply, {
    token_type: 'Bearer',
    expires_in: lifetime,
    ext_expires_in: lifetime,
    access_token: world.tokens.opaque ? sealed(world, token) : token,
  });
}

function sealed(world: World, token: string): string {
  const opaque = `sealed-${world.uuid()}`;
  world.tokens.behind.set(opaque, token);
  return opaque;
}

function findTenant(world: World, request: FastifyRequest, error: string): Tenant {
  const asked = (request.params as Record<string, string>)['tenant'] ?? '';
  const tenant = world.tenant(asked);
  if (tenant) return tenant;
  const isGuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(asked);
  const isDomain = /^([a-z0-9-]+\.)+[a-z]{2,}$/i.test(asked);
  if (!isGuid && !isDomain) {
    throw new EntraError(
      400,
      error,
      900023,
      `Specified tenant identifier '${asked}' is neither a valid DNS name, nor a valid external domain.`,
    );
  }
  throw new EntraError(
    400,
    error,
    90002,
    `Tenant '${asked}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.`,
  );
}

/** The resource of a `…/.default` scope; only Resource Manager's audiences are known here. */
function resourceOf(world: World, scope: string, tenant: Tenant): string {
  const asked = scope.split(' ').filter((one) => !['openid', 'profile', 'offline_access'].includes(one));
  const first = asked[0] ?? '';
  if (asked.length !== 1 || !first.endsWith('/.default')) {
    throw new EntraError(
      400,
      'invalid_scope',
      1002012,
      `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`,
    );
  }
  const resource = first.slice(0, -'/.default'.length);
  const known = [...audiences, ...world.tokens.audiences].find(
    (one) => withoutSlash(one) === withoutSlash(resource),
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

/** Checks the credential that the client presents, and says which kind it was. */
async function prove(
  world: World,
  origin: string,
  tenant: Tenant,
  app: App,
  form: URLSearchParams,
): Promise<'secret' | 'certificate' | 'federated'> {
  const secret = form.get('client_secret');
  const assertion = form.get('client_assertion');
  if (assertion !== null) {
    const claims = claimsOf(assertion);
    if (claims.iss === app.clientId && claims.sub === app.clientId) {
      await proveCertificate(origin, tenant, app, assertion, claims);
      return 'certificate';
    }
    await proveFederated(world, app, assertion, claims);
    return 'federated';
  }
  if (secret === null || secret === '') {
    throw new EntraError(
      401,
      'invalid_client',
      7000218,
      "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    );
  }
  const known = app.secrets.find((one) => one.value === secret);
  if (!known) {
    throw new EntraError(
      401,
      'invalid_client',
      7000215,
      `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${app.clientId}'.`,
    );
  }
  if (known.expires !== undefined && known.expires < Date.now()) {
    throw new EntraError(
      401,
      'invalid_client',
      7000222,
      `The provided client secret keys for app '${app.clientId}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.`,
    );
  }
  return 'secret';
}

function claimsOf(assertion: string): JWTPayload {
  try {
    return decodeJwt(assertion);
  } catch {
    throw new EntraError(401, 'invalid_client', 50027, 'JWT token is invalid or malformed.');
  }
}

function checkTimes(claims: JWTPayload): void {
  const now = Date.now() / 1000;
  // Entra grants five minutes of skew to a start in the future, none to an end in the past.
  if ((claims.exp ?? 0) > now && (claims.nbf ?? claims.iat ?? 0) <= now + 300) return;
  const text = (seconds: number | undefined): string =>
    new Date((seconds ?? 0) * 1000).toISOString().replace(/\.\d+Z$/, '.0000000Z');
  throw new EntraError(
    401,
    'invalid_client',
    700024,
    `Client assertion is not within its valid time range. Current time: ${new Date().toISOString().replace('Z', '0000Z')}, assertion valid from ${text(claims.nbf ?? claims.iat)}, expiry time of assertion ${text(claims.exp)}. Review the documentation at ${certificateDocs} .`,
  );
}

async function proveCertificate(
  origin: string,
  tenant: Tenant,
  app: App,
  assertion: string,
  claims: JWTPayload,
): Promise<void> {
  const head = decodeProtectedHeader(assertion);
  const certificate = app.certificates
    .map((pem) => new X509Certificate(pem))
    .find((one) => {
      const sha1 = Buffer.from(one.fingerprint.replaceAll(':', ''), 'hex').toString('base64url');
      const sha256 = Buffer.from(one.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
      return head.x5t === sha1 || head['x5t#S256'] === sha256;
    });
  const refused = (reason: string): EntraError =>
    new EntraError(
      401,
      'invalid_client',
      700027,
      `The certificate with identifier used to sign the client assertion is not registered on application. [Reason - ${reason}]`,
    );
  if (!certificate) throw refused('The key was not found.');
  if (Date.parse(certificate.validTo) < Date.now()) throw refused('The key used is expired.');
  try {
    await compactVerify(assertion, certificate.publicKey, { algorithms: ['RS256', 'PS256'] });
  } catch {
    throw refused('The key was not found.');
  }
  const audience = String(claims.aud ?? '');
  const names = [tenant.id, tenant.domain.toLowerCase()];
  const accepted = names.flatMap((name) => [
    `${origin}/${name}/oauth2/v2.0/token`,
    `${origin}/${name}/v2.0`,
    `${origin}/${name}/oauth2/token`,
  ]);
  if (!accepted.includes(audience.toLowerCase())) {
    throw new EntraError(
      401,
      'invalid_client',
      700023,
      `Client assertion audience claim does not match Realm issuer. Review the documentation at ${certificateDocs} .`,
    );
  }
  checkTimes(claims);
}

async function proveFederated(world: World, app: App, assertion: string, claims: JWTPayload): Promise<void> {
  const issuer = claims.iss ?? '';
  const subject = claims.sub ?? '';
  const presented = Array.isArray(claims.aud) ? claims.aud : [claims.aud ?? ''];
  const refused = (code: number, what: string, value: string): EntraError =>
    new EntraError(
      401,
      'invalid_client',
      code,
      `No matching federated identity record found for presented assertion ${what} '${value}'. Please check your federated identity credential Subject, Audience and Issuer against the presented assertion. ${learnMore}`,
    );
  if (world.tokens.federation === 'legacy' && !matches(app, issuer, subject, presented)) {
    throw new EntraError(
      400,
      'invalid_request',
      70021,
      `No matching federated identity record found for presented assertion. Assertion Issuer: '${issuer}'. Assertion Subject: '${subject}'. Assertion Audience: '${presented[0] ?? ''}'. ${learnMore}`,
    );
  }
  const ofIssuer = app.federatedCredentials.filter((one) => one.issuer === issuer);
  if (ofIssuer.length === 0) throw refused(700211, 'issuer', issuer);
  // Subjects are compared with case: a repository renamed in case only is not found either.
  const ofSubject = ofIssuer.filter((one) => one.subject === subject);
  if (ofSubject.length === 0) throw refused(700213, 'subject', subject);
  if (!ofSubject.some((one) => one.audiences.some((audience) => presented.includes(audience)))) {
    throw refused(700212, 'audience', presented[0] ?? '');
  }
  checkTimes(claims);
  try {
    await compactVerify(assertion, (await signingKey('github')).publicKey, { algorithms: ['RS256'] });
  } catch {
    throw new EntraError(
      401,
      'invalid_client',
      50013,
      'Assertion failed signature validation. [Reason - The key was not found.]',
    );
  }
}

function matches(app: App, issuer: string, subject: string, presented: readonly string[]): boolean {
  return app.federatedCredentials.some(
    (one) =>
      one.issuer === issuer &&
      one.subject === subject &&
      one.audiences.some((audience) => presented.includes(audience)),
  );
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

/** As the client names us: a proxy may lead other names here, such as those of the clouds. */
function originOf(request: FastifyRequest): string {
  return `https://${request.headers.host}`;
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function withoutSlash(text: string): string {
  return text.replace(/\/+$/, '').toLowerCase();
}
