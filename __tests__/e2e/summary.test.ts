import { afterEach, describe, expect, test } from '@jest/globals';
import { marked } from 'marked';
import { osProvisioningTimedOut, settings } from '../../simulator/providers/compute/settings.ts';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { assertNoSecrets, defaultInputs, type Phase, runAction, runJob, generatedKey } from '../support/harness.ts';
import { addStranger, partsOf, tagsOf } from '../support/lifecycle.ts';

let sim: Simulator;
const start = async (): Promise<Simulator> => {
  sim = await startSimulator({ timeScale: 0.002 });
  return sim;
};
afterEach(() => sim?.close());

const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const portal = 'https://portal.simulator.localhost';
const inputs = (more: Record<string, string> = {}) => ({ ...defaultInputs(sim), 'vm-name': 'vm1', ...more });
const errors = (run: Phase) => run.annotations.filter(({ level }) => level === 'error');
const warnings = (run: Phase) =>
  run.annotations.filter(({ level }) => level === 'warning').map(({ message }) => message);
const tags = (markdown: string, name: string) =>
  [...marked.parse(markdown, { gfm: true, async: false }).matchAll(new RegExp(`<${name}\\b`, 'g'))].length;

describe('the job summary', () => {
  test('links to the portal in both tenants; the one of the post step lists what was deleted', async () => {
    await start();
    const secret = 'correct horse battery staple 1A!';
    const run = await runJob({
      sim,
      inputs: inputs({
        cleanup: 'always',
        'allow-inbound': '22 from 203.0.113.0/24',
        'admin-password': secret,
      }),
      env: { GITHUB_ACTION_REPOSITORY: 'contoso/cross-tenant-vm', GITHUB_ACTION_REF: 'v1' },
    });
    expect(errors(run)).toEqual([]);
    const { summary } = run;
    expect(summary).toContain('## ✅ <code>vm1</code> created');
    expect(summary).toContain(
      `${portal}/#@${defaults.tenantId}/resource${group}/providers/Microsoft.Compute/virtualMachines/vm1`,
    );
    expect(summary).toContain(`${portal}/#@${defaults.imageTenantId}/resource${defaults.imageId('linux', '1.10.0')}`);
    expect(summary).toContain(`ssh azureuser@${run.outputs['public-ip-address']}`);
    expect(summary).toContain('Deleted when the job ends.');
    expect(run.lines.at(-1)?.text).toMatch(/^Ready in [\d.]+ s: vm1 \(.*\) at .*\. Connect: ssh azureuser@/);
    expect(run.lines.find(({ command }) => command === undefined)?.text).toMatch(/^Deploying vm1 to /);
    expect(summary).toMatch(/```mermaid\nflowchart LR[\s\S]*```mermaid\n.*\ngantt[\s\S]*(?:VM|Virtual machine) \(/);
    expect(tags(summary, 'table')).toBe(1);
    expect(run.post?.summary).toMatch(/^## ✅ <code>vm1<\/code> deleted after the job\n/);
    expect(run.post?.summary).toContain('<code>virtualMachines/vm1</code>');
    assertNoSecrets(run, [secret, defaults.clientSecret]);
  });

  test('is not written with `summary: false`, if inputs are invalid', async () => {
    await start();
    const wrong = await runAction({
      sim,
      inputs: inputs({ summary: 'false', zone: '99' }),
      phases: ['main'],
    });
    expect(wrong.summary).toBe('');
  });

  test('lists invalid inputs', async () => {
    await start();
    const run = await runAction({
      sim,
      inputs: inputs({ 'timeout-minutes': 'soon', 'image-id': 'latest' }),
      phases: ['main'],
    });
    expect(run.summary).toMatch(/^## ❌ 2 invalid inputs\n\n[^>]*\n- timeout-minutes[\s\S]*\n- image-id/);
    expect(errors(run)).toHaveLength(1);
  });

  test('of a failure starts with the cause and lists what was rolled back', async () => {
    await start();
    settings(sim.world).shortages.push({ code: 'SkuNotAvailable', at: 'put' });
    const run = await runAction({ sim, inputs: inputs() });
    expect(run.exitCode).toBe(1);
    expect(errors(run)).toHaveLength(1);
    expect(errors(run)[0]?.title).toBe('Standard_D2s_v5 is not available in westeurope');
    expect(run.summary).toContain('## ❌ Standard&#95;D2s&#95;v5 is not available in westeurope');
    expect(run.summary).toMatch(/\*\*Cause:\*\* Standard&#95;D2s&#95;v5 is not available in westeurope/);
    expect(run.summary).toMatch(/Rolled back: \d resources?<[\s\S]*- <code>networkInterfaces\/vm1-nic<\/code>/);
    expect(run.summary).not.toMatch(/### Connect|Delete it/);
  });

  test('with `cleanup: never` lists what is left, and how to delete it', async () => {
    await start();
    settings(sim.world).shortages.push({ code: 'SkuNotAvailable', at: 'put' });
    const run = await runAction({ sim, inputs: inputs({ cleanup: 'never' }) });
    expect(run.summary).toMatch(
      /⚠️ Not deleted[\s\S]*networkInterfaces\/vm1-nic[\s\S]*<code>cleanup&#58; never<\/code>/,
    );
    expect(run.summary).toMatch(/<details open><summary>Delete it[\s\S]*operation: delete\n {4}vm-name: vm1/);
  });

  test('of a check starts with what failed', async () => {
    await start();
    const run = await runAction({
      sim,
      inputs: inputs({ operation: 'check', 'allow-inbound': '22 from *', 'vm-size': 'Standard_D1_v2' }),
      phases: ['main'],
    });
    expect(errors(run)).toHaveLength(1);
    expect(run.summary).toMatch(
      /^## ❌ Preflight failed for <code>vm1<\/code>&#58; \d+ of \d+ checks\n\n❌ \d+ failed · ⚠️ \d+ warnings · /,
    );
    expect(run.summary).toContain('2028-05-01');
    expect(tags(run.summary, 'h2')).toBe(1);
    expect(run.summary.indexOf('### ❌')).toBeLessThan(run.summary.indexOf('<details>'));
  });

  test('of a deletion lists what was deleted, or says that nothing was found', async () => {
    await start();
    addStranger(sim.world, partsOf('vm1').vnet, tagsOf('vm1'));
    const remove = inputs({ operation: 'delete' });
    const first = await runAction({ sim, inputs: remove, phases: ['main'] });
    expect(first.summary).toMatch(/^## ✅ <code>vm1<\/code> deleted/);
    expect(first.summary).toContain('<code>virtualNetworks/vm1-vnet</code>');
    const second = await runAction({ sim, inputs: remove, phases: ['main'] });
    expect(second.summary).toMatch(/^## ⚠️ Nothing to delete&#58; <code>vm1<\/code> was not found/);
  });
});

describe('untrusted text', () => {
  const hostile = '</td></table><script>x</script> | ``` @octocat\n::error::injected\n##[error]injected';

  const putSecurityGroup = (name: string, itsTags: Record<string, string>): void => {
    const type = 'Microsoft.Network/networkSecurityGroups';
    const id = `${group}/providers/${type}/${name}`;
    const properties = { provisioningState: 'Succeeded', securityRules: [] };
    sim.world.resources.put({
      id,
      type,
      body: { id, name, type, location: defaults.location, tags: itsTags, properties },
    });
  };

  test('in a tag or in a message of Azure is inert in summary and log', async () => {
    await start();
    putSecurityGroup('vm1-nsg', { 'cross-tenant-vm': hostile });
    const refused = await runAction({ sim, inputs: inputs(), phases: ['main'] });
    sim.faults.add({
      match: { method: 'PUT', path: /virtualMachines/, times: Infinity },
      effect: { status: 409, code: 'Conflicted', message: hostile },
    });
    const failed = await runAction({ sim, inputs: inputs({ 'vm-name': 'vm2' }), phases: ['main'] });
    for (const run of [refused, failed]) {
      expect(errors(run)).toHaveLength(1);
      expect(errors(run)[0]?.message).toContain('::error::injected');
      // The runner parses only lines that are not commands already.
      const plain = run.lines.filter(({ command }) => command === undefined);
      expect(plain.filter(({ text }) => text.includes('##['))).toEqual([]);
      expect(run.summary).toContain('octocat');
      expect(tags(run.summary, 'script')).toBe(0);
      expect(tags(run.summary, 'table')).toBe(1);
      expect(run.summary).not.toContain('@octocat');
    }
  });

  test('as the name of a deployment is inert when it is swept', async () => {
    await start();
    putSecurityGroup('other-nsg', {
      'cross-tenant-vm': '::error::injected',
      'expires-on': '::warning::injected',
    });
    const run = await runAction({ sim, inputs: inputs({ operation: 'sweep' }), phases: ['main'] });
    expect(run.annotations.filter(({ message }) => message === 'injected')).toEqual([]);
    expect(errors(run)).toEqual([]);
  });
});

describe('diagnosis after a failure', () => {
  /** Changes the world when the first such PUT arrives. */
  const upon = (path: RegExp, change: () => void): void => {
    sim.faults.add({ match: { method: 'PUT', path }, effect: { onArrival: change } });
  };

  test('finds the role at fault behind a refused link', async () => {
    await start();
    const gallery = defaults.imageId('linux').replace(/\/images\/linux$/, '');
    upon(/networkSecurityGroups|virtualNetworks|publicIPAddresses/, () => {
      sim.world.revoke(defaults.clientId, gallery);
    });
    const run = await runAction({ sim, inputs: inputs() });
    const [error] = errors(run);
    expect(error?.message).toContain('LinkedAuthorizationFailed');
    expect(error?.message).toContain('The app has no role on the image.');
    expect(error?.message).toContain('az role assignment create');
    expect(error?.message).toContain(`the image tenant (${defaults.imageTenantId})`);
    expect(run.summary).toContain('The app has no role on the image');
    // Nothing is left, as after every failure; the look sent no write.
    expect([...sim.world.resources.under(group)]).toEqual([]);
  });

  test('says so where both token and role are in order', async () => {
    await start();
    const refusal = `The client has permission to perform action 'Microsoft.Compute/galleries/images/versions/read' on scope 'x', however the current tenant '${defaults.tenantId}' is not authorized to access linked subscription '${defaults.imageSubscriptionId}'.`;
    sim.faults.add({
      match: { method: 'PUT', path: /virtualMachines\/vm1\?/ },
      effect: { status: 403, code: 'LinkedAuthorizationFailed', message: refusal },
    });
    const run = await runAction({ sim, inputs: inputs() });
    expect(errors(run)[0]?.message).toContain('although the app can read the image');
    const asked = sim.journal.filter(
      ({ path, caller }) => path === `/subscriptions/${defaults.imageSubscriptionId}` && !caller,
    );
    expect(asked).toHaveLength(1);
  });

  test('shows the end of the boot log when the guest does not come up, and no signed URL', async () => {
    await start();
    settings(sim.world).provisioning.push({ failure: osProvisioningTimedOut('vm1'), afterSeconds: 5 });
    settings(sim.world).serialLog = 'Kernel panic - not syncing: VFS\n::error::injected\n</details>';
    const run = await runAction({ sim, inputs: inputs() });
    expect(errors(run)).toHaveLength(1);
    expect(errors(run)[0]?.message).toContain('OSProvisioningTimedOut');
    expect(run.stdout).toContain('boot | Kernel panic - not syncing: VFS');
    expect(run.summary).toMatch(/End of the boot log<\/summary>\n\n```text\nKernel panic[\s\S]*<\/details>\n```/);
    expect(`${run.stdout}${run.summary}`).not.toMatch(/[?&]sig=|\/blobs\//);
  });
});

describe('the log', () => {
  test('has a debug line for each request, without query, token or body, and `summary: false` is kept to', async () => {
    await start();
    const quiet = inputs({ summary: 'false', cleanup: 'always' });
    const run = await runJob({ sim, inputs: quiet, env: { RUNNER_DEBUG: '1' } });
    expect([run.exitCode, run.summary, run.post?.summary]).toEqual([0, '', '']);
    const lines = [run, run.post].flatMap((phase) => phase?.lines ?? []);
    const debug = lines.filter(({ command }) => command === 'debug').map(({ text }) => text);
    const requests = debug.filter((line) => /^(?:GET|PUT|POST|PATCH|DELETE) /.test(line));
    for (const line of requests) {
      expect(line).toMatch(/^[A-Z]+ localhost:\d+\/\S* (?:\d{3}|[A-Z_]+) \d+ ms correlation \S+$/);
      expect(line).not.toMatch(/[?&]|eyJ/);
    }
    for (const { method, path, host } of sim.journal) {
      if (host !== 'github')
        expect(requests.some((line) => line.startsWith(`${method} `) && line.includes(path))).toBe(true);
    }
    assertNoSecrets(run, [defaults.clientSecret]);
    const log = lines
      .filter(({ command }) => command !== 'add-mask')
      .map(({ text }) => text)
      .join('\n');
    expect(log).not.toMatch(/eyJ[\w-]{20,}\.|[?&](?:sig|s|c|t|h)=/);
  });

  test('warns of outputs that hold a masked value', async () => {
    await start();
    const run = await runAction({
      sim,
      inputs: inputs({ 'run-script': 'true', 'run-script-secrets': 'where: westeurope' }),
    });
    expect(run.droppedOutputs).toEqual(expect.arrayContaining(['location', 'result']));
    expect(warnings(run).filter((text) => text.includes('masked'))).toEqual([
      expect.stringContaining('`location` and `result`'),
    ]);
  });
});

describe('the SSH outputs', () => {
  const wire = (...fields: Buffer[]): string =>
    Buffer.concat(
      fields.flatMap((field) => {
        const length = Buffer.alloc(4);
        length.writeUInt32BE(field.length);
        return [length, field];
      }),
    ).toString('base64');
  const hostKey = wire(Buffer.from('ssh-ed25519'), Buffer.alloc(32, 7));

  test('verify the host key if the boot log contains it', async () => {
    await start();
    settings(sim.world).serialLog = [
      '-----BEGIN SSH HOST KEY KEYS-----\r\nssh-ed25519 AAAAold root@vm1\r\n-----END SSH HOST KEY KEYS-----',
      `-----BEGIN SSH HOST KEY KEYS-----\r\nssh-ed25519 ${hostKey} root@vm1\r\n-----END SSH HOST KEY KEYS-----`,
    ].join('\r\n');
    const run = await runAction({ sim, inputs: inputs(generatedKey) });
    const address = run.outputs['public-ip-address'];
    expect(run.outputs['ssh-known-hosts']).toBe(`${address} ssh-ed25519 ${hostKey}`);
    expect(run.outputs['ssh-command']).toMatch(
      new RegExp(
        `^ssh -i \\S+/id_rsa -o StrictHostKeyChecking=yes -o UserKnownHostsFile=\\S+/known_hosts azureuser@${address}$`,
      ),
    );
    const [, file = ''] = /UserKnownHostsFile=(\S+)/.exec(run.outputs['ssh-command'] ?? '') ?? [];
    expect(run.files()[file.replace(`${run.temp}/`, '')]?.trim()).toBe(run.outputs['ssh-known-hosts']);
  });

  test('accept a new host key if the boot log may not be read', async () => {
    await start();
    sim.faults.add({
      match: { method: 'POST', path: /retrieveBootDiagnosticsData/ },
      effect: { status: 403, code: 'AuthorizationFailed', message: 'no' },
    });
    const run = await runAction({ sim, inputs: inputs(), phases: ['main'] });
    expect(run.exitCode).toBe(0);
    expect(warnings(run).filter((text) => text.includes('masked'))).toEqual([]);
    expect(run.outputs['ssh-known-hosts']).toBeUndefined();
    expect(run.outputs['ssh-command']).toContain(' -o StrictHostKeyChecking=accept-new azureuser@');
  });
});
