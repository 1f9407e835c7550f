// GitHub as a job sees it: workflow runs, and the OIDC provider that issues the job's ID token.
// https://docs.github.com/rest/actions/workflow-runs
// https://docs.github.com/actions/reference/security/oidc
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { signingKey, signToken } from '../http/keys.ts';
import { sendJson } from '../http/listener.ts';
import { blobs } from '../providers/compute/blobs.ts';
import type { World } from '../world/world.ts';

/** State of a workflow run, or the error status of the API. */
export type RunState =
  | { readonly status: 'queued' | 'in_progress' | 'waiting' | 'pending' }
  | { readonly status: 'completed'; readonly conclusion: 'success' | 'failure' | 'cancelled' | 'timed_out' }
  | { readonly refuse: 401 | 403 | 404 | 500 };

export interface GithubSettings {
  /** `iss` of ID tokens; GitHub Enterprise Server and data residency have their own. */
  issuer: string;
  /** Value of ACTIONS_ID_TOKEN_REQUEST_TOKEN. */
  requestToken: string;
  owner: string;
  ownerId: string;
  repository: string;
  repositoryId: string;
  ref: string;
  /** Deployment environment of the job; replaces the ref in the subject. */
  environment: string | undefined;
  /** True for a job of a pull request: `…:pull_request`. */
  pullRequest: boolean;
  /** Repositories created or renamed since 2026-07-15 have IDs in their subject. */
  immutableSubject: boolean;
  /** A custom subject; undefined: GitHub's default. */
  subject: string | undefined;
  /** Wall-clock seconds. GitHub's tokens are valid for about five minutes. */
  lifetimeSeconds: number;
  /** Shifts `iat`, `nbf` and `exp`, for tokens that are expired or not yet valid. */
  skewSeconds: number;
  /** Error status of the token endpoint. */
  refuseTokens: number | undefined;
  /** By `owner/repo/run` or `owner/repo/run/attempt`; any other run is a 404. */
  readonly runs: Map<string, RunState>;
}

/** GitHub's settings of a world. They can be changed at any time. */
export function githubSettings(world: World): GithubSettings {
  return world.extension('github', () => ({
    issuer: 'https://token.actions.githubusercontent.com',
    requestToken: 'id-token-request-token',
    owner: 'contoso',
    ownerId: '123456',
    repository: 'deploy',
    repositoryId: '456789',
    ref: 'refs/heads/main',
    environment: undefined,
    pullRequest: false,
    immutableSubject: false,
    subject: undefined,
    lifetimeSeconds: 300,
    skewSeconds: 0,
    refuseTokens: undefined,
    runs: new Map<string, RunState>(),
  }));
}

/** Subject of the job's ID token, as a federated credential must name it. */
export function subjectOf(settings: GithubSettings): string {
  if (settings.subject !== undefined) return settings.subject;
  const { owner, ownerId, repository, repositoryId } = settings;
  const repo = settings.immutableSubject
    ? `repo:${owner}@${ownerId}/${repository}@${repositoryId}`
    : `repo:${owner}/${repository}`;
  if (settings.environment !== undefined) return `${repo}:environment:${settings.environment}`;
  return settings.pullRequest ? `${repo}:pull_request` : `${repo}:ref:${settings.ref}`;
}

/** The runner's environment variables for a job with `id-token: write`. */
export function idTokenEnvironment(world: World, origin: string): Record<string, string> {
  return {
    // Has a query already, like GitHub's: clients append `&audience=`.
    ACTIONS_ID_TOKEN_REQUEST_URL: `${origin}/idtoken?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: githubSettings(world).requestToken,
  };
}

const errorMessages = {
  401: 'Bad credentials',
  403: 'Resource not accessible by integration',
  404: 'Not Found',
  500: 'Server Error',
} as const;

async function sendError(reply: FastifyReply, status: 401 | 403 | 404 | 500): Promise<void> {
  await sendJson(reply.code(status), {
    message: errorMessages[status],
    documentation_url: 'https://docs.github.com/rest/actions/workflow-runs#get-a-workflow-run',
    status: String(status),
  });
}

/** Registers the routes of GitHub, and of signed blob URLs, which share the listener. */
export function registerGitHubRoutes(app: FastifyInstance, world: World): void {
  const origin = (): string => `https://localhost:${(app.server.address() as AddressInfo).port}`;
  blobs(world).origin = origin;
  registerBlobRoute(app, world);
  registerOidcRoutes(app, world, origin);
  for (const prefix of ['', '/api/v3']) {
    app.get(`${prefix}/repos/:owner/:repo/actions/runs/:run`, async (request, reply) => {
      request.state.exchange.kind = 'github.run';
      await sendRun(world, request.params as Record<string, string>, request.headers.authorization, reply);
    });
    app.get(`${prefix}/repos/:owner/:repo/actions/runs/:run/attempts/:attempt`, async (request, reply) => {
      request.state.exchange.kind = 'github.attempt';
      await sendRun(world, request.params as Record<string, string>, request.headers.authorization, reply);
    });
  }

  app.setNotFoundHandler(async (request, reply) => {
    await sendJson(reply.code(501), {
      message: `The simulator does not know: ${request.method} ${request.url}.`,
    });
  });
}

function registerBlobRoute(app: FastifyInstance, world: World): void {
  app.get('/blobs/*', async (request, reply) => {
    request.state.exchange.kind = 'blob.get';
    const text = blobs(world).byName.get(request.raw.url ?? '');
    if (text === undefined) {
      await reply
        .code(403)
        .type('application/xml')
        .send('<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code></Error>');
      return;
    }
    await reply.code(200).type('application/octet-stream').send(text());
  });
}

function registerOidcRoutes(app: FastifyInstance, world: World, origin: () => string): void {
  app.get('/idtoken', async (request, reply) => {
    request.state.exchange.kind = 'github.idToken';
    const { requestToken, refuseTokens } = githubSettings(world);
    if (refuseTokens !== undefined) {
      await sendJson(reply.code(refuseTokens), { message: 'The token could not be issued.' });
      return;
    }
    if (request.headers.authorization !== `Bearer ${requestToken}`) {
      await sendJson(reply.code(401), { message: 'Unauthorized' });
      return;
    }
    const query = request.query as Record<string, string>;
    await sendJson(reply.code(200), {
      count: 1,
      value: await idToken(githubSettings(world), query['audience']),
    });
  });

  app.get('/.well-known/openid-configuration', async (request, reply) => {
    request.state.exchange.kind = 'github.openid';
    await sendJson(reply.code(200), {
      issuer: githubSettings(world).issuer,
      jwks_uri: `${origin()}/.well-known/jwks`,
      subject_types_supported: ['public', 'pairwise'],
      response_types_supported: ['id_token'],
      id_token_signing_alg_values_supported: ['RS256'],
      scopes_supported: ['openid'],
    });
  });

  app.get('/.well-known/jwks', async (request, reply) => {
    request.state.exchange.kind = 'github.jwks';
    await sendJson(reply.code(200), { keys: [(await signingKey('github')).jwk] });
  });
}

async function sendRun(
  world: World,
  path: Record<string, string>,
  token: string | undefined,
  reply: FastifyReply,
): Promise<void> {
  const { owner = '', repo = '', run: id = '', attempt } = path;
  if (token === undefined || !/^(bearer|token) \S+/i.test(token)) {
    await sendError(reply, 401);
    return;
  }
  const key = `${owner}/${repo}/${id}`.toLowerCase();
  const find = (runKey: string): RunState | undefined =>
    [...githubSettings(world).runs].find(([name]) => name.toLowerCase() === runKey)?.[1];
  const state = (attempt === undefined ? undefined : find(`${key}/${attempt}`)) ?? find(key);
  if (state === undefined || 'refuse' in state) {
    await sendError(reply, state?.refuse ?? 404);
    return;
  }
  await sendJson(reply.code(200), {
    id: Number(id),
    name: 'deploy',
    run_number: 1,
    run_attempt: Number(attempt ?? 1),
    event: 'push',
    status: state.status,
    conclusion: state.status === 'completed' ? state.conclusion : null,
    html_url: `https://github.com/${owner}/${repo}/actions/runs/${id}`,
    repository: { name: repo, full_name: `${owner}/${repo}` },
  });
}

async function idToken(settings: GithubSettings, audience: string | undefined): Promise<string> {
  const now = Math.floor(Date.now() / 1000) + settings.skewSeconds;
  const { owner, repository, environment } = settings;
  const full = `${owner}/${repository}`;
  return signToken('github', {
    jti: randomUUID(),
    sub: subjectOf(settings),
    // GitHub's default audience is the URL of the owner.
    aud: audience ?? `https://github.com/${owner}`,
    ref: settings.ref,
    sha: '0000000000000000000000000000000000000000',
    repository: full,
    repository_owner: owner,
    repository_id: settings.repositoryId,
    repository_owner_id: settings.ownerId,
    run_id: '1',
    run_number: '1',
    run_attempt: '1',
    actor: owner,
    workflow: 'deploy',
    event_name: settings.pullRequest ? 'pull_request' : 'push',
    ref_type: 'branch',
    ...(environment === undefined ? {} : { environment }),
    job_workflow_ref: `${full}/.github/workflows/deploy.yml@${settings.ref}`,
    runner_environment: 'github-hosted',
    iss: settings.issuer,
    nbf: now - 300,
    iat: now,
    exp: now + settings.lifetimeSeconds,
  });
}
