import {
  type HttpClient,
  type PipelineRequest,
  type PipelineResponse,
  type ProxySettings,
  createDefaultHttpClient,
  createHttpHeaders,
  isRestError,
  proxyPolicy,
} from '@azure/core-rest-pipeline';
import { ActionError } from '../errors/errors.ts';
import { describeResponse } from '../errors/parse-error-response.ts';
import { isJson, parseJson } from '../lib/json.ts';
import { env as runnerEnvironment } from '../runner/environment.ts';
import { invalidResponseBody } from './policies/responses.ts';

type Environment = Readonly<Record<string, string | undefined>>;

interface Proxy {
  /** The environment variable that names it. */
  readonly variable: string;
  readonly url: URL;
}

/**
 * Read as curl does. The SDK would apply HTTP_PROXY to https, fail on a value without a scheme, and match NO_PROXY by whole
 * names; `getProxyUrl` of @actions/http-client ignores invalid values and bypasses loopback hosts, where recorders listen.
 */
export function findProxy(target: string, env: Environment = runnerEnvironment): Proxy | undefined {
  const { protocol, hostname, port } = new URL(target);
  const name = `${protocol.slice(0, -1)}_proxy`;
  const variable = [name, name.toUpperCase()].find((candidate) => env[candidate]);
  if (variable === undefined || isBypassed(hostname, port || (protocol === 'https:' ? '443' : '80'), env))
    return undefined;
  const value = env[variable]?.trim() ?? '';
  const text = /^[a-z][a-z\d+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol)) return { variable, url };
  throw new ActionError('reading the proxy settings', {
    message: `${variable} is not the URL of an HTTP proxy.`,
    reason: `The environment variable ${variable} of the runner must look like http://proxy.example:3128 or proxy.example:3128.`,
    who: 'the operator of the runner',
    fix: [`Correct or remove ${variable}, and restart the runner.`],
  });
}

function isBypassed(hostname: string, port: string, env: Environment): boolean {
  const hosts = [hostname, `${hostname}:${port}`];
  const entries = (env['no_proxy'] || env['NO_PROXY'] || '').toLowerCase().split(/[\s,]+/);
  return entries.some((entry) => {
    const suffix = entry.replace(/^\./, '');
    return entry === '*' || (suffix !== '' && hosts.some((host) => host === suffix || host.endsWith(`.${suffix}`)));
  });
}

/** User name and password in the proxy variables, as written and decoded. */
export function proxySecrets(env: Environment): readonly string[] {
  return ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'].flatMap((name) => {
    const [, user = '', password = ''] = /^(?:\w+:\/\/)?([^:@/]*):(.+)@[^@]*$/.exec(env[name] ?? '') ?? [];
    return password === '' ? [] : [password, decoded(password), Buffer.from(`${user}:${password}`).toString('base64')];
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** For pipelines of the SDK: keeps their own policy from reading the environment; `sharedHttpClient` decides. */
export const unusedProxy: ProxySettings = { host: 'http://unused.invalid', port: 80 };

const directClient = createDefaultHttpClient();
const proxyPolicies = new Map<string, ReturnType<typeof proxyPolicy>>();

function policyFor({ url }: Proxy): ReturnType<typeof proxyPolicy> {
  const host = `${url.protocol}//${url.hostname}`;
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const settings = { host, port, username: decoded(url.username), password: decoded(url.password) };
  const policy = proxyPolicies.get(url.href) ?? proxyPolicy(settings, { customNoProxyList: [] });
  proxyPolicies.set(url.href, policy);
  return policy;
}

/** One pool of connections for the process. Requests go through the proxy of the environment, and errors name it. */
export const sharedHttpClient: HttpClient = {
  async sendRequest(request) {
    delete request.agent;
    const proxy = findProxy(request.url);
    if (proxy === undefined) return directClient.sendRequest(request);
    try {
      const response = await policyFor(proxy).sendRequest(request, (sent) => directClient.sendRequest(sent));
      return named(proxy, response, request);
    } catch (error) {
      if (isRestError(error)) error.message += ` (through the proxy ${proxy.url.host} of ${proxy.variable})`;
      throw error;
    }
  },
};

/** A response that the proxy itself may have given says so: a refused tunnel looks like a response of the host. */
function named({ variable, url }: Proxy, response: PipelineResponse, request: PipelineRequest): PipelineResponse {
  const { status, bodyAsText = '', headers } = response;
  const isFromService = headers.has('x-ms-request-id') || headers.has('x-github-request-id');
  const isTunnelError = status >= 400 && !isFromService && !isJson(parseJson(bodyAsText ?? ''));
  if (status !== 407 && !isTunnelError) return response;
  const answered = describeResponse({ url: url.origin, status, bodyText: bodyAsText ?? '' });
  const message = `The proxy of ${variable} refused the connection to ${new URL(request.url).host}: ${answered}.`;
  return {
    ...response,
    headers: createHttpHeaders({ 'content-type': 'application/json' }),
    bodyAsText: invalidResponseBody(message),
  };
}
