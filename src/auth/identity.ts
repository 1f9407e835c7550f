import type { TokenCredential } from '@azure/core-auth';
import { type Cloud, resourceManagerScope } from '../azure/clouds.ts';
import type { createHttpGet } from '../azure/http.ts';
import { ActionError, withActivity, type OidcClaims } from '../errors/action-error.ts';
import { raceAbort } from '../lib/abort.ts';
import type { LogWriter } from '../runner/log.ts';

/** Who a token is for, as far as it says so. */
interface TokenClaims {
  /** GUID, also where the tenant was named by a domain. */
  readonly tenantId?: string;
  readonly appId?: string;
  /** Of the service principal; absent where the app has none in the tenant. */
  readonly objectId?: string;
}

/**
 * Reads an access token. Nothing comes of one that is no JWT: what a token looks like is between Entra and Resource Manager
 * (https://learn.microsoft.com/entra/identity-platform/access-tokens).
 *
 * Decoded only, not verified: it came from the sign-in service over TLS and is checked by Resource Manager. What is
 * asked here is whether that service understood the tenant as the workflow's author meant it.
 */
export function parseTokenClaims(token: string): TokenClaims {
  const { tid, appid, azp, oid } = decodePayload(token);
  const appId = appid ?? azp; // version 1 and version 2 tokens
  return {
    ...(typeof tid === 'string' ? { tenantId: tid } : {}),
    ...(typeof appId === 'string' ? { appId } : {}),
    ...(typeof oid === 'string' ? { objectId: oid } : {}),
  };
}

/**
 * What GitHub's ID token says, for explanations; undefined when it is none. Never verified, see `tokenClaims`.
 * https://docs.github.com/actions/reference/security/oidc#oidc-token-claims
 */
export function parseOidcClaims(jwt: string): OidcClaims | undefined {
  const { iss, sub, aud, repository_owner_id: ownerId, repository_id: repositoryId } = decodePayload(jwt);
  const audience = [aud].flat().join(', ');
  if (typeof iss !== 'string' || typeof sub !== 'string' || !audience) return undefined;
  return {
    issuer: iss,
    subject: sub,
    audience,
    ...(typeof ownerId === 'string' && typeof repositoryId === 'string' ? { ownerId, repositoryId } : {}),
  };
}

function decodePayload(jwt: string): Readonly<Record<string, unknown>> {
  try {
    const payload: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Who the app is in one tenant. */
export interface ServicePrincipal {
  /** GUID, lower case. */
  readonly tenantId: string;
  /** Of the app's service principal there; absent where the token does not say. */
  readonly objectId?: string;
}

export function sameTenant(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

interface VerifyOptions {
  readonly cloud: Cloud;
  readonly credential: TokenCredential;
  readonly plain: ReturnType<typeof createHttpGet>;
  readonly log: LogWriter;
  readonly signal: AbortSignal;
}

/**
 * Asks for a token and looks whose it is. A swapped pair of secrets or a mistyped domain would otherwise deploy to the
 * wrong customer. What the token does not say is no reason to refuse it: Resource Manager has the last word.
 */
export async function verifyIdentity(
  clientId: string,
  tenant: string,
  { cloud, credential, plain, log, signal }: VerifyOptions,
): Promise<ServicePrincipal> {
  const doing = `signing in to tenant ${tenant}`;
  const token = await withActivity(doing, () =>
    credential.getToken(resourceManagerScope(cloud), { abortSignal: signal }),
  );
  const { tenantId, appId, objectId } = parseTokenClaims(token?.token ?? '');
  const isOther =
    (tenantId !== undefined && !isDomain(tenant) && !sameTenant(tenantId, tenant)) ||
    (appId !== undefined && appId.toLowerCase() !== clientId.toLowerCase());
  if (isOther) {
    const whose = [tenantId && `tenant ${tenantId}`, appId && `app ${appId}`].filter(Boolean).join(' and ');
    throw new ActionError(doing, {
      message: `The token is of ${whose}, not of tenant ${tenant} and app ${clientId}.`,
      explanation: {
        cause:
          'The sign-in endpoint answered for another tenant or app than the one that was named. Nothing was sent with that token.',
        who: "the workflow's author",
        fix: ['Check `tenant-id`, `image-tenant-id`, `client-id` and `environment`.'],
      },
    });
  }
  if (tenantId === undefined) {
    log.info(`The token of tenant ${tenant} cannot be read: whose it is, only Resource Manager can tell.`);
  }
  const guid =
    tenantId ?? (isDomain(tenant) ? await raceAbort(resolveTenantId(tenant, cloud, plain), signal) : tenant);
  return { tenantId: guid.toLowerCase(), ...(objectId ? { objectId } : {}) };
}

/** An input names a tenant by its GUID or by a domain. */
function isDomain(tenant: string): boolean {
  return tenant.includes('.');
}

/**
 * GUID of the tenant that a domain belongs to: Entra tells it to anybody, as the issuer of its tokens.
 * https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc
 */
async function resolveTenantId(domain: string, cloud: Cloud, plain: VerifyOptions['plain']): Promise<string> {
  const url = `${cloud.loginEndpoint}/${domain}/v2.0/.well-known/openid-configuration`;
  const answer = await plain(url).then(
    ({ status, body }) => ({ said: `HTTP ${status}`, guid: tenantFromIssuer(body) }),
    (error: unknown) => ({ said: error instanceof Error ? error.message : String(error), guid: undefined }),
  );
  if (answer.guid) return answer.guid;
  throw new ActionError(`looking for the ID of tenant ${domain}`, {
    message: `Neither the token nor ${url} says it (${answer.said}).`,
    explanation: {
      cause: 'The tenant is named by a domain, and nothing tells which tenant that is.',
      who: "the workflow's author",
      fix: [
        `Give the tenant's GUID instead of ${domain}. Signed in to the tenant, this prints it:`,
        'az account show --query tenantId -o tsv',
      ],
    },
  });
}

/** The tenant in the issuer of an OpenID configuration: `https://login.microsoftonline.com/<tenant>/v2.0`. */
function tenantFromIssuer(configuration: string): string | undefined {
  try {
    const { issuer } = JSON.parse(configuration) as { readonly issuer?: unknown };
    return /\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\/|$)/i.exec(String(issuer))?.[1];
  } catch {
    return undefined;
  }
}
