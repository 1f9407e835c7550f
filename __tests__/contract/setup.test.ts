// Runs scripts/setup.sh with a fake Azure CLI.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type AzureState, az } from '../support/fake-az.ts';

const root = resolve(import.meta.dirname, '../..');
const script = join(root, 'scripts/setup.sh');
const imageTenant = '11111111-aaaa-4b1e-8c52-0d7d1e5f1a01';
const targetTenant = '22222222-bbbb-4c3d-9d63-1e8e2f6a2b02';
const clientId = '7c9d0c52-3f5b-4a84-9e0e-5b2f4d6a8c10';
const principal = '0b1c2d3e-0000-4000-8000-000000000001';
const imageSubscription = '1a2f6c2e-5d0e-4c1b-9a53-6f0f0c9f1e01';
const subscription = '2b3f7d3f-6e1f-4d2c-8b64-7a1a1d0a2f02';
const gallery = `/subscriptions/${imageSubscription}/resourceGroups/gallery-rg/providers/Microsoft.Compute/galleries/images`;
/** Where the consent of src/error-catalog/sign-in.ts and docs/setup.md ends: Entra compares it to the letter. */
const afterConsent = 'https://www.microsoft.com/';
const group = `/subscriptions/${subscription}/resourceGroups/deployments`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const nothing: AzureState = {
  tenant: imageTenant,
  subscriptions: { [imageSubscription]: imageTenant },
  apps: [],
  servicePrincipals: [],
  roleAssignments: [],
  roleDefinitions: [],
  groups: {},
  providers: {},
};
const other: AzureState = {
  ...nothing,
  tenant: targetTenant,
  subscriptions: { [subscription]: targetTenant },
};

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly state: AzureState;
  /** Calls that change something. */
  readonly changes: readonly string[];
}

let state = nothing;

/** Runs the script; the state goes on from the run before, unless one is given. */
async function setup(args: readonly string[], start?: AzureState): Promise<Result> {
  state = structuredClone(start ?? state);
  const calls: string[][] = [];
  const socket = join(folder, 'az.sock');
  const server = createServer((request, response) => {
    void (async () => {
      const call = (await text(request)).split('\0').slice(0, -1);
      calls.push(call);
      try {
        response.end(az(call, state));
      } catch (error) {
        response.writeHead(400).end(String(error));
      }
    })();
  });
  server.listen(socket);
  await once(server, 'listening');
  const client = `printf '%s\\0' "$@" | curl --silent --fail --unix-socket '${socket}' --data-binary @- http://az/`;
  writeFileSync(join(folder, 'az'), `#!/bin/sh\n${client}\n`);
  chmodSync(join(folder, 'az'), 0o755);
  const child = spawn('bash', [script, ...args], {
    env: { PATH: `${folder}:/usr/bin:/bin`, SETUP_PAUSE: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  server.close();
  await once(server, 'close');
  const reading = /^(cloud|account|group exists|provider show|.* (list|show)( |$))/;
  return {
    status,
    stdout,
    stderr,
    state: structuredClone(state),
    changes: calls.map((call) => call.join(' ')).filter((call) => !reading.test(call.split(' --')[0] ?? '')),
  };
}

test('setup.sh passes bash -n and shellcheck', () => {
  execFileSync('bash', ['-n', script]);
  const check = spawnSync('shellcheck', [script], { encoding: 'utf8' });
  // shellcheck may be missing locally; the workflow "Lint" has it.
  if (check.error === undefined) expect(check.stdout).toBe('');
});

test('setup.sh and the consent URL use the same redirect URI', () => {
  for (const path of ['src/error-catalog/sign-in.ts', 'docs/setup.md']) {
    const said = readFileSync(join(root, path), 'utf8').matchAll(/redirect_uri=([\w.%]+)/g);
    expect([...said].map(([, uri = '']) => decodeURIComponent(uri))).toEqual([afterConsent]);
  }
  expect(readFileSync(join(root, 'docs/setup.md'), 'utf8')).toContain(`--web-redirect-uris ${afterConsent} `);
});

describe('image-tenant', () => {
  const args = [
    'image-tenant',
    '--gallery',
    gallery,
    '--repository',
    'contoso/deploy',
    '--environment',
    'customer',
    '--owner-id',
    '123456',
    '--repository-id',
    '456789',
    '--secret',
  ];

  test('creates the app, both federated credentials and the role on the gallery', async () => {
    const { status, stdout, stderr, state } = await setup(args, nothing);
    expect(stderr).toBe('Creating a service principal for the app in this tenant.\n');
    expect(status).toBe(0);
    const [app] = state.apps;
    expect(app?.signInAudience).toBe('AzureADMultipleOrgs');
    expect(app?.web.redirectUris).toEqual([afterConsent]);
    expect(app?.federated).toEqual(
      ['repo:contoso/deploy:environment:customer', 'repo:contoso@123456/deploy@456789:environment:customer'].map(
        (subject) => ({
          name: expect.any(String),
          issuer: 'https://token.actions.githubusercontent.com',
          subject,
          audiences: ['api://AzureADTokenExchange'],
        }),
      ),
    );
    expect(state.roleAssignments).toEqual([{ principal, role: 'Compute Gallery Image Reader', scope: gallery }]);
    expect(stdout).toContain('made-by-azure');
    expect(stdout).toContain(clientId);
    expect(stdout).toContain(
      `gh variable set IMAGE_TENANT_ID --repo contoso/deploy --env 'customer' --body ${imageTenant}`,
    );
  });

  test('changes nothing when run again, and creates no second secret', async () => {
    const before = (await setup(args, nothing)).state;
    const { status, stdout, changes, state } = await setup(args);
    expect(status).toBe(0);
    expect(changes).toEqual([]);
    expect(state).toEqual(before);
    expect(stdout).not.toContain('made-by-azure');
  });

  test('--dry-run changes nothing and prints each command', async () => {
    const { status, stdout, stderr, changes, state } = await setup([...args, '--dry-run'], nothing);
    expect(status).toBe(0);
    expect(changes).toEqual([]);
    expect(state).toEqual(nothing);
    expect(stderr).toContain('+ az ad app create --display-name cross-tenant-vm');
    expect(stderr.match(/^\+ az /gm)).toHaveLength(6);
    expect(stdout).toContain('Would create the app registration "cross-tenant-vm".');
    expect(stdout + stderr).not.toMatch(/^(?:Creat|Assign|Add|Allow|Register|Updat)ing /m);
  });

  test('prints the variables of the workflow and the complete command for the other side', async () => {
    const { stdout } = await setup(args, nothing);
    expect(stdout).toContain(`gh variable set CLIENT_ID --repo contoso/deploy --env 'customer' --body ${clientId}\n`);
    expect(stdout).toContain(`--body '${gallery}/images/<image-definition>'\n`);
    expect(stdout).toContain(`bash setup.sh target-tenant --client-id ${clientId} \\\n`);
    expect(stdout).toMatch(/--location <region> --register --role-definition deploy\.json\n$/);
  });

  test('--page prints only the page for the other side, with real IDs', async () => {
    const known = ['--target-tenant', targetTenant, '--subscription', subscription, '--resource-group', 'vms-rg'];
    const withoutSecret = args.filter((arg) => arg !== '--secret');
    const { status, stdout, stderr } = await setup(
      [...withoutSecret, '--page', ...known, '--location', 'northeurope'],
      nothing,
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/^# For the administrator of the target tenant\n/);
    for (const value of [clientId, imageTenant, targetTenant, subscription, 'resourceGroups/vms-rg', 'northeurope']) {
      expect(stdout).toContain(value);
    }
    expect(stdout).not.toMatch(/<(?:client-id|image-tenant-id|tenant-id|subscription-id)>/);
    expect(stderr).toContain('gh variable set CLIENT_ID');
  });

  test('makes an existing app multi-tenant, and rejects two apps of the same name', async () => {
    const app = {
      appId: clientId,
      displayName: 'cross-tenant-vm',
      signInAudience: 'AzureADMyOrg',
      web: { redirectUris: ['https://own.example/a', 'https://own.example/b'] },
      secrets: [],
      certificates: [],
      federated: [],
    };
    const opened = await setup(['image-tenant', '--gallery', gallery], { ...nothing, apps: [app] });
    expect(opened.state.apps[0]?.signInAudience).toBe('AzureADMultipleOrgs');
    expect(opened.state.apps[0]?.web.redirectUris).toEqual([
      'https://own.example/a',
      'https://own.example/b',
      afterConsent,
    ]);
    expect((await setup(['image-tenant', '--gallery', gallery])).changes).toEqual([]);
    const two = await setup(['image-tenant', '--gallery', gallery], { ...nothing, apps: [app, app] });
    expect(two.status).toBe(1);
    expect(two.stderr).toContain('--client-id');
    expect(two.changes).toEqual([]);
  });

  test('supports a branch, another cloud and a certificate', async () => {
    const pem = join(folder, 'cert.pem');
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=test'],
        ...['-keyout', join(folder, 'key.pem'), '-out', pem],
      ],
      { stdio: 'ignore' },
    );
    const fingerprint = execFileSync('openssl', ['x509', '-in', pem, '-noout', '-fingerprint', '-sha1'], {
      encoding: 'utf8',
    });
    // The stand-in reads the thumbprint from a file beside the certificate.
    writeFileSync(pem.slice(0, -4), fingerprint.trim().replace(/.*=/, '').replaceAll(':', ''));
    const more = [
      ...['image-tenant', '--gallery', `${gallery}/images/linux`, '--certificate', pem],
      ...['--repository', 'contoso/deploy', '--branch', 'release/1.x'],
    ];
    const { status, stdout, state } = await setup(more, { ...nothing, cloud: 'AzureUSGovernment' });
    expect(status).toBe(0);
    expect(state.apps[0]?.federated).toEqual([
      {
        name: 'github-contoso-deploy-branch-release-1-x',
        issuer: 'https://token.actions.githubusercontent.com',
        subject: 'repo:contoso/deploy:ref:refs/heads/release/1.x',
        audiences: ['api://AzureADTokenExchangeUSGov'],
      },
    ]);
    expect(stdout).toContain('--owner-id');
    expect(state.apps[0]?.certificates).toHaveLength(1);
    expect((await setup(more)).changes).toEqual([]);
    const key = await setup(['image-tenant', '--gallery', gallery, '--certificate', join(folder, 'key.pem')]);
    expect(key.stderr).toContain('private key');
    expect(key.changes).toEqual([]);
  });

  test.each([
    [[], '--gallery'],
    [['--gallery', '/subscriptions/x'], 'the ID of a gallery or image definition'],
    [['--gallery', gallery, '--repository', 'contoso/deploy'], '--environment NAME or --branch NAME'],
    [['--gallery', gallery, '--environment', 'x'], '--repository OWNER/REPO'],
    [['--gallery', gallery, '--repository', 'a b', '--environment', 'x'], '--repository (OWNER/REPO) is not valid'],
    [['--gallery', gallery, '--repository', 'a/b', '--environment', 'x"y'], '--environment is not valid'],
    [['--gallery', gallery, '--page', '--secret'], 'separate runs'],
    [['--gallery'], 'needs a value'],
    [['--galery', gallery], 'unknown option --galery'],
  ])('rejects %j', async (wrong, message) => {
    const { status, stderr, changes } = await setup(['image-tenant', ...wrong], nothing);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(changes).toEqual([]);
  });
});

describe('target-tenant', () => {
  const args = ['target-tenant', '--client-id', clientId, '--subscription', subscription];
  const inGroup = [...args, '--resource-group', 'deployments'];

  test('creates the principal and the group, and retries the assignment of Contributor', async () => {
    const { status, stdout, state } = await setup([...inGroup, '--location', 'westeurope', '--register'], {
      ...other,
      unknownPrincipal: 2,
    });
    expect(status).toBe(0);
    expect(state.groups).toEqual({ deployments: 'westeurope' });
    expect(state.roleAssignments).toEqual([{ principal, role: 'Contributor', scope: group }]);
    expect(state.providers).toEqual({
      'Microsoft.Compute': 'Registered',
      'Microsoft.Network': 'Registered',
      'Microsoft.ManagedIdentity': 'Registered',
    });
    expect(stdout).toContain(`tenant-id: ${targetTenant}`);
    const again = await setup([...inGroup, '--register']);
    expect(again.changes).toEqual([]);
  });

  test('assigns custom roles on the group and other resources, and updates them', async () => {
    const registry = `/subscriptions/${subscription}/resourceGroups/registry-rg/providers/Microsoft.ContainerRegistry/registries/acrimages`;
    const custom = [
      ...inGroup,
      ...['--role-definition', join(root, 'docs/roles/deploy.json')],
      ...['--role-definition', join(root, 'docs/roles/run-scripts.json')],
      ...['--on', registry, join(root, 'docs/roles/grant-roles.json'), '--condition', '(only AcrPull)'],
    ];
    const start = { ...other, groups: { deployments: 'westeurope' } };
    const { status, stderr, state } = await setup(custom, start);
    expect(stderr).toContain('Creating the custom role');
    expect(status).toBe(0);
    expect(state.roleAssignments).toEqual([
      { principal, role: 'Cross-tenant VM deployer', scope: group },
      { principal, role: 'Cross-tenant VM script runner', scope: group },
      { principal, role: 'Cross-tenant VM role granter', scope: registry, condition: '(only AcrPull)' },
    ]);
    expect(JSON.stringify(state.roleDefinitions)).not.toContain('<subscription-id>');
    expect((await setup(custom)).changes).toEqual([]);

    const outdated = {
      ...state,
      roleDefinitions: state.roleDefinitions.map((role) => ({ ...role, Actions: role.Actions.slice(1) })),
    };
    const renewed = await setup(custom, outdated);
    expect(renewed.changes.map((call) => call.split(' --')[0])).toEqual([
      'role definition update',
      'role definition update',
      'role definition update',
    ]);
    expect(renewed.state.roleDefinitions.map(({ Actions }) => Actions.length)).toEqual(
      state.roleDefinitions.map(({ Actions }) => Actions.length),
    );
  });

  const otherSubscription = '3c4a8e4a-7f2a-4e3d-9c75-8b2b2e1b3f03';
  const registryElsewhere = `/subscriptions/${otherSubscription}/resourceGroups/registry-rg/providers/Microsoft.ContainerRegistry/registries/acrimages`;
  const grant = (scope: string, condition?: string) => [
    ...['--on', scope, join(root, 'docs/roles/grant-roles.json')],
    ...(condition ? ['--condition', condition] : []),
  ];
  const both: AzureState = {
    ...other,
    subscriptions: { [subscription]: targetTenant, [otherSubscription]: targetTenant },
    groups: { deployments: 'westeurope' },
  };
  const assignable = (...ids: string[]) => ids.map((id) => `/subscriptions/${id}`);

  test('does not assign Contributor when a role on another resource is requested', async () => {
    const { status, state } = await setup([...inGroup, ...grant(`${group}/x`, '(only AcrPull)')], both);
    expect(status).toBe(0);
    expect(state.roleAssignments).toEqual([
      {
        principal,
        role: 'Cross-tenant VM role granter',
        scope: `${group}/x`,
        condition: '(only AcrPull)',
      },
    ]);
  });

  test.each([
    [undefined, 'no condition'],
    ['(everything)', 'another condition'],
  ])('rejects an existing assignment with the condition %j', async (condition, message) => {
    const given = await setup([...inGroup, ...grant(`${group}/x`, condition)], both);
    expect(given.status).toBe(0);
    const { status, stderr, changes } = await setup([...inGroup, ...grant(`${group}/x`, '(only AcrPull)')]);
    expect(status).toBe(1);
    expect(changes).toEqual([]);
    expect(stderr).toContain(message);
    expect(stderr).toContain(
      `az role assignment delete --assignee ${principal} --role "Cross-tenant VM role granter" --scope ${group}/x`,
    );
  });

  test('creates a role in the subscription of its assignment', async () => {
    const { status, state } = await setup([...inGroup, ...grant(registryElsewhere)], both);
    expect(status).toBe(0);
    expect(state.roleDefinitions[0]?.AssignableScopes).toEqual(assignable(otherSubscription));
    expect(state.roleAssignments).toEqual([
      { principal, role: 'Cross-tenant VM role granter', scope: registryElsewhere },
    ]);
  });

  test('adds a subscription to the assignable scopes of an existing role', async () => {
    await setup([...inGroup, ...grant(`${group}/x`)], both);
    const more = await setup([...inGroup, ...grant(registryElsewhere)]);
    expect(more.status).toBe(0);
    expect(more.state.roleDefinitions.map(({ AssignableScopes }) => AssignableScopes)).toEqual([
      assignable(subscription, otherSubscription),
    ]);
    expect(more.state.roleAssignments).toHaveLength(2);
    expect((await setup([...inGroup, ...grant(registryElsewhere), ...grant(`${group}/x`)])).changes).toEqual([]);

    const outdated = {
      ...more.state,
      roleDefinitions: more.state.roleDefinitions.map((role) => ({
        ...role,
        Actions: role.Actions.slice(1),
      })),
    };
    const renewed = await setup([...inGroup, ...grant(registryElsewhere)], outdated);
    expect(renewed.changes).toHaveLength(1);
    expect(renewed.state.roleDefinitions).toEqual(more.state.roleDefinitions);
  });

  test('--dry-run changes nothing', async () => {
    const { status, stderr, changes, state } = await setup(
      [...inGroup, '--location', 'westeurope', '--register', '--dry-run'],
      other,
    );
    expect(status).toBe(0);
    expect(changes).toEqual([]);
    expect(state).toEqual(other);
    expect(stderr.match(/^\+ az /gm)).toHaveLength(6);
  });

  test.each([
    [['target-tenant', '--subscription', subscription], '--client-id'],
    [args, '--resource-group'],
    [inGroup, 'create it, or pass --location'],
    [[...inGroup, '--role-definition', '/nowhere.json', '--location', 'x'], 'file not found: /nowhere.json'],
  ])('rejects %j', async (wrong, message) => {
    const { status, stderr } = await setup(wrong, other);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
  });

  test('rejects a subscription outside the current tenant of az', async () => {
    const subscriptions = { [imageSubscription]: imageTenant, [subscription]: targetTenant };
    const { status, stderr, changes } = await setup(inGroup, { ...other, subscriptions });
    expect(status).toBe(1);
    expect(stderr).toContain(`az account set --subscription ${subscription}`);
    expect(changes).toEqual([]);
  });
});

describe('text that would be code in a filter, in JSON or in a shell', () => {
  const image = (option: string) => ['image-tenant', '--gallery', gallery, option];
  const target = ['target-tenant', '--client-id', clientId, '--subscription', subscription];
  const repository = ['image-tenant', '--gallery', gallery, '--repository', 'contoso/deploy'];
  const options: readonly (readonly string[])[] = [
    ['image-tenant', '--gallery'],
    image('--app-name'),
    image('--client-id'),
    [...image('--environment').slice(0, 3), '--environment', 'x', '--repository'],
    [...repository, '--environment'],
    [...repository, '--branch'],
    [...repository, '--branch', 'main', '--owner-id'],
    [...repository, '--branch', 'main', '--repository-id'],
    ['target-tenant', '--subscription', subscription, '--resource-group', 'rg', '--client-id'],
    ['target-tenant', '--client-id', clientId, '--resource-group', 'rg', '--subscription'],
    [...target, '--resource-group'],
    [...target, '--resource-group', 'rg', '--location'],
    [...target, '--resource-group', 'rg', '--role'],
  ];
  const texts = ["x' or '1'=='1", 'x; rm -rf y', 'x$(touch y)', 'x\ny', '../x', 'a..b', 'x"}', '`x`', 'x|y', 'x&y'];

  test.each(options.map((option) => [option.at(-1) ?? '', option] as const))(
    'is rejected in %s, also in a dry run',
    async (_, option) => {
      for (const value of texts) {
        const { status, stderr, changes } = await setup(
          [...option, value, '--dry-run'],
          option[0] === 'image-tenant' ? nothing : other,
        );
        expect([value, status, stderr.split('\n').length]).toEqual([value, 1, 2]);
        expect(stderr).toMatch(/^setup\.sh: .* is not valid: /);
        expect(changes).toEqual([]);
      }
    },
  );
});

test('prints the usage when called without a command', async () => {
  const { status, stderr } = await setup([], nothing);
  expect(status).toBe(2);
  expect(stderr).toContain('setup.sh image-tenant');
  expect((await setup(['image-tenant', '--help'], nothing)).stdout).toContain('--dry-run');
});
