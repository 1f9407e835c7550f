/** Sign-ins and their refusals, as the author of a workflow sees them. The explanation of each code: unit/error-catalog. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { githubSettings, subjectOf } from '../../simulator/github/github.ts';
import { defaults, makeClientCertificate, type Simulator, startSimulator } from '../../simulator/index.ts';
import type { World } from '../../simulator/world/world.ts';
import {
  type ActionOptions,
  assertNoSecrets,
  defaultInputs,
  type Run,
  runAction,
  timeJump,
} from '../support/harness.ts';

const { clientId, tenantId, imageTenantId, otherTenantId, subscriptionId } = defaults;
const fourthTenantId = '44444444-dddd-4e6f-9f85-3f0f4b8c4d04';
const issuer = 'https://token.actions.githubusercontent.com';
const audience = 'api://AzureADTokenExchange';

const open: Simulator[] = [];
afterAll(() => Promise.all(open.map((one) => one.close())));

let sim: Simulator;
/** Without a change of the world, a simulator that all such tests share: they create nothing. */
let shared: Simulator | undefined;
async function start(world?: (world: World) => void): Promise<void> {
  const isNew = world !== undefined || shared === undefined;
  sim = shared && !world ? shared : await startSimulator({ timeScale: 0.002, world });
  if (isNew) open.push(sim);
  if (!world) shared = sim;
  sim.world.journal.clear();
}

interface Given extends Partial<Omit<ActionOptions, 'sim'>> {
  readonly secrets?: readonly string[];
}

/** Runs the action with debug logging, where most would slip out, and sees that nothing secret does. */
async function act({ inputs = {}, secrets = [], ...more }: Given = {}): Promise<Run> {
  const run = await runAction({
    sim,
    phases: ['main'],
    ...more,
    inputs: { ...defaultInputs(sim), 'vm-name': 'vm1', ...inputs },
    env: { RUNNER_DEBUG: '1', ...more.env },
  });
  const given = inputs['client-secret'] ?? defaults.clientSecret;
  assertNoSecrets(run, [...(given ? [given] : []), githubSettings(sim.world).requestToken, ...secrets]);
  return run;
}

/** The one error of a run that failed before it wrote anything. */
async function refusal(given: Given = {}): Promise<string> {
  const run = await act(given);
  const errors = run.annotations.filter(({ level }) => level === 'error');
  expect(errors).toHaveLength(1);
  expect(run.exitCode).toBe(1);
  expect(writes()).toEqual([]);
  return errors[0]?.message ?? '';
}

const writes = () => sim.journal.filter(({ host, method }) => host === 'arm' && method !== 'GET');
const kinds = (host: 'arm' | 'entra' | 'github') =>
  sim.journal.filter((one) => one.host === host).map(({ kind }) => kind);
const app = (world: World) => {
  const found = world.apps.get(clientId);
  if (!found) throw new Error('the app is missing');
  return found;
};
const oidc: Given = { inputs: { 'client-secret': '' }, idToken: true };
const check = { operation: 'check' };

function expectSignedIn(run: Run, ...tenants: string[]): void {
  expect(run.annotations.filter(({ level }) => level === 'error')).toEqual([]);
  expect(run.exitCode).toBe(0);
  for (const tenant of tenants) expect(run.stdout).toContain(`Signed in to tenant ${tenant}`);
  const callers = sim.journal.filter(({ kind }) => kind === 'entra.token').map(({ caller }) => caller?.tenant);
  expect(new Set(callers)).toEqual(new Set(tenants));
  expect(callers).toHaveLength(tenants.length);
}

/** All requests, those to Entra too, carry the correlation ID that the log names, and debug lines show it. */
function expectCorrelation(run: Run): void {
  const id = /Correlation ID of all requests of this run: ([0-9a-f-]{36})/.exec(run.stdout)?.[1];
  const toEntra = sim.journal.filter(({ host }) => host === 'entra');
  // No discovery: the endpoints of a tenant follow from those of the cloud.
  expect(new Set(toEntra.map(({ kind }) => kind))).toEqual(new Set(['entra.token']));
  expect(toEntra.map(({ requestHeaders }) => requestHeaders['client-request-id'])).toEqual(toEntra.map(() => id));
  const toManager = sim.journal.filter(({ host }) => host === 'arm');
  expect(toManager.map(({ kind }) => kind)).toContain('metadata');
  expect(new Set(toManager.map(({ requestHeaders }) => requestHeaders['x-ms-correlation-request-id']))).toEqual(
    new Set([id]),
  );
  const { host } = new URL(sim.loginEndpoint);
  const lines = run.stdout.split('\n').filter((line) => line.includes(` ${host}/`) || line.includes(`POST ${host}`));
  expect(lines.length).toBeGreaterThanOrEqual(toEntra.length);
  for (const line of lines) expect(line).toMatch(new RegExp(` correlation ${id}$`));
}

describe('a sign-in', () => {
  let pem: { certificate: string; privateKey: string };
  let ending: typeof pem;
  beforeAll(async () => {
    [pem, ending] = await Promise.all([
      makeClientCertificate(),
      makeClientCertificate({ notAfter: new Date(Date.now() + 12.5 * 86_400_000) }),
    ]);
  });
  const withPem = ({ certificate, privateKey }: typeof pem): Given => ({
    inputs: { 'client-secret': '', 'client-certificate': `${privateKey}\n${certificate}\n` },
    secrets: privateKey.split('\n').filter((line) => line.length > 40),
  });

  test('succeeds with a secret when the inputs name tenants by their domains, under one correlation ID', async () => {
    await start();
    const run = await act({
      inputs: { ...check, 'tenant-id': defaults.tenantDomain, 'image-tenant-id': defaults.imageTenantDomain },
    });
    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain(`Signed in to tenant ${defaults.tenantDomain} (${tenantId}) as ${clientId}.`);
    expectCorrelation(run);
  });

  test('succeeds with a certificate and sends three auxiliary tokens when two more tenants are named', async () => {
    await start((world) => {
      app(world).certificates.push(pem.certificate);
      world.addTenant({ id: fourthTenantId, domain: 'fourth.example' });
      for (const tenant of [otherTenantId, fourthTenantId]) world.installApp(clientId, tenant);
    });
    const { inputs, secrets = [] } = withPem(pem);
    const run = await act({
      inputs: { ...inputs, 'auxiliary-tenant-ids': `${otherTenantId}, ${fourthTenantId}` },
      secrets,
    });
    expectSignedIn(run, tenantId, imageTenantId, otherTenantId, fourthTenantId);
    expect(run.stdout).toMatch(/The client certificate is valid until \S+Z \(36[45] days\)\./);
    expect(run.annotations.filter(({ message }) => message.includes('certificate'))).toEqual([]);
    const put = sim.journal.find(({ kind }) => kind === 'vm.put');
    expect(put?.status).toBe(201);
    expect(put?.auxiliary.map(({ tenant }) => tenant)).toEqual([imageTenantId, otherTenantId, fourthTenantId]);
    const others = sim.journal.filter(({ provider }) => provider !== 'Microsoft.Compute');
    expect(others.flatMap(({ auxiliary }) => auxiliary)).toEqual([]);
  });

  test('warns when the certificate ends soon', async () => {
    await start((world) => {
      app(world).certificates.push(ending.certificate);
    });
    const { inputs, secrets = [] } = withPem(ending);
    const run = await act({ inputs: { ...inputs, ...check }, secrets });
    expectSignedIn(run, tenantId, imageTenantId);
    expect(run.annotations.map(({ level, message }) => `${level}: ${message}`)).toContainEqual(
      expect.stringMatching(/^warning: The client certificate is valid until .* \(12 days\)\. Register a new one/),
    );
  });

  test('requests an ID token with the audience of the cloud for each tenant when it uses OIDC', async () => {
    await start();
    const run = await act({ ...oidc, inputs: { ...oidc.inputs, ...check } });
    expectSignedIn(run, tenantId, imageTenantId);
    const asked = sim.journal.filter(({ kind }) => kind === 'github.idToken');
    expect(asked.map(({ query }) => query['audience'])).toEqual([audience, audience]);
    // Two ID tokens and two access tokens.
    expect(run.masks.filter((mask) => mask.startsWith('eyJ'))).toHaveLength(4);
  });

  test('succeeds with OIDC when subject is immutable and audience custom', async () => {
    await start((world) => {
      const settings = githubSettings(world);
      settings.immutableSubject = true;
      app(world).federatedCredentials = [
        { name: 'main', issuer, subject: subjectOf(settings), audiences: ['api://ours'] },
      ];
    });
    const run = await act({ ...oidc, inputs: { ...oidc.inputs, ...check, audience: 'api://ours' } });
    expectSignedIn(run, tenantId, imageTenantId);
  });

  test('requests a new ID token each time when the run outlives its tokens', async () => {
    await start((world) => {
      world.latencies['vmPutLinux'] = 200;
    });
    const { env, name } = timeJump(3500);
    const run = await act({
      ...oidc,
      env: { ...oidc.env, ...env },
      signal: { name, whenLog: /Creating virtual machine/ },
    });
    expect(run.exitCode).toBe(0);
    const tokens = sim.journal.filter(({ kind }) => kind === 'entra.token').length;
    expect(tokens).toBeGreaterThan(2);
    expect(kinds('github').filter((kind) => kind === 'github.idToken')).toHaveLength(tokens);
  });
});

describe('a refusal of Entra', () => {
  const consent = (tenant: string): string[] => [
    `https://localhost:${new URL(sim.loginEndpoint).port}/${tenant}/adminconsent?client_id=${clientId}`,
    `https://localhost:${new URL(sim.loginEndpoint).port}/${tenant}/oauth2/authorize?client_id=${clientId}&response_type=code&redirect_uri=https%3A%2F%2Fwww.microsoft.com%2F`,
    `az login --tenant ${tenant} --allow-no-subscriptions`,
    `az ad sp create --id ${clientId}`,
  ];

  test.each<[string, ((world: World) => void) | undefined, Given, (said: string) => void]>([
    [
      'AADSTS7000215',
      undefined,
      { inputs: { 'client-secret': 'wrong-secret~of-somebody-else' } },
      (said) => expect(said).toContain(`az ad app credential reset --id ${clientId} --append`),
    ],
    [
      'AADSTS700016',
      undefined,
      { inputs: { 'auxiliary-tenant-ids': otherTenantId } },
      (said) => {
        expect(said).toContain(`Who must act: an administrator of the auxiliary tenant ${otherTenantId}`);
        for (const line of consent(otherTenantId)) expect(said).toContain(line);
      },
    ],
    [
      'AADSTS700024',
      (world) => {
        githubSettings(world).skewSeconds = -3600;
      },
      oidc,
      (said) => {
        expect(said).toContain("the runner's clock plays no part");
        expect(said).not.toMatch(/NTP|operator of the runner/);
      },
    ],
  ])('names cause, who must act and the correlation ID when it is %s', async (code, world, given, expectations) => {
    await start(world);
    const said = await refusal(given);
    expect(said).toContain(code);
    expect(said).toMatch(/^Cause: \S/m);
    expect(said).toMatch(/^Who must act: \S/m);
    expect(said).toMatch(/^Correlation ID: [0-9a-f-]{36}$/m);
    expect(said).not.toMatch(/<[a-z-]+>/);
    expectations(said);
  });

  test('names the command when the certificate is not registered (AADSTS700027)', async () => {
    await start();
    const { privateKey, certificate } = await makeClientCertificate();
    const said = await refusal({
      // Without a line break between the two, as pasted by hand.
      inputs: { 'client-secret': '', 'client-certificate': privateKey + certificate },
      secrets: privateKey.split('\n').filter((line) => line.length > 40),
    });
    expect(said).toContain('AADSTS700027');
    expect(said).toContain(`az ad app credential reset --id ${clientId} --cert @cert.pem --append`);
  });
});

describe('federated credentials', () => {
  const classic = 'repo:contoso/deploy:ref:refs/heads/release';
  const immutable = 'repo:contoso@123456/deploy@456789:ref:refs/heads/release';
  const release = (world: World): void => {
    githubSettings(world).ref = 'refs/heads/release';
  };

  /** The parameters of the commands, as a shell and JSON read them. */
  function credentials(said: string): { issuer: string; subject: string; audiences: string[] }[] {
    const start = `az ad app federated-credential create --id ${clientId} --parameters '`;
    return said
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line.startsWith(start))
      .map((line) => JSON.parse(line.slice(start.length, -1)));
  }

  test('name the claims of the token and the command when Entra answers AADSTS700213', async () => {
    await start(release);
    const expected = [
      { issuer, subject: classic, audiences: [audience] },
      { issuer, subject: immutable, audiences: [audience] },
    ];
    const said = await refusal(oidc);
    expect(said).toContain('AADSTS700213:');
    expect(credentials(said)).toMatchObject(expected);
    const [first] = credentials(said);
    expect(said).toContain(
      `This job's token has issuer ${first?.issuer}, subject ${first?.subject} and audience ${first?.audiences[0]}.`,
    );
  });
});

describe('a sign-in without an ID token of GitHub', () => {
  test('fails without a request when the pull request is from a fork', async () => {
    await start();
    const said = await refusal({
      inputs: { 'client-secret': '' },
      env: { GITHUB_EVENT_NAME: 'pull_request' },
      event: { pull_request: { head: { repo: { full_name: 'someone/deploy' } } } },
    });
    expect(said).toMatch(/pull request from a fork \(someone\/deploy\)/);
    expect(sim.journal).toEqual([]);
  });

  test('fails before any request to Azure when the provider refuses', async () => {
    await start((world) => {
      githubSettings(world).refuseTokens = 403;
    });
    const said = await refusal(oidc);
    expect(said).toContain("Failed while asking GitHub's OIDC provider for an ID token.");
    expect(said).toContain('answered 403');
    expect(kinds('arm')).toEqual(['metadata']);
  });
});

describe('an access token', () => {
  const domains = { 'tenant-id': defaults.tenantDomain, 'image-tenant-id': defaults.imageTenantDomain };

  test('is used and logged when it is opaque and its tenant is a GUID or a domain, which Entra resolves', async () => {
    await start((world) => {
      world.tokens.opaque = true;
    });
    const run = await act({ inputs: { 'tenant-id': defaults.tenantDomain } });
    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain(`Signed in to tenant ${defaults.tenantDomain} (${tenantId}) as ${clientId}.`);
    expect(run.stdout).toContain(`Signed in to tenant ${imageTenantId}`);
    expect(run.stdout).toContain(`The access token for tenant ${imageTenantId} is opaque`);
    expect(sim.journal.find(({ kind }) => kind === 'vm.put')?.status).toBe(201);
  });

  test('is refused when it is opaque and Entra does not resolve the domain', async () => {
    await start((world) => {
      world.tokens.opaque = true;
      world.faults.add({
        match: { host: 'entra', path: /^\/deploy\.example\/v2\.0\//, times: Infinity },
        effect: { status: 404, body: {} },
      });
    });
    const said = await refusal({ inputs: domains });
    expect(said).toContain(`Failed while resolving the ID of tenant ${defaults.tenantDomain}.`);
    expect(said).toContain(`Use the tenant's GUID instead of ${defaults.tenantDomain}.`);
    expect(said).toContain('(HTTP 404)');
  });

  test('names who must consent when Resource Manager refuses a token without a service principal', async () => {
    await start((world) => world.tokens.claims.set(imageTenantId, { oid: undefined }));
    const said = await refusal();
    expect(said).toContain('401 InvalidAuthenticationToken');
    expect(said).toContain(`has no service principal in the image tenant (${imageTenantId}) yet`);
    expect(said).toContain(`Who must act: an administrator of the image tenant (${imageTenantId})`);
    expect(said).toContain(`/${imageTenantId}/adminconsent?client_id=${clientId}`);
    expect(said).toContain(`az login --tenant ${imageTenantId} --allow-no-subscriptions`);
  });
});

describe('an unexpected tenant or app', () => {
  test('fails when the token is of another tenant', async () => {
    await start((world) => world.tokens.claims.set(imageTenantId, { tid: otherTenantId }));
    const said = await refusal();
    expect(said).toContain(
      `The token is for tenant ${otherTenantId} and app ${clientId}, not for tenant ${imageTenantId} and app ${clientId}.`,
    );
    expect(sim.journal.filter(({ path }) => path.includes('/galleries/'))).toEqual([]);
  });

  test('fails when the token is of another app', async () => {
    const other = '99999999-9999-4999-8999-999999999999';
    await start((world) => world.tokens.claims.set(tenantId, { appid: other }));
    expect(await refusal()).toContain(`The token is for tenant ${tenantId} and app ${other}, not`);
    expect(kinds('arm')).toEqual(['metadata']);
  });

  test('fails when the image belongs to another tenant than the one named by its domain', async () => {
    await start();
    const said = await refusal({
      inputs: {
        'image-tenant-id': defaults.imageTenantDomain,
        'image-id': defaults
          .imageId('linux', '1.0.0')
          .replace(defaults.imageSubscriptionId, defaults.otherSubscriptionId),
      },
    });
    expect(said).toContain('401 InvalidAuthenticationTokenTenant');
    expect(said).toContain(`The token is from the image tenant (${imageTenantId})`);
    expect(said).toContain(`Set \`image-tenant-id\` to ${otherTenantId}`);
  });

  test('fails when another tenant has only delegated the subscription', async () => {
    await start((world) => {
      world.subscriptions.get(defaults.otherSubscriptionId)?.managedByTenants.push(tenantId);
      world.grant(
        world.servicePrincipal(clientId, tenantId)?.oid ?? '',
        'Contributor',
        `/subscriptions/${defaults.otherSubscriptionId}`,
      );
    });
    const said = await refusal({ inputs: { 'subscription-id': defaults.otherSubscriptionId } });
    expect(said).toContain(`belongs to tenant ${otherTenantId}, not to tenant ${tenantId}`);
  });

  test('fails and names the auxiliary tenant when its token is refused', async () => {
    await start((world) => {
      world.installApp(clientId, otherTenantId);
      world.tokens.claims.set(otherTenantId, { aud: 'https://graph.example/' });
    });
    const run = await act({ inputs: { 'auxiliary-tenant-ids': otherTenantId } });
    expect(run.exitCode).toBe(1);
    const [error] = run.annotations.filter(({ level }) => level === 'error');
    expect(error?.message).toContain('401 InvalidAuthenticationToken');
    expect(error?.message).toContain(`refused the token of the auxiliary tenant ${otherTenantId}.`);
    expect(error?.message).toContain(`az login --tenant ${otherTenantId} --allow-no-subscriptions`);
    // What had been made by then is undone, which needs no auxiliary token.
    const left = [...sim.world.resources.under(`/subscriptions/${subscriptionId}/resourceGroups/deploy-rg`)];
    expect(left.map(({ id }) => id)).toEqual([]);
  });
});

test('the post step warns, and names who must act and what is left, when it cannot sign in', async () => {
  await start(() => undefined);
  const run = await act({
    inputs: { cleanup: 'always' },
    phases: ['main', 'post'],
    between: () => sim.world.uninstallApp(clientId, tenantId),
  });
  expect([run.exitCode, run.post?.exitCode]).toEqual([0, 0]);
  const warning = run.post?.annotations.find(({ message }) => message.includes('AADSTS700016'));
  expect(warning?.level).toBe('warning');
  expect(warning?.message).toContain(`Who must act: an administrator of the VM's tenant (${tenantId})`);
  expect(warning?.message).toContain(`az ad sp create --id ${clientId}`);
  expect(warning?.message).toContain(run.outputs['vm-id']);
});

describe('the first grant', () => {
  test('is waited for when the subscription is not visible yet', async () => {
    const group = `/subscriptions/${subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
    await start((world) => world.revoke(clientId, group));
    const run = await act({
      inputs: { ...check, 'subscription-id': '', operation: 'create' },
      onLine: ({ text }) => {
        if (text.includes('checking again in 1 s')) sim.world.grant(clientId, 'Contributor', group);
      },
    });
    expect(run.exitCode).toBe(0);
    expect(run.outputs['subscription-id']).toBe(subscriptionId);
  });
});

test('an unhandled rejection is reported and ends the run with cleanup', async () => {
  await start((world) => {
    world.latencies['vmPutLinux'] = 100_000;
  });
  const bug = `process.on('SIGUSR2', () => void Promise.reject(new Error('a bug')))`;
  const run = await act({
    env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(bug)}` },
    signal: { name: 'SIGUSR2', whenLog: /Creating virtual machine/ },
  });
  expect(run.exitCode).toBe(1);
  expect(run.annotations.filter(({ level }) => level === 'error')[0]?.message).toContain('a bug');
  const left = [...sim.world.resources.under(`/subscriptions/${subscriptionId}/resourceGroups/deploy-rg`)];
  expect(left.map(({ id }) => id)).toEqual([]);
});
