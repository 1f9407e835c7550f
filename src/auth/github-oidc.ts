import { type HttpOptions, createHttpGet } from '../azure/http.ts';
import { invalidResponseMessage } from '../azure/policies/responses.ts';
import { ActionError } from '../errors/errors.ts';
import { describeResponse } from '../errors/parse-error-response.ts';
import { asObject, asString, parseJson } from '../lib/json.ts';

interface GitHubIdTokenOptions extends HttpOptions {
  readonly audience: string;
  /** Masks the token in the job's log; called before anything else uses it. */
  readonly mask: (secret: string) => void;
}

const requestingIdToken = "asking GitHub's OIDC provider for an ID token";

/**
 * Not `core.getIDToken`: that waits up to three minutes for each of eleven tries, gives up on the first reset connection and
 * on 429, and drops the answer's body.
 */
export async function requestGitHubIdToken(
  env: Readonly<Record<string, string | undefined>>,
  { audience, mask, ...options }: GitHubIdTokenOptions,
): Promise<string> {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: requestUrl, ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = env;
  if (!requestUrl || !token) throw missingProviderError();

  const url = URL.parse(requestUrl);
  if (!url) throw oidcProviderError('ACTIONS_ID_TOKEN_REQUEST_URL of the runner is not a URL.');
  url.searchParams.set('audience', audience);
  // Local runners and mocks name an http URL. It is the runner's own, so it is taken as it is, as `core.getIDToken` does.
  const get = createHttpGet({ ...options, token, allowInsecureConnection: url.protocol === 'http:' });
  const { status, body, header } = await get(url.href).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw oidcProviderError(`${url.host} could not be reached: ${why}.`);
  });
  const { value, message } = asObject(parseJson(body));
  const idToken = status === 200 ? asString(value) : undefined;
  if (idToken !== undefined) {
    mask(idToken);
    return idToken;
  }
  // A 2xx body is not quoted: it may contain a token under another name.
  if (status < 300) throw oidcProviderError(`${url.host} answered ${status} without a token.`);
  const described = `${describeResponse({ url: url.href, status, bodyText: body }, header('location'))}.`;
  const quoted = asString(message)?.slice(0, 500);
  throw oidcProviderError(
    invalidResponseMessage(body) ?? (quoted ? `${url.host} answered ${status}: ${quoted}` : described),
  );
}

function oidcProviderError(message: string): ActionError {
  return new ActionError(requestingIdToken, {
    message,
    reason: "GitHub's OIDC provider gave no ID token for this job.",
    fix: [
      'Run the job again; https://www.githubstatus.com tells of outages of Actions.',
      'On a self-hosted runner look at HTTPS_PROXY, NO_PROXY and NODE_EXTRA_CA_CERTS.',
    ],
  });
}

/** Which of the two causes it is cannot be known here: the inputs were read while the address of the provider was set. */
function missingProviderError(): ActionError {
  return new ActionError(requestingIdToken, {
    message: 'ACTIONS_ID_TOKEN_REQUEST_URL or ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set: no ID token can be requested.',
    reason:
      'The job lacks `permissions: id-token: write`, or another step or action of the job has cleared these variables.',
    fix: [
      'Give the job `permissions: { id-token: write, contents: read }`.',
      'In a reusable workflow the calling job has to grant it too; it cannot be raised further down.',
      'If the job has this permission, remove what clears the variables.',
      'Or give `client-secret` or `client-certificate`: neither needs an ID token.',
    ],
  });
}
