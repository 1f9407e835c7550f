import type { TokenCredential } from '@azure/core-auth';
import { type Cloud, resourceManagerScope, signInOrigins } from '../azure/clouds.ts';
import type { HttpGet } from '../azure/http.ts';
import { sameTenant } from '../azure/resource-id.ts';
import { type OidcClaims, ActionError, withActivity } from '../errors/errors.ts';
import { raceAbort } from '../lib/abort.ts';
import { type Json, asObject, asString, parseJson } from '../lib/json.ts';
import type { LogWriter } from '../runner/log.ts';

/**
 * Not verified: it came from the sign-in service over TLS, and Resource Manager checks it. It need not be a JWT:
 * https://learn.microsoft.com/entra/identity-platform/access-tokens
 */
export function parseTokenClaims(token: string) {
  const { tid, appid, azp, oid } = decodePayload(token);
  // Version 1 tokens have `appid`, version 2 tokens `azp`.
  return { tenantId: asString(tid), appId: asString(appid ?? azp), objectId: asString(oid) };
}

/** Not verified. https://docs.github.com/actions/reference/security/oidc#oidc-token-claims */
export function parseOidcClaims(jwt: string): OidcClaims | undefined {
  const { iss, sub, aud, repository_owner_id: ownerId, repository_id: repositoryId } = decodePayload(jwt);
  const audience = [aud].flat().join(', ');
  if (typeof iss !== 'string' || typeof sub !== 'string' || !audience) return undefined;
  return { issuer: iss, subject: sub, audience, ownerId: asString(ownerId), repositoryId: asString(repositoryId) };
}

function decodePayload(jwt: string): Json {
  return asObject(parseJson(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8')));
}

export interface ServicePrincipal {
  /** GUID, lower case. */
  readonly tenantId: string;
  /** Of the app's service principal there; absent if the token has no such claim. */
  readonly objectId?: string;
}

interface VerifyOptions {
  readonly cloud: Cloud;
  readonly credential: TokenCredential;
  readonly get: HttpGet;
  readonly log: LogWriter;
  readonly signal: AbortSignal;
}

/** Catches swapped secrets and mistyped domains before anything is deployed to the wrong customer. A claim may be missing. */
export async function verifyIdentity(
  clientId: string,
  tenant: string,
  { cloud, credential, get, log, signal }: VerifyOptions,
): Promise<ServicePrincipal> {
  const activity = `signing in to tenant ${tenant}`;
  const token = await withActivity(activity, () =>
    credential.getToken(resourceManagerScope(cloud), { abortSignal: signal }),
  );
  const { tenantId, appId, objectId } = parseTokenClaims(token?.token ?? '');
  const isOther =
    (tenantId !== undefined && !isDomain(tenant) && !sameTenant(tenantId, tenant)) ||
    (appId !== undefined && appId.toLowerCase() !== clientId.toLowerCase());
  if (isOther) {
    const whose = [tenantId && `tenant ${tenantId}`, appId && `app ${appId}`].filter(Boolean).join(' and ');
    throw new ActionError(activity, {
      message: `The token is for ${whose}, not for tenant ${tenant} and app ${clientId}.`,
      reason: 'The sign-in endpoint issued a token for another tenant or app. Nothing was sent with that token.',
      fix: ['Check `tenant-id`, `image-tenant-id`, `client-id` and `environment`.'],
    });
  }
  if (tenantId === undefined) {
    log.info(`The access token for tenant ${tenant} is opaque; Resource Manager will validate it.`);
  }
  const guid = tenantId ?? (isDomain(tenant) ? await raceAbort(resolveTenantId(tenant, cloud, get), signal) : tenant);
  return { tenantId: guid.toLowerCase(), objectId };
}

function isDomain(tenant: string): boolean {
  return tenant.includes('.');
}

/** From the issuer of its tokens: https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc */
async function resolveTenantId(domain: string, cloud: Cloud, get: HttpGet): Promise<string> {
  const url = `${cloud.loginEndpoint}/${domain}/v2.0/.well-known/openid-configuration`;
  const result = await get(url).then(
    ({ status, body }) => ({ reason: `HTTP ${status}`, guid: tenantFromIssuer(body, cloud) }),
    (error: unknown) => ({ reason: error instanceof Error ? error.message : String(error), guid: undefined }),
  );
  if (result.guid) return result.guid;
  throw new ActionError(`resolving the ID of tenant ${domain}`, {
    message: `Neither the token nor ${url} contains it (${result.reason}).`,
    reason: 'The tenant is named by a domain, and its ID could not be resolved.',
    fix: [
      `Use the tenant's GUID instead of ${domain}. When signed in to the tenant, this prints it:`,
      'az account show --query tenantId -o tsv',
    ],
  });
}

/** The tenant in the issuer of an OpenID configuration: `https://login.microsoftonline.com/<tenant>/v2.0`. */
function tenantFromIssuer(configuration: string, cloud: Cloud): string | undefined {
  const issuer = String(asObject(parseJson(configuration))['issuer']);
  if (!signInOrigins(cloud).includes(URL.parse(issuer)?.origin ?? '')) return undefined;
  return /\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\/|$)/i.exec(issuer)?.[1];
}
