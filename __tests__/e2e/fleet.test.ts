// The reusable fleet workflow: its tenant list, its waves, and one deployment whose steps run as its jobs would run them.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import {
  inputNames as fleetInputs,
  inputsForTenant,
  planWaves,
  type Tenants,
  validateTenants,
} from '../../fleet/plan.mjs';
import { collectResults, formatSummary } from '../../fleet/report.mjs';
import { requestsPerTenant } from '../../bench/fleet.ts';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { inputNames } from '../../src/inputs/inputs.ts';
import { defaultInputs, publicKey, runAction } from '../support/harness.ts';
import { schemaValidator, validatorFile } from '../../scripts/build/schema-validator.ts';
import { documents } from '../../scripts/docs/documents.ts';
import { type Job, type Workflow, workflowAt } from '../support/workflow-files.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const example = JSON.parse(read('examples/tenants.json')) as Tenants;
const waveJob = workflowAt('.github/workflows/fleet-wave.yml').workflow.jobs['deploy'] as Job;
const fleet = workflowAt('.github/workflows/fleet.yml').workflow;

let folder = '';
let sim: Simulator | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fleet-'));
});
afterEach(async () => {
  await sim?.close();
  sim = undefined;
  rmSync(folder, { recursive: true, force: true });
});

describe('tenants.json', () => {
  const valid = (change: (document: { defaults: object; tenants: Record<string, unknown>[] }) => void) => {
    const document = structuredClone(example) as never;
    change(document);
    return document as unknown;
  };
  test('validate-schema.mjs is generated from the schema', async () => {
    expect(readFileSync(validatorFile, 'utf8')).toBe(await schemaValidator());
  });

  const first = (change: (tenant: Record<string, unknown>) => void) =>
    valid(({ tenants: [tenant = {}] }) => change(tenant));

  test.each<[string, unknown, string | undefined]>([
    ['no issue in the example', example, undefined],
    ['a document that is not an object', [], 'the document: must be object'],
    ['missing tenants', {}, "the document: must have required property 'tenants'"],
    ['a size without its prefix', first((tenant) => Object.assign(tenant, { 'vm-size': 'D2s_v5' })), 'D2s_v5'],
    ['a word as public-ip', first((tenant) => Object.assign(tenant, { 'public-ip': 'no' })), '"no" must match'],
    ['no issue if Spot is preferred', first((tenant) => Object.assign(tenant, { spot: 'prefer' })), undefined],
    [
      'an unknown value of spot',
      first((tenant) => Object.assign(tenant, { spot: 'always' })),
      '/tenants/0/spot: must be one of',
    ],
    ['an empty list', { tenants: [] }, '/tenants: must NOT have fewer than 1 items'],
    [
      'an unknown top-level property',
      valid((it) => Object.assign(it, { tenant: [] })),
      'the document: unknown property tenant',
    ],
    ['a name with capitals', first((it) => (it['name'] = 'Own')), '/tenants/0/name: "Own" must match pattern'],
    ['an unknown wave', first((it) => (it['wave'] = 'later')), '/tenants/0/wave: must be one of canary, early, rest'],
    [
      'a missing tenant ID',
      first((it) => delete it['tenant-id']),
      "/tenants/0: must have required property 'tenant-id'",
    ],
    ['a subscription ID that is not a GUID', first((it) => (it['subscription-id'] = 'x')), '"x" must match'],
    ['a misspelled input', first((it) => (it['vmsize'] = 'x')), '/tenants/0: unknown property vmsize'],
    ['tags as text', first((it) => (it['tags'] = 'a: b')), '/tenants/0/tags: must be object'],
    ['a time-out above the limit', first((it) => (it['timeout-minutes'] = 361)), 'must be <= 360'],
    ['a fraction of a minute', first((it) => (it['timeout-minutes'] = 1.5)), 'must be integer'],
    ['a secret', first((it) => (it['admin-password'] = 'x')), 'unknown property admin-password'],
  ])('reports %s', (_, document, issue) => {
    const found = validateTenants(document);
    if (issue === undefined) expect(found).toEqual([]);
    else expect(found).toEqual([expect.stringContaining(issue)]);
  });

  test('reports duplicate names, duplicate VMs and a missing resource group', () => {
    expect(validateTenants(valid((it) => it.tenants.push({ ...it.tenants[0] }))).join('\n')).toContain('same name as');
    const twice = { name: 'again', 'vm-name': 'one' };
    const same = valid((it) =>
      it.tenants.push({ ...it.tenants[0], 'vm-name': 'one', name: 'b' }, { ...it.tenants[0], ...twice }),
    );
    expect(validateTenants(same).join('\n')).toContain('same VM as');
    expect(validateTenants(valid((it) => Object.assign(it, { defaults: {} }))).join('\n')).toContain(
      'must have a resource-group',
    );
  });

  test('has only inputs of the action, and the workflow passes all of them', () => {
    // In tenants.json, `environment` is GitHub's; the action's input is named `cloud`.
    const inputOf = (name: string) => (name === 'cloud' ? 'environment' : name);
    expect(fleetInputs.filter((name) => !(inputNames as readonly string[]).includes(inputOf(name)))).toEqual([]);
    const step = waveJob.steps?.find(({ id }) => id === 'vm');
    for (const name of fleetInputs) {
      expect(String(step?.with?.[inputOf(name)])).toContain(`steps.target.outputs.${name}`);
    }
    expect(Object.keys(step?.with ?? {}).filter((name) => !(inputNames as readonly string[]).includes(name))).toEqual(
      [],
    );
    const { properties } = JSON.parse(read('fleet/tenants.schema.json')) as {
      properties: { defaults: { properties: object } };
    };
    const own = ['tenant-id', 'subscription-id', 'vm-name'];
    expect(Object.keys(properties.defaults.properties)).toEqual(fleetInputs.filter((name) => !own.includes(name)));
  });

  test('docs/fleet.md lists the inputs that a fleet cannot set', () => {
    const step = waveJob.steps?.find(({ id }) => id === 'vm');
    const left = inputNames.filter((name) => !Object.keys(step?.with ?? {}).includes(name));
    const [row = ''] = /^\| inputs \|.*$/m.exec(read('docs/fleet.md')) ?? [];
    expect([...row.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => name).toSorted()).toEqual(left.toSorted());
  });

  test('takes no secrets; the workflow passes them to every wave', () => {
    type Call = { readonly workflow_call: { readonly secrets: object } };
    const step = waveJob.steps?.find(({ id }) => id === 'vm');
    const used = Object.entries(step?.with ?? {})
      .filter(([, text]) => String(text).includes('secrets.'))
      .map(([name]) => name);
    const wave = workflowAt('.github/workflows/fleet-wave.yml').workflow.on as Call;
    const names = Object.keys(wave.workflow_call.secrets);
    expect(names.toSorted()).toEqual(used.toSorted());
    expect(Object.keys((fleet.on as Call).workflow_call.secrets)).toEqual(names);
    for (const name of ['canary', 'early', 'rest']) {
      const { secrets } = fleet.jobs[name] as { readonly secrets?: object };
      expect(secrets).toEqual(Object.fromEntries(names.map((secret) => [secret, `\${{ secrets.${secret} }}`])));
    }
    for (const secret of names) expect(read('docs/fleet.md')).toContain(`\`${secret}\``);
  });
});

test('the example and the documentation pass only known inputs, and all required ones', () => {
  const on = fleet.on as { workflow_call: { inputs: Record<string, { required?: boolean }> } };
  const known = on.workflow_call.inputs;
  const required = Object.keys(known).filter((name) => known[name]?.required === true);
  const blocks = documents.flatMap((document) => document.blocks.filter(({ language }) => language === 'yaml'));
  const calls = [read('examples/fleet.yml'), ...blocks.map(({ code }) => code)]
    .flatMap((text) => Object.values((parse(text) as Partial<Workflow>).jobs ?? {}))
    .filter(({ uses }) => uses === 'OWNER/cross-tenant-vm/.github/workflows/fleet.yml@v1');
  expect(calls).toHaveLength(3);
  for (const call of calls) {
    const given = Object.keys((call as { with?: object }).with ?? {});
    expect(given.filter((name) => !(name in known))).toEqual([]);
    expect(required.filter((name) => !given.includes(name))).toEqual([]);
    expect(call.permissions).toEqual({ contents: 'read', 'id-token': 'write' });
  }
});

describe('waves', () => {
  const many = (count: number): Tenants => ({
    tenants: Array.from({ length: count }, (_, index) => ({
      name: `t${index}`,
      'tenant-id': 'x.example',
      ...(index < 2 ? { wave: 'canary' } : {}),
    })),
  });

  test('follow the order of the list, with an environment for each tenant', () => {
    expect(planWaves(example, { environment: 'customers' })).toEqual({
      canary: [{ name: 'own-test', environment: 'customers' }],
      early: [{ name: 'customer-a', environment: 'customers' }],
      rest: [{ name: 'customer-b', environment: 'customers' }],
    });
  });

  test('can be limited to named tenants; an unknown name is an error', () => {
    expect(planWaves(example, { only: 'customer-b, own-test' }).early).toEqual([]);
    expect(() => planWaves(example, { only: 'customer-x' })).toThrow('Unknown tenant: customer-x');
  });

  test('fit into one matrix or are rejected; shards cover each tenant once', () => {
    expect(planWaves(many(256)).rest).toHaveLength(254);
    expect(() => planWaves(many(1000))).toThrow('run this 4 times, with shard 1/4');
    const shards = [1, 2, 3, 4].flatMap((own) =>
      Object.values(planWaves(many(1000), { shard: `${own}/4` }))
        .flat()
        .map(({ name }) => name),
    );
    expect(new Set(shards).size).toBe(1000);
    expect(shards).toHaveLength(1000);
    for (const shard of ['0/4', '5/4', 'x', '1']) expect(() => planWaves(many(3), { shard })).toThrow('Invalid shard');
  });

  test('start after the previous waves succeeded or were skipped', () => {
    for (const wave of ['early', 'rest']) {
      expect(String(fleet.jobs[wave]?.if)).toContain(
        "needs.canary.result == 'success' || needs.canary.result == 'skipped'",
      );
      expect(String(fleet.jobs[wave]?.if)).toContain("inputs.gate-environment == ''");
    }
    expect(String(fleet.jobs['rest']?.if)).toContain("needs.early.result == 'success'");
    expect(Object.values(fleet.jobs).filter(({ uses }) => uses === './.github/workflows/fleet-wave.yml')).toHaveLength(
      3,
    );
  });
});

describe('a fleet deployment', () => {
  /** Parses a step's outputs in GitHub's multi-line format. */
  function outputsOf(text: string): Record<string, string> {
    return Object.fromEntries(
      [...text.matchAll(/^([\w-]+)<<(end-\S+)\n([\s\S]*?)\n\2$/gm)].map(([, name = '', , value = '']) => [name, value]),
    );
  }

  function plan(args: readonly string[], env: Record<string, string>): Record<string, string> {
    const output = join(folder, 'output');
    writeFileSync(output, '');
    const { status, stdout } = spawnSync(process.execPath, [join(root, 'fleet/plan.mjs'), ...args], {
      encoding: 'utf8',
      env: { ...env, GITHUB_OUTPUT: output },
      cwd: folder,
    });
    expect([status, stdout]).toEqual([0, expect.any(String)]);
    return outputsOf(readFileSync(output, 'utf8'));
  }

  test('reports the tenant without consent, and succeeds for it when re-run', async () => {
    const started = (sim = await startSimulator({ timeScale: 0.002 }));
    const own = { 'tenant-id': defaults.tenantId, 'subscription-id': defaults.subscriptionId };
    const document = {
      defaults: {
        'resource-group': defaults.resourceGroup,
        'public-ip': false,
        'ssh-public-key': publicKey,
        tags: { application: 'app' },
        cloud: started.armEndpoint,
      },
      tenants: [
        {
          name: 'own-test',
          wave: 'canary',
          ...own,
          'run-script': 'true',
          'run-script-timeout-minutes': 20,
          spot: true,
          'security-type': 'Standard',
        },
        { name: 'customer-a', ...own, tags: { 'cost-centre': '4711' } },
        {
          name: 'customer-b',
          'tenant-id': defaults.otherTenantId,
          'subscription-id': defaults.otherSubscriptionId,
        },
      ],
    };
    writeFileSync(join(folder, 'tenants.json'), JSON.stringify(document));
    const waves = plan(['waves', 'tenants.json'], { ONLY: '', SHARD: '1/1', ENVIRONMENT: 'customers' });
    expect(JSON.parse(waves['canary'] ?? '')).toEqual([{ name: 'own-test', environment: 'customers' }]);

    const results = join(folder, 'results');
    mkdirSync(results);
    /** Runs the steps of one matrix job with the workflow's own expressions. */
    const runJob = async (name: string, wave: string, attempt: string): Promise<string> => {
      const target = plan(['target', 'tenants.json', name], { FLEET: 'app-1' });
      const step = waveJob.steps?.find(({ id }) => id === 'vm');
      const values: Record<string, string> = {
        'inputs.operation': 'create',
        'steps.target.outputs.client-id || inputs.client-id': defaults.clientId,
        'steps.target.outputs.image-id || inputs.image-id': defaults.imageId('linux'),
        'inputs.image-tenant-id': defaults.imageTenantId,
        'secrets.client-secret': '',
        'secrets.client-certificate': '',
        'secrets.admin-password': '',
        "steps.target.outputs.run-script != '' && secrets.run-script-secrets || ''":
          target['run-script'] === '' ? '' : 'TOKEN: enrolment-token-1',
      };
      const given = Object.entries(step?.with ?? {}).map(([input, text]) => {
        const expression = /^\$\{\{ (.*) \}\}$/.exec(String(text))?.[1];
        if (expression === undefined) return [input, String(text)];
        return [input, values[expression] ?? target[expression.replace('steps.target.outputs.', '')] ?? 'none'];
      });
      const run = await runAction({
        sim: started,
        idToken: true,
        inputs: Object.fromEntries(given),
        env: { GITHUB_RUN_ATTEMPT: attempt },
      });
      const outcome = run.exitCode === 0 ? 'success' : 'failure';
      const result = waveJob.steps?.find((each) => each.name === 'Result');
      const written = spawnSync('bash', ['--norc', '-e', '-c', result?.run ?? ''], {
        stdio: ['ignore', 'pipe', 'pipe'],
        cwd: results,
        encoding: 'utf8',
        env: {
          PATH: '/usr/bin:/bin',
          TARGET: name,
          WAVE: wave,
          OUTCOME: outcome,
          RESULT: run.outputs['result'] ?? '',
          GITHUB_RUN_ATTEMPT: attempt,
        },
      });
      expect(written.stderr).toBe('');
      return outcome;
    };
    const report = () => {
      const file = join(folder, 'summary');
      writeFileSync(file, '');
      const { status, stderr } = spawnSync(process.execPath, [join(root, 'fleet/report.mjs'), 'results'], {
        cwd: folder,
        encoding: 'utf8',
        env: {
          TARGETS: waves['targets'] ?? '',
          TITLE: 'app-1',
          RUN_URL: 'https://x.example/1',
          GITHUB_STEP_SUMMARY: file,
        },
      });
      expect(stderr).toBe('');
      return { status, text: readFileSync(file, 'utf8') };
    };

    expect(await runJob('own-test', 'canary', '1')).toBe('success');
    // What the report shows, without the script's output and the path of the private key.
    const artifact: unknown = JSON.parse(readFileSync(join(results, 'own-test.json'), 'utf8'));
    expect(artifact).toEqual({
      name: 'own-test',
      wave: 'canary',
      outcome: 'success',
      attempt: 1,
      job: '',
      result: {
        'vm-name': 'app-1-own-test',
        'image-version': '1.10.0',
        location: 'westeurope',
        'private-ip-address': '192.168.1.4',
      },
    });
    const bodyOf = (kind: string) =>
      started.journal.find((exchange) => exchange.kind === kind)?.requestBody as {
        properties: Record<string, unknown>;
      };
    expect(bodyOf('vm.put').properties).toMatchObject({ priority: 'Spot' });
    expect(bodyOf('vm.put').properties).toMatchObject({ securityProfile: { securityType: 'Standard' } });
    expect(bodyOf('runCommand.put').properties).toMatchObject({
      timeoutInSeconds: 1200,
      protectedParameters: [{ name: 'TOKEN', value: 'enrolment-token-1' }],
    });
    expect(await runJob('customer-a', 'rest', '1')).toBe('success');
    const partial = report();
    expect(partial.status).toBe(1);
    expect(partial.text).toContain('3 tenants: 1 not run, 2 succeeded.');
    expect(await runJob('customer-b', 'rest', '1')).toBe('failure');
    const failed = report();
    expect(failed.status).toBe(1);
    expect(failed.text).toContain('1 failed, 2 succeeded.');
    expect(failed.text).toMatch(/\| ❌ failure \| customer-b \| rest \| AADSTS700016 \| \S.* \| \S.* \|/);
    expect(failed.text).toContain('Re-run failed jobs');
    expect(failed.text).toMatch(
      /\| ✅ success \| .*customer-a.* \| rest \| app-1-customer-a \| 1\.10\.0 \| westeurope \|/,
    );

    // An admin consents; the failed job is re-run.
    started.world.installApp(defaults.clientId, defaults.otherTenantId);
    started.world.addGroup(defaults.otherSubscriptionId, defaults.resourceGroup, defaults.location);
    started.world.grant(
      defaults.clientId,
      'Contributor',
      `/subscriptions/${defaults.otherSubscriptionId}/resourceGroups/${defaults.resourceGroup}`,
    );
    expect(await runJob('customer-b', 'rest', '2')).toBe('success');
    const succeeded = report();
    expect(succeeded.text).toContain('3 tenants: 3 succeeded.');
    expect(succeeded.status).toBe(0);
    expect(succeeded.text).not.toContain('Re-run failed jobs');

    const vm = started.world.resources.get(
      `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}/providers/Microsoft.Compute/virtualMachines/app-1-customer-a`,
    );
    expect(vm?.body['tags']).toMatchObject({ application: 'app', 'cost-centre': '4711' });
  });

  test('sends as many requests as the fleet benchmark assumes', async () => {
    const started = (sim = await startSimulator({ timeScale: 0.002 }));
    const image = defaults.imageId('linux', '1.10.0');
    const inputs = { ...defaultInputs(started), 'image-id': image, 'public-ip': 'false' };
    expect((await runAction({ sim: started, inputs })).exitCode).toBe(0);
    const inTenant = (tenant: string) =>
      started.journal.filter(({ caller, isPoll }) => caller?.tenant === tenant && !isPoll);
    const manager = (exchange: { path: string }) => exchange.path.startsWith('/subscriptions/');
    expect({
      imageReads: inTenant(defaults.imageTenantId).filter(manager).length,
      writes: inTenant(defaults.tenantId).filter(({ method }) => method === 'PUT').length,
    }).toEqual(requestsPerTenant);
  });

  test('reports the last attempt and escapes tenant names', () => {
    const result = { name: 'a', wave: 'rest', result: null };
    const list = collectResults(
      [{ name: 'a', wave: 'rest' }],
      [
        { ...result, attempt: 1, outcome: 'failure' },
        { ...result, attempt: 2, outcome: 'success' },
      ],
    );
    expect(list).toMatchObject([{ outcome: 'success', attempt: 2 }]);
    const text = formatSummary([{ name: 'a|b<c', wave: 'rest', outcome: 'cancelled' }], {
      title: 't',
      url: 'u',
    });
    expect(text).toContain('a\\|b&lt;c');
  });

  test('starts with failures, their cause and who must act, and lists the findings of a check', () => {
    const finding = { id: 'quota/cores', answer: '10 of 10 used.', level: 'fault' };
    const error = { title: 'Quota | exceeded', code: 'QuotaExceeded', who: 'the subscription owner' };
    const row = (name: string, outcome: string, result: object) => ({
      name,
      wave: 'rest',
      outcome,
      attempt: 1,
      job: '77',
      result: { ...result },
    });
    const text = formatSummary(
      [
        row('good', 'success', { findings: [{ ...finding, level: 'ok' }] }),
        row('bad', 'failure', { error, findings: [finding] }),
        row('worse', 'failure', { error, findings: [finding, { id: 'size', answer: 'Skipped.', level: 'unknown' }] }),
      ],
      { title: 't', url: 'https://github.example/run' },
    );
    const lines = text.split('\n').filter((line) => line.startsWith('|'));
    const link = (name: string) => `[${name}](https://github.example/run/job/77)`;
    expect(lines[2]).toBe(
      `| ❌ failure | ${link('bad')} | rest | QuotaExceeded | Quota \\| exceeded | the subscription owner |`,
    );
    expect(text).toContain(`| ❌ failed | quota/cores | 10 of 10 used. | ${link('bad')}, ${link('worse')} |`);
    expect(text).toContain('<summary>1 check skipped</summary>');
    expect(text.indexOf('bad')).toBeLessThan(text.indexOf('good'));
  });

  test('joins the deployments that a list found in each tenant', () => {
    const deployment = { 'vm-name': 'app-1', state: 'Succeeded', 'image-version-id': '/x/versions/1.9.0' };
    const rows = ['a', 'b'].map((name) => ({
      name,
      wave: 'rest',
      outcome: 'success',
      result: {
        deployments: [{ ...deployment, 'vm-size': 'S', location: 'westeurope', 'created-on': '2026-11-01T10:00:00Z' }],
      },
    }));
    const text = formatSummary(rows, { title: 't', url: 'u' });
    expect(text).toContain('### Deployments (2)');
    const nothing = rows.map((row) => ({ ...row, result: { deployments: [] } }));
    expect(formatSummary(nothing, { title: 't', url: 'u' })).toContain('No deployments found.');
    expect(text).toContain('| b | app-1 | Succeeded | 1.9.0 | S | westeurope | 2026-11-01 |');
  });

  test('passes the resource group of the defaults to each tenant', () => {
    expect(inputsForTenant(example, 'customer-b', 'app')['resource-group']).toBe('machines');
  });
});
