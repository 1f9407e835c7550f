import { cloudMetadataVersions } from './api-versions.ts';
import { invalidResponseMessage } from './policies/responses.ts';
import { ActionError } from '../errors/errors.ts';
import { asObject, asString, omitUndefined } from '../lib/json.ts';

/** A cloud by its well-known name, or by the https origin of its Resource Manager. */
export type Environment =
  | { readonly kind: 'known'; readonly name: 'azurecloud' | 'azureusgovernment' | 'azurechinacloud' }
  | { readonly kind: 'discovered'; readonly resourceManager: string };

/** https origins without a slash at the end. */
export interface Cloud {
  readonly name: string;
  readonly resourceManager: string;
  readonly loginEndpoint: string;
  /** The resource that tokens are for; the scope is `<audience>/.default`, see `resourceManagerScope`. */
  readonly audience: string;
  /** What the sign-in service expects as `aud` of a GitHub ID token. */
  readonly oidcAudience: string;
  readonly portal?: string;
}

/** https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud */
export const knownClouds: Readonly<Record<'azurecloud' | 'azureusgovernment' | 'azurechinacloud', Cloud>> = {
  azurecloud: {
    name: 'AzureCloud',
    resourceManager: 'https://management.azure.com',
    loginEndpoint: 'https://login.microsoftonline.com',
    audience: 'https://management.azure.com',
    oidcAudience: 'api://AzureADTokenExchange',
    portal: 'https://portal.azure.com',
  },
  azureusgovernment: {
    name: 'AzureUSGovernment',
    resourceManager: 'https://management.usgovcloudapi.net',
    loginEndpoint: 'https://login.microsoftonline.us',
    audience: 'https://management.usgovcloudapi.net',
    oidcAudience: 'api://AzureADTokenExchangeUSGov',
    portal: 'https://portal.azure.us',
  },
  azurechinacloud: {
    name: 'AzureChinaCloud',
    resourceManager: 'https://management.chinacloudapi.cn',
    loginEndpoint: 'https://login.chinacloudapi.cn',
    audience: 'https://management.chinacloudapi.cn',
    oidcAudience: 'api://AzureADTokenExchangeChina',
    portal: 'https://portal.azure.cn',
  },
};

/** Sign-in hosts that mean a known cloud though its entry above names another one. */
const otherLoginHosts: Readonly<Record<string, keyof typeof knownClouds>> = {
  'login.windows.net': 'azurecloud',
  'login.microsoft.com': 'azurecloud',
  'login.partner.microsoftonline.cn': 'azurechinacloud',
};

/** The hosts that may answer for a cloud's sign-in endpoint: MSAL uses the second name of some. */
export function signInOrigins({ loginEndpoint }: Cloud): readonly string[] {
  const cloudOf = (host: string) =>
    otherLoginHosts[host] ??
    Object.entries(knownClouds).find(([, known]) => new URL(known.loginEndpoint).host === host)?.[0];
  const name = cloudOf(new URL(loginEndpoint).host);
  const others = Object.keys(otherLoginHosts).filter((host) => name !== undefined && cloudOf(host) === name);
  const known = Object.entries(knownClouds).flatMap(([key, cloud]) => (key === name ? cloud.loginEndpoint : []));
  return [...new Set([new URL(loginEndpoint).origin, ...known, ...others.map((host) => `https://${host}`)])];
}

/** Entra cuts exactly `/.default` off and puts the rest into `aud`, so a slash at the end of an audience is kept. */
export function resourceManagerScope(cloud: Cloud): string {
  return `${cloud.audience}/.default`;
}

/**
 * Looks up a known cloud, and asks the Resource Manager of any other for its endpoints.
 * @param http sends a GET without credentials; rejects if there is no answer.
 * @throws ActionError naming the URL, the answer, and what was expected.
 */
export async function discoverCloud(
  environment: Environment,
  http: (url: string) => Promise<{ readonly status: number; readonly body: string }>,
): Promise<Cloud> {
  if (environment.kind === 'known') return knownClouds[environment.name];
  const asked = httpsUrl(environment.resourceManager);
  if (!asked) throw metadataError(environment.resourceManager, 'the URL of a Resource Manager must be https');
  const base = `${asked.origin}${asked.pathname.replace(/\/+$/, '')}`;
  let url = '';
  let reason = '';
  for (const version of cloudMetadataVersions) {
    url = `${base}/metadata/endpoints?api-version=${version}`;
    const { status, body } = await http(url).catch((cause: unknown) => {
      throw metadataError(url, `no answer: ${cause instanceof Error ? cause.message : String(cause)}`);
    });
    if (status === 200) return readCloudMetadata(url, body, asked.origin);
    reason = invalidResponseMessage(body)?.replace(/\.$/, '') ?? `the answer was HTTP ${status}`;
    if (status !== 400 && status !== 404) break;
  }
  throw metadataError(url, reason);
}

function readCloudMetadata(url: string, body: string, origin: string): Cloud {
  const described = parseCloudMetadataList(url, body, origin);
  const login = metadataUrl(url, 'authentication.loginEndpoint', described.loginEndpoint);
  // AD FS has no tenants; its authority is a path (/adfs), and @azure/identity would put the tenant behind it.
  if (described.identityProvider?.toLowerCase() === 'adfs' || /^\/adfs\/?$/i.test(login.pathname)) {
    throw metadataError(
      url,
      `it signs in through AD FS (${described.loginEndpoint ?? ''}), which has no tenants. ` +
        'This action needs Microsoft Entra ID as identity provider',
    );
  }
  if (login.pathname !== '/') {
    const why = `authentication.loginEndpoint has a path (${login.href}), so no tenant can be put behind it`;
    throw metadataError(url, why);
  }
  // Two audiences are named where a cloud has moved; the one that is the endpoint itself is the newer.
  const audience =
    described.audiences.find((candidate) => httpsUrl(candidate)?.origin === origin) ?? described.audiences[0];
  if (audience === undefined) throw metadataError(url, 'authentication.audiences is missing or empty');
  const portal = described.portal === undefined ? undefined : httpsUrl(described.portal)?.origin;
  return {
    name: described.name ?? new URL(origin).host,
    // The endpoint that was named, not the one that the document names: it may be a regional or private one.
    resourceManager: origin,
    loginEndpoint: login.origin,
    audience,
    oidcAudience: oidcAudience(login),
    ...omitUndefined({ portal }),
  };
}

/** The cloud at `origin`, from any of the three published shapes. */
function parseCloudMetadataList(url: string, body: string, origin: string): ReturnType<typeof parseCloudMetadata> {
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    throw metadataError(url, 'the answer is not JSON');
  }
  if (!Array.isArray(document)) return parseCloudMetadata(document);
  // The array lists all public clouds. A list of one may name another endpoint than the private or regional one asked.
  const all = document.map(parseCloudMetadata);
  const match =
    all.length === 1 ? all[0] : all.find(({ resourceManager }) => httpsUrl(resourceManager ?? '')?.origin === origin);
  if (match !== undefined) return match;
  const listed = all.flatMap(({ resourceManager }) => resourceManager ?? []);
  throw metadataError(url, `${origin} is not among the clouds listed there (${listed.join(', ') || 'none'})`);
}

function parseCloudMetadata(document: unknown) {
  const cloud = asObject(document);
  const authentication = asObject(cloud['authentication']);
  const audiences = authentication['audiences'];
  return {
    name: asString(cloud['name']),
    resourceManager: asString(cloud['resourceManager']),
    loginEndpoint: asString(authentication['loginEndpoint']),
    audiences: Array.isArray(audiences) ? audiences.flatMap((audience) => asString(audience) ?? []) : [],
    identityProvider: asString(authentication['identityProvider']),
    portal: asString(cloud['portal']) ?? asString(cloud['portalEndpoint']),
  };
}

function metadataUrl(url: string, field: string, value: string | undefined): URL {
  if (value === undefined) throw metadataError(url, `${field} is missing`);
  const parsed = httpsUrl(value);
  if (parsed === undefined) throw metadataError(url, `${field} is not an https URL: ${value}`);
  return parsed;
}

function oidcAudience(login: URL): string {
  const known =
    Object.values(knownClouds).find(({ loginEndpoint }) => loginEndpoint === login.origin) ??
    knownClouds[otherLoginHosts[login.host] ?? 'azurecloud'];
  return known.oidcAudience;
}

function metadataError(url: string, why: string): ActionError {
  return new ActionError('reading the endpoints of the cloud', {
    message: `The endpoints of the cloud cannot be read from ${url}: ${why}.`,
    reason: 'The URL in `environment` does not answer as a Resource Manager that this action can use.',
    fix: [
      'Set `environment` to azurecloud, azureusgovernment or azurechinacloud, or to the https URL of a Resource Manager.',
      'Its /metadata/endpoints must answer, without signing in, JSON with authentication.loginEndpoint (https, Microsoft Entra ID) and authentication.audiences.',
      'On a self-hosted runner look at HTTPS_PROXY and NO_PROXY, and at NODE_EXTRA_CA_CERTS for a private certificate authority.',
    ],
  });
}

function httpsUrl(value: string): URL | undefined {
  const parsed = URL.canParse(value) ? new URL(value) : undefined;
  return parsed?.protocol === 'https:' ? parsed : undefined;
}
