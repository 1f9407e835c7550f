/**
 * The hosts of each request: clouds by name and by URL, through a proxy that maps their host names to the simulator.
 * Which proxy is used, and the shapes of the metadata document: __tests__/unit/azure.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createProxy, type ProxyServer } from 'proxy';
import { githubSettings, idTokenEnvironment } from '../../simulator/github/github.ts';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { blobs } from '../../simulator/providers/compute/blobs.ts';
import type { World } from '../../simulator/world/world.ts';
import { knownClouds } from '../../src/azure/clouds.ts';
import { type ActionOptions, assertNoSecrets, defaultInputs, type Run, runAction } from '../support/harness.ts';
import { addStranger, partsOf, tagsOf } from '../support/lifecycle.ts';

let sim: Simulator;
let proxy: ProxyServer | undefined;
afterEach(async () => {
  proxy?.closeAllConnections();
  await new Promise((closed) => (proxy ? proxy.close(closed) : closed(undefined)));
  proxy = undefined;
  await sim?.close();
});

const start = async (world?: (world: World) => void): Promise<void> => {
  sim = await startSimulator({ timeScale: 0.002, ...(world ? { world } : {}) });
};

const targetOf = (endpoint: string): string => new URL(endpoint).host;

/** Starts the proxy. `routes` are names that it leads elsewhere, as a private resolver would; others are refused. */
async function startProxy(routes: Readonly<Record<string, string>>): Promise<{ url: string; tunnels: string[] }> {
  const tunnels: string[] = [];
  const server = createServer();
  proxy = createProxy(server);
  // Before the proxy's own listener.
  proxy.prependListener('connect', (request) => {
    tunnels.push(request.url ?? '');
    request.url = routes[request.url ?? ''] ?? 'localhost:1';
  });
  await new Promise<void>((listening) => server.listen(0, 'localhost', listening));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, tunnels };
}

async function act({ inputs, env, ...more }: Omit<ActionOptions, 'sim'>): Promise<Run> {
  const run = await runAction({
    sim,
    phases: ['main'],
    ...more,
    inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs },
    env: { RUNNER_DEBUG: '1', ...env },
  });
  assertNoSecrets(run, [defaults.clientSecret, githubSettings(sim.world).requestToken, 'ghs_simulated']);
  return run;
}

/** It retries for a dozen seconds while the other tests run. */
let unanswered: Promise<Run>;
let unreachable: Simulator;
beforeAll(async () => {
  unreachable = await startSimulator();
  const inputs = { ...defaultInputs(unreachable), environment: 'https://localhost:1' };
  unanswered = runAction({ sim: unreachable, phases: ['main'], inputs });
});
afterAll(() => unreachable.close());

const errorsOf = (run: Run) => run.annotations.filter(({ level }) => level === 'error').map(({ message }) => message);
/** The hosts in docs/security.md that a cloud and GitHub have. */
function documentedHosts(environment: string): string[] {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/security.md'), 'utf8');
  const section = /## Hosts\n([\s\S]*?)\n## /.exec(text)?.[1] ?? '';
  const row = section.split('\n').find((line) => line.startsWith(`| \`${environment}\``)) ?? '';
  const [, ...cloud] = [...row.matchAll(/`([^`]+)`/g)].map(([, host = '']) => host);
  const paragraph = /In addition, [\s\S]*/.exec(section)?.[0] ?? '';
  return [...cloud, ...[...paragraph.matchAll(/`([\w.*-]+\.com)`/g)].map(([, host = '']) => host)];
}

describe('clouds by name', () => {
  test.each(Object.values(knownClouds))(
    'sends requests to the documented hosts of $name and to no others',
    async ({ name, resourceManager, loginEndpoint, oidcAudience }) => {
      const environment = name.toLowerCase();
      const expected = documentedHosts(environment);
      const [arm = '', login = '', blob = '', oidc = '', api = ''] = expected.map((host) => host.replace('*', 'any'));
      expect([`https://${arm}`, `https://${login}`]).toEqual([resourceManager, loginEndpoint]);
      const runId = '1234567';
      await start((world) => {
        world.tokens.audiences.push(resourceManager);
        const app = world.apps.get(defaults.clientId);
        if (app)
          app.federatedCredentials = app.federatedCredentials.map((one) => ({ ...one, audiences: [oidcAudience] }));
        githubSettings(world).runs.set(`contoso/deploy/${runId}`, { status: 'completed', conclusion: 'cancelled' });
      });
      blobs(sim.world).origin = () => `https://${blob}`;
      const { url, tunnels } = await startProxy({
        [`${arm}:443`]: targetOf(sim.armEndpoint),
        [`${login}:443`]: targetOf(sim.loginEndpoint),
        ...Object.fromEntries([blob, oidc, api].map((host) => [`${host}:443`, targetOf(sim.githubEndpoint)])),
      });
      const env = {
        ...idTokenEnvironment(sim.world, `https://${oidc}`),
        HTTPS_PROXY: url,
        GITHUB_API_URL: `https://${api}`,
      };
      const common = { environment, 'client-secret': '' };
      const run = (inputs: Record<string, string>, more = {}) =>
        act({ inputs: { ...common, ...inputs }, env: { ...env, ...more } });
      // Azure names the host of the boot log, in each cloud in the same way.
      const isPublic = environment === 'azurecloud';
      if (isPublic) {
        const created = await run({ cleanup: 'always', 'wait-for': 'agent' }, { GITHUB_RUN_ID: runId });
        expect(errorsOf(created)).toEqual([]);
        expect(created.outputs['ssh-known-hosts']).not.toBe('');
      } else {
        addStranger(sim.world, partsOf('vm1').nsg, tagsOf('vm1', runId));
      }
      const swept = await run({ operation: 'sweep', 'github-token': 'ghs_simulated' });
      expect(errorsOf(swept)).toEqual([]);
      expect(JSON.parse(swept.outputs['deleted'] ?? '[]')).toContainEqual(
        expect.stringMatching(/networkSecurityGroups/),
      );
      expect([...new Set(tunnels)].toSorted()).toEqual(
        [arm, login, ...(isPublic ? [blob] : []), oidc, api].map((one) => `${one}:443`).toSorted(),
      );
      const audiences = sim.journal.flatMap(({ kind, query }) => (kind === 'github.idToken' ? query['audience'] : []));
      expect(new Set(audiences)).toEqual(new Set([oidcAudience]));
    },
  );
});

describe('a cloud by its URL', () => {
  test('fails with one error and no other request when it is not a Resource Manager', async () => {
    await start();
    const run = await act({ inputs: { environment: sim.githubEndpoint } });
    expect(run.exitCode).toBe(1);
    expect(errorsOf(run)).toHaveLength(1);
    expect(errorsOf(run)[0]).toContain('Failed while reading the endpoints of the cloud.');
    expect(errorsOf(run)[0]).toContain(`${sim.githubEndpoint}/metadata/endpoints?api-version=2022-09-01`);
    expect(sim.journal.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /metadata/endpoints']);
  });
});

describe('proxies', () => {
  test('receive all requests when HTTPS_PROXY is set', async () => {
    await start();
    const hosts = [sim.armEndpoint, sim.loginEndpoint, sim.githubEndpoint].map(targetOf);
    const { url, tunnels } = await startProxy(Object.fromEntries(hosts.map((host) => [host, host])));
    const run = await act({
      inputs: { 'client-secret': '', cleanup: 'always' },
      idToken: true,
      env: { HTTPS_PROXY: url },
      phases: ['main', 'post'],
    });
    expect(errorsOf(run)).toEqual([]);
    expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
    // No request went around it: the simulator saw no more of them than there are tunnels.
    for (const [name, host] of [
      ['arm', hosts[0]],
      ['entra', hosts[1]],
      ['github', hosts[2]],
    ] as const) {
      const requests = sim.journal.filter((one) => one.host === name).length;
      expect(requests).toBeGreaterThan(0);
      expect(tunnels.filter((tunnel) => tunnel === host)).toHaveLength(requests);
    }
  });

  test('receive a password that no log shows when the variable has one', async () => {
    await start();
    const hosts = [sim.armEndpoint, sim.loginEndpoint].map(targetOf);
    const { url, tunnels } = await startProxy(Object.fromEntries(hosts.map((host) => [host, host])));
    const expected = `Basic ${Buffer.from('runner:proxy-password-1').toString('base64')}`;
    if (proxy) proxy.authenticate = ({ headers }) => headers['proxy-authorization'] === expected;
    const through = (password: string) =>
      act({
        inputs: { operation: 'delete', 'vm-name': 'vm1' },
        env: { HTTPS_PROXY: url.replace('//', `//runner:${password}@`) },
      });
    const run = await through('proxy-password-1');
    assertNoSecrets(run, ['proxy-password-1', 'runner:proxy-password-1']);
    expect(run.exitCode).toBe(0);
    expect(tunnels.length).toBeGreaterThan(0);

    sim.world.journal.clear();
    const refused = await through('proxy-password-2');
    assertNoSecrets(refused, ['proxy-password-2', 'runner:proxy-password-2']);
    expect(refused.exitCode).toBe(1);
    expect(errorsOf(refused)).toHaveLength(1);
    expect(errorsOf(refused)[0]).toContain('The proxy of HTTPS_PROXY refused the connection');
    expect(errorsOf(refused)[0]).toContain('answered 407');
    expect(sim.journal).toEqual([]);
  });

  test.each<['create' | 'check', string, (url: string) => string, string]>([
    ['create', 'is not running', () => 'http://user:proxy-password-1@localhost:1', 'ECONNREFUSED'],
    ['check', 'cannot reach the host', (url) => url, 'answered 502'],
  ])('are named in the error when %s fails because the proxy %s', async (operation, _, proxyFor, text) => {
    await start();
    const { url } = await startProxy({});
    proxy?.prependListener('connect', (request: { url?: string }, socket: Socket) => {
      request.url = 'localhost:1';
      socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\n\r\n<html><title>Squid</title></html>');
    });
    const run = await act({
      inputs: { operation, environment: 'azurecloud' },
      env: { https_proxy: proxyFor(url) },
    });
    assertNoSecrets(run, ['proxy-password-1']);
    expect(run.exitCode).toBe(1);
    const shown = `${errorsOf(run).join('\n')}\n${run.outputs['findings'] ?? ''}`;
    expect(shown).toContain('https_proxy');
    expect(shown).toContain(text);
    expect(sim.journal).toEqual([]);
  });
});

describe('an untrusted certificate authority', () => {
  const unknown = { NODE_EXTRA_CA_CERTS: undefined };

  test('ends the step when the cloud uses it', async () => {
    await start();
    const run = await act({ inputs: {}, env: unknown });
    expect(run.exitCode).toBe(1);
    expect(errorsOf(run)).toHaveLength(1);
    expect(errorsOf(run)[0]).toContain('self-signed certificate');
    expect(errorsOf(run)[0]).toContain('NODE_EXTRA_CA_CERTS');
    expect(sim.journal).toEqual([]);
  });

  test('warns when the verification of certificates is turned off', async () => {
    await start();
    const run = await act({ inputs: { operation: 'delete' }, env: { ...unknown, NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
    expect(errorsOf(run)).toEqual([]);
    const warnings = run.annotations.filter(({ level }) => level === 'warning');
    expect(warnings.map(({ message }) => message).join('\n')).toContain('NODE_TLS_REJECT_UNAUTHORIZED=0');
  });

  test('ends the step when a proxy that opens TLS uses it', async () => {
    await start();
    const { url } = await startProxy({ 'login.microsoftonline.com:443': targetOf(sim.loginEndpoint) });
    const run = await act({ inputs: { environment: 'azurecloud' }, env: { ...unknown, HTTPS_PROXY: url } });
    expect(run.exitCode).toBe(1);
    expect(errorsOf(run)).toHaveLength(1);
    expect(errorsOf(run)[0]).toContain('NODE_EXTRA_CA_CERTS');
    expect(sim.journal).toEqual([]);
  });
});

test('the step ends with one error after several tries when the URL does not answer', async () => {
  const run = await unanswered;
  expect(run.exitCode).toBe(1);
  expect(errorsOf(run)).toHaveLength(1);
  expect(errorsOf(run)[0]).toContain('no answer');
  expect(errorsOf(run)[0]).toContain('Who must act: the operator of the runner');
  expect(errorsOf(run)[0]).toContain('HTTPS_PROXY and NO_PROXY');
});
