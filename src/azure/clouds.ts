import { cloudMetadataVersions } from './api-versions.ts';
import { invalidResponseMessage } from './policies/responses.ts';
import { ActionError } from '../errors/errors.ts';
import { type Json, asObject, asString, parseJson } from '../lib/json.ts';

/** A cloud by its well-known name, or by the https origin of its Resource Manager. */
export type Environment =
  | { readonly kind: 'known'; readonly name: keyof typeof knownClouds }
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
export const knownClouds = {
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
} as const satisfies Readonly<Record<string, Cloud>>;

/** The sign-in hosts of each known cloud: MSAL uses the second name of some. */
const signInHosts = [
  [knownClouds.azurecloud.loginEndpoint, 'https://login.windows.net', 'https://login.microsoft.com'],
  [knownClouds.azureusgovernment.loginEndpoint],
  [knownClouds.azurechinacloud.loginEndpoint, 'https://login.partner.microsoftonline.cn'],
];

/** The hosts that may answer for a cloud's sign-in endpoint. */
export function signInOrigins({ loginEndpoint }: Pick<Cloud, 'loginEndpoint'>): readonly string[] {
  const { origin } = new URL(loginEndpoint);
  return signInHosts.find((origins) => origins.includes(origin)) ?? [origin];
}

/** Entra cuts exactly `/.default` off and puts the rest into `aud`, so a slash at the end of an audience is kept. */
export function resourceManagerScope(cloud: Cloud): string {
  return `${cloud.audience}/.default`;
}

/** @param http sends a GET without credentials; rejects if there is no answer. */
export async function discoverCloud(
  environment: Environment,
  http: (url: string) => Promise<{ readonly status: number; readonly body: string }>,
): Promise<Cloud> {
  if (environment.kind === 'known') return knownClouds[environment.name];
  const origin = httpsUrl(environment.resourceManager)?.origin;
  if (!origin) throw metadataError(environment.resourceManager, 'the URL of a Resource Manager must be https');
  let url = '';
  let reason = '';
  for (const version of cloudMetadataVersions) {
    url = `${origin}/metadata/endpoints?api-version=${version}`;
    const { status, body } = await http(url).catch((cause: unknown) => {
      throw new ActionError(activity, {
        message: `The endpoints of the cloud cannot be read from ${url}: no answer: ${cause instanceof Error ? cause.message : String(cause)}.`,
        reason: 'The runner gets no answer from the URL in `environment`.',
        who: "the operator of the runner, or the workflow's author",
        fix: [
          `Check the URL in \`environment\`, whose /metadata/endpoints must answer without signing in. ${checkRunner}`,
        ],
      });
    });
    if (status === 200) return readCloudMetadata(url, body, origin);
    reason = invalidResponseMessage(body)?.replace(/\.$/, '') ?? `the answer was HTTP ${status}`;
    if (status !== 400 && status !== 404) break;
  }
  throw metadataError(url, reason);
}

function readCloudMetadata(url: string, body: string, origin: string): Cloud {
  const cloud = findCloudMetadata(url, body, origin);
  const { audiences, ...authentication } = asObject(cloud['authentication']);
  const loginEndpoint = readLoginEndpoint(url, authentication);
  // Two audiences are named where a cloud has moved; the one that is the endpoint itself is the newer.
  const named = (Array.isArray(audiences) ? audiences : []).flatMap((audience: unknown) => asString(audience) ?? []);
  const audience = named.find((candidate) => httpsUrl(candidate)?.origin === origin) ?? named[0];
  if (audience === undefined) throw metadataError(url, 'authentication.audiences is missing or empty');
  const origins = signInOrigins({ loginEndpoint });
  const known = Object.values(knownClouds).find(({ loginEndpoint: usual }) => origins.includes(usual));
  return {
    name: asString(cloud['name']) ?? new URL(origin).host,
    // The endpoint that was named, not the one that the document names: it may be a regional or private one.
    resourceManager: origin,
    loginEndpoint,
    audience,
    oidcAudience: (known ?? knownClouds.azurecloud).oidcAudience,
    portal: httpsUrl(asString(cloud['portal']) ?? asString(cloud['portalEndpoint']) ?? '')?.origin,
  };
}

function readLoginEndpoint(url: string, { loginEndpoint, identityProvider }: Json): string {
  if (!asString(loginEndpoint)) throw metadataError(url, 'authentication.loginEndpoint is missing');
  const login = httpsUrl(String(loginEndpoint));
  if (!login) throw metadataError(url, `authentication.loginEndpoint is not an https URL: ${String(loginEndpoint)}`);
  // AD FS has no tenants; its authority is a path (/adfs), and @azure/identity would put the tenant behind it.
  if (asString(identityProvider)?.toLowerCase() === 'adfs' || /^\/adfs\/?$/i.test(login.pathname)) {
    const why = `it signs in through AD FS (${login.href}), which has no tenants. This action needs Microsoft Entra ID`;
    throw metadataError(url, why);
  }
  if (login.pathname !== '/') {
    const why = `authentication.loginEndpoint has a path (${login.href}), so no tenant can be put behind it`;
    throw metadataError(url, why);
  }
  return login.origin;
}

/** The cloud at `origin`, from any of the three published shapes: an array lists all public clouds. */
function findCloudMetadata(url: string, body: string, origin: string): Json {
  const document = parseJson(body);
  if (document === undefined) throw metadataError(url, 'the answer is not JSON');
  const clouds = [document].flat().map(asObject);
  const endpointOf = (cloud: Json) => asString(cloud['resourceManager']) ?? '';
  // A list of one may name another endpoint than the private or regional one asked.
  const found =
    clouds.length === 1 ? clouds[0] : clouds.find((cloud) => httpsUrl(endpointOf(cloud))?.origin === origin);
  if (found) return found;
  const listed = clouds.map(endpointOf).filter(Boolean).join(', ') || 'none';
  throw metadataError(url, `${origin} is not among the clouds listed there (${listed})`);
}

const activity = 'reading the endpoints of the cloud';

const checkRunner =
  'On a self-hosted runner look at HTTPS_PROXY and NO_PROXY, and at NODE_EXTRA_CA_CERTS for a private certificate authority.';

function metadataError(url: string, why: string): ActionError {
  return new ActionError(activity, {
    message: `The endpoints of the cloud cannot be read from ${url}: ${why}.`,
    reason: 'The URL in `environment` does not answer as a Resource Manager that this action can use.',
    fix: [
      'Set `environment` to azurecloud, azureusgovernment or azurechinacloud, or to the https URL of a Resource Manager.',
      'Its /metadata/endpoints must answer, without signing in, JSON with authentication.loginEndpoint (https, Microsoft Entra ID) and authentication.audiences.',
      checkRunner,
    ],
  });
}

function httpsUrl(value: string): URL | undefined {
  const url = URL.parse(value);
  return url?.protocol === 'https:' ? url : undefined;
}
