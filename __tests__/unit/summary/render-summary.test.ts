import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { marked } from 'marked';
import type { ErrorReport } from '../../../src/errors/format-error.ts';
import type { ResolvedImage } from '../../../src/image/image.ts';
import type { DeployInputs } from '../../../src/inputs/inputs.ts';
import type { Finding } from '../../../src/check/facts.ts';
import { createPlan } from '../../../src/plan/create-plan.ts';
import { escapeWorkflowCommands } from '../../../src/runner/log.ts';
import { parseImageReference, parseResourceId, type ResourceId } from '../../../src/azure/resource-id.ts';
import { renderSummary } from '../../../src/summary/render-summary.ts';
import type { SummaryFacts } from '../../../src/summary/summary-facts.ts';
import { label, seconds, timeline } from '../../../src/summary/topology.ts';
import { block, markdownCode, link, sentence, markdownText } from '../../../src/lib/escape.ts';
import {
  definitionId,
  deployInputs,
  group,
  linuxImage,
  newNetwork,
  subscriptionId,
} from '../../support/values.ts';

const network = `${group}/providers/Microsoft.Network`;

function facts(changed: Partial<DeployInputs> = {}, more: Partial<SummaryFacts> = {}): SummaryFacts {
  const image = parseImageReference(definitionId);
  if (!image) throw new Error('not an image');
  const wanted: DeployInputs = {
    ...deployInputs,
    clientId: '33333333-3333-4333-8333-333333333333',
    credential: { kind: 'secret', secret: 'the-client-secret' },
    tenantId: 'customer.example',
    imageTenantId: 'images.example',
    image,
    adminPassword: 'the-password',
    network: {
      ...newNetwork,
      nsg: {
        kind: 'new',
        inbound: [{ fromPort: 22, toPort: 22, protocol: 'Tcp', source: '203.0.113.0/24' }],
      },
    },
    ...changed,
  };
  const linux: ResolvedImage = { ...linuxImage, generation: 'V2', securityType: 'TrustedLaunch' };
  const imageFacts = more.image ?? linux;
  return {
    operation: 'create',
    wanted,
    portal: 'https://portal.azure.com',
    subscriptionId,
    image: imageFacts,
    plan: createPlan(wanted, imageFacts, {
      subscriptionId,
      location: 'westeurope',
      ownership: { 'cross-tenant-vm': 'vm1' },
      generated: { password: 'the-generated-password' },
    }),
    adopted: false,
    outputs: {
      'vm-id': `${group}/providers/Microsoft.Compute/virtualMachines/vm1`,
      'vm-size': 'Standard_D2s_v5',
      'image-version': '1.2.3',
      'image-version-id': `${definitionId}/versions/1.2.3`,
      'nic-id': `${network}/networkInterfaces/vm1-nic`,
      'nsg-id': `${network}/networkSecurityGroups/vm1-nsg`,
      'vnet-id': `${network}/virtualNetworks/vm1-vnet`,
      'public-ip-id': `${network}/publicIPAddresses/vm1-ip`,
      'public-ip-address': '198.51.100.7',
      'private-ip-address': '192.168.1.4',
      'admin-username': 'azureuser',
      created: JSON.stringify([
        `${network}/networkSecurityGroups/vm1-nsg`,
        `${network}/virtualNetworks/vm1-vnet`,
        `${network}/publicIPAddresses/vm1-ip`,
        `${network}/networkInterfaces/vm1-nic`,
      ]),
    },
    stages: [
      { title: 'Sign in', from: 0, to: 900, failed: false },
      { title: 'Network', from: 900, to: 15_900, failed: false },
    ],
    left: [],
    ...more,
  };
}

const closed: DeployInputs['network'] = {
  kind: 'new-nic',
  subnet: { kind: 'new', addressPrefix: '192.168.0.0/16', subnetPrefix: '192.168.1.0/24' },
  nsg: { kind: 'new', inbound: [] },
  publicIp: { kind: 'new' },
  acceleratedNetworking: false,
};
const byOverride: DeployInputs['overrides'] = { nsg: { properties: { securityRules: [] } } };

/** What a reader of the page sees, and what the page is made of. */
const html = (markdown: string): string => marked.parse(markdown, { gfm: true, async: false });
const skeleton = (markdown: string): string[] =>
  [...html(markdown).matchAll(/<(\/?[a-z][a-z0-9]*)/gi)].map(([, tag = '']) => tag);
const shown = (markdown: string): string =>
  html(markdown)
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll(/&(?:#(\d+)|(\w+));/g, (_, point: string | undefined, name: string) =>
      point ? String.fromCodePoint(Number(point)) : (signs[name] ?? '?'),
    );
const signs: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', amp: '&' };

const given = (id: string) => ({ kind: 'given' as const, id: parseResourceId(id) as ResourceId });

describe('the summary of a created machine', () => {
  test('tells what was made of what, where, and how to get in and rid of it', () => {
    const markdown = renderSummary(facts());
    expect(markdown).toContain('## ✅ Virtual machine <code>vm1</code> created');
    expect(markdown).toContain(
      `https://portal.azure.com/#@customer.example/resource${group}/providers/Microsoft.Compute/virtualMachines/vm1`,
    );
    expect(markdown).toContain(
      `https://portal.azure.com/#@images.example/resource${definitionId}/versions/1.2.3`,
    );
    expect(markdown).toContain('the newest one that is usable there');
    expect(markdown).toContain('ssh azureuser@198.51.100.7');
    expect(markdown).toContain('operation: delete');
    expect(markdown).toContain('client-secret: ${{ secrets.CLIENT_SECRET }}');
    expect(markdown).toContain('22/tcp from 203.0.113.0/24');
    expect(markdown).not.toMatch(/the-client-secret|the-password|the-generated-password/);
    // One table, and no more headings than needed.
    expect(skeleton(markdown).filter((tag) => tag === 'table')).toHaveLength(1);
  });

  test('has no links where the cloud has no portal', () => {
    const { portal: _, ...without } = facts();
    expect(renderSummary(without)).not.toContain('](');
  });

  test.each([
    ['a fixed version is not called the newest', { version: '1.2.3' }],
    ['nor is a kept one', { adopted: true }],
  ])('%s', (_, how) => {
    const base = facts();
    const wanted = { ...base.wanted, image: { ...base.wanted?.image, version: '1.2.3' } } as DeployInputs;
    const markdown = renderSummary('adopted' in how ? { ...base, adopted: true } : { ...base, wanted });
    expect(markdown).not.toContain('newest');
  });

  test('how to connect follows what the machine is', () => {
    const connect = (...args: Parameters<typeof facts>) =>
      /### How to connect\n\n([\s\S]*?)\n\n<details>/.exec(renderSummary(facts(...args)))?.[1] ?? '';
    const base = facts();
    const windows = { ...base.image, osType: 'Windows' } as ResolvedImage;
    expect(connect({}, { image: windows })).toMatch(/mstsc \/v:198\.51\.100\.7[\s\S]*3389 is closed/);
    const { adminPassword: _, ...withoutPassword } = base.wanted as DeployInputs;
    expect(renderSummary({ ...facts({}, { image: windows }), wanted: withoutPassword })).toContain(
      'Its password was generated',
    );
    const keyPath = '/home/runner/work/_temp/my key/id_rsa';
    expect(connect({}, { outputs: { ...base.outputs, 'ssh-private-key-path': keyPath } })).toContain(
      `ssh -i '${keyPath}'`,
    );
    const { 'public-ip-address': __, ...inside } = base.outputs;
    expect(connect({}, { outputs: inside })).toMatch(
      /no public IP[\s\S]*Bastion[\s\S]*az vm run-command invoke/,
    );
    const specialized = { ...base.image, osState: 'Specialized' } as ResolvedImage;
    const { 'admin-username': ___, ...nameless } = base.outputs;
    expect(connect({}, { image: specialized, outputs: nameless })).toMatch(/ssh <user>@|ssh '<user>'@/);
  });

  test.each<[string, Partial<DeployInputs>, Partial<SummaryFacts>, RegExp]>([
    ['ours', {}, {}, /open: 22\/tcp from 203\.0\.113\.0\/24$/],
    [
      'those of others beside ours',
      {},
      { otherRules: ['office', 'a|b'] },
      /open: 22\/tcp from 203\.0\.113\.0\/24, but for what rules of others say: office, a\|b$/,
    ],
    [
      'those of others where we have none',
      { network: closed },
      { otherRules: Array.from({ length: 12 }, (_, index) => `r${index}`) },
      /nothing is open, but for what rules of others say: r0, .*, r9 and 2 more$/,
    ],
    ['none', { network: closed }, {}, /nothing is open$/],
    ['by override', { network: closed, overrides: byOverride }, {}, /open: what overrides says$/],
  ])('rules of the security group: %s', (_, changed, more, expected) => {
    const markdown = renderSummary(facts(changed, more));
    const row = shown(/^\| Security group \|(.*)\|$/m.exec(markdown)?.[1] ?? '').trim();
    expect(row.replaceAll('\\|', '|')).toMatch(expected);
    // Where rules of others or an override may open it, nothing is claimed.
    expect(markdown.includes('Port 22 is closed')).toBe(row.endsWith('nothing is open'));
  });

  test('what was given is told from what was made', () => {
    const nsgId = `/subscriptions/${subscriptionId}/resourceGroups/hub/providers/Microsoft.Network/networkSecurityGroups/hub-nsg`;
    const subnetId = `/subscriptions/${subscriptionId}/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/hub/subnets/vms`;
    const base = facts({
      network: {
        kind: 'new-nic',
        subnet: given(subnetId),
        nsg: given(nsgId),
        publicIp: { kind: 'none' },
        acceleratedNetworking: false,
      },
    });
    const { 'public-ip-id': _, 'public-ip-address': __, ...outputs } = base.outputs;
    const vnet = subnetId.replace('/subnets/vms', '');
    const markdown = renderSummary({ ...base, outputs: { ...outputs, 'nsg-id': nsgId, 'vnet-id': vnet } });
    expect(markdown).toMatch(/\| Security group \|.*hub-nsg.*· given \|/);
    expect(markdown).toMatch(/\| Virtual network \|.*hub.*· given \|/);
    expect(markdown).toContain('class subnet,nsg given');
    expect(markdown).toContain('Dashed: given by ID');
    const again = renderSummary(facts({}, { outputs: { ...facts().outputs, created: '[]' } }));
    expect(again).toMatch(/\| Network interface \|.*· there already \|/);
  });

  test.each([
    [
      { kind: 'oidc' },
      { kind: 'known', name: 'azureusgovernment' },
      'environment: azureusgovernment',
      'client-secret',
    ],
    [
      { kind: 'certificate', pem: 'PEM' },
      { kind: 'known', name: 'azurecloud' },
      'client-certificate:',
      'environment',
    ],
  ] as const)('the step that deletes signs in as this one did: %j', (proof, environment, has, lacks) => {
    const markdown = renderSummary(facts({ credential: proof, environment }));
    expect(markdown).toContain(has);
    expect(markdown).not.toContain(`${lacks}:`);
    expect(markdown).not.toContain('PEM');
  });
});

const account: ErrorReport = {
  activity: ['creating virtual machine vm1'],
  words: ['Azure answered 409 SkuNotAvailable: not available.', 'Line two'],
  explanation: {
    cause: 'No such size in `westeurope`.',
    who: "the workflow's author",
    fix: [
      'List several sizes in `vm-size`:',
      'az vm list-skus -l westeurope',
      'https://aka.ms/azureskunotavailable',
    ],
  },
  trace: ['Request: PUT /subscriptions/x', 'Correlation ID: abc'],
};

describe('the summary of a failure', () => {
  test('explains, quotes Azure, and tells what went and what stays', () => {
    const base = facts();
    const nic = `${network}/networkInterfaces/vm1-nic`;
    const markdown = renderSummary({
      ...base,
      accounts: [account],
      outputs: { ...base.outputs, deleted: JSON.stringify([nic]) },
      left: [{ id: `${network}/publicIPAddresses/vm1-ip`, why: 'a lock' }],
    });
    expect(markdown).toContain('## ❌ Failed while creating virtual machine vm1');
    expect(shown(markdown)).toContain('Cause: No such size in westeurope.');
    expect(markdown).toContain('```sh\naz vm list-skus -l westeurope\n```');
    expect(markdown).toContain('(https://aka.ms/azureskunotavailable)');
    expect(shown(markdown)).toContain('Azure answered 409 SkuNotAvailable: not available.');
    expect(shown(markdown)).toContain('Correlation ID: abc');
    expect(markdown).toContain('**Deleted again:** <code>networkInterfaces/vm1-nic</code>');
    expect(markdown).toMatch(/⚠️ Left[\s\S]*publicIPAddresses\/vm1-ip[\s\S]*a lock/);
    expect(markdown).toContain('operation: delete');
    expect(markdown).not.toContain('### How to connect');
  });

  test('can come before anything is known', () => {
    const markdown = renderSummary({
      operation: 'create',
      outputs: {},
      stages: [],
      left: [],
      accounts: [{ activity: [], words: ['- client-id: is required'], trace: [] }],
    });
    expect(markdown).toBe('## ❌ Create failed\n\n> - client-id&#58; is required\n');
  });

  test('what a fallback deleted on the way is not told once another machine is there', () => {
    const base = facts();
    expect(renderSummary({ ...base, outputs: { ...base.outputs, deleted: '["/x"]' } })).not.toContain(
      'Deleted',
    );
  });
});

const finding = (level: Finding['level'], asked: string, fix: readonly string[] = []): Finding => ({
  id: asked,
  level,
  asked,
  answer: `answer to ${asked}`,
  who: fix.length > 0 ? 'someone' : '',
  fix,
});

test('the summary of a check counts, shows the worst first, and folds away what is in order', () => {
  const markdown = renderSummary({
    ...facts(),
    operation: 'check',
    accounts: [account],
    findings: [
      finding('ok', 'the token'),
      finding('unknown', 'the quota', ['Grant Reader:', 'az role assignment create --role Reader']),
      finding('fault', 'the size', ['az vm list-skus -l westeurope']),
    ],
  });
  expect(markdown).toContain('## ❌ Preflight failed for <code>vm1</code>: 1 of 3 checks');
  expect(markdown).toContain('❌ 1 failed · ❔ 1 skipped · ✅ 1 passed');
  const [table = ''] = markdown.match(/\| {2}\| Asked[\s\S]*?\n\n/) ?? [];
  expect(
    table
      .split('\n')
      .slice(2, 4)
      .map((row) => row.slice(2, 14)),
  ).toEqual([expect.stringMatching(/^❌ \| The size/), expect.stringMatching(/^❔ \| The quot/)]);
  expect(markdown).toContain('<details><summary>1 passed</summary>');
  expect(markdown.indexOf('list-skus')).toBeLessThan(markdown.indexOf('az role assignment create'));
  // The findings are the error; its words are not repeated.
  expect(markdown).not.toContain('Line two');
});

test.each([
  ['delete', { deleted: '["/a"]' }, [], '✅ Deployment <code>vm1</code> deleted'],
  ['delete', {}, [], '⚠️ Nothing of deployment <code>vm1</code> was found in <code>rg</code>'],
  ['delete', {}, [{ id: '/b', why: 'locked' }], '⚠️ Deployment <code>vm1</code> deleted in part'],
  ['sweep', { deleted: '["/a"]' }, [], '✅ Resource group <code>rg</code> swept'],
  ['clean-up', { deleted: '["/a"]' }, [], '🧹 Clean-up after the job'],
] as const)('the title of %s with %j', (operation, outputs, left, title) => {
  expect(renderSummary({ ...facts(), operation, outputs, left }).split('\n')[0]).toBe(`## ${title}`);
});

const hostile = [
  '| pipe | and ||',
  '`code` ``` ````',
  '</details></table></code><h1>broken',
  '<script>alert(1)</script><img src=x onerror=alert(1)>',
  '"]; click vm "javascript:alert(1)"',
  'end\nsubgraph x',
  '%%{init: {"securityLevel": "loose"}}%%',
  '@octocat #1 GH-1 www.evil.example https://evil.example',
  '[link](https://evil.example) ![image](https://evil.example/x.png)',
  '**bold** _it_ ~~gone~~ $x$ :smile: &lt; &amp;#124;',
  '\n\n# heading\n\n- list\n\n---\n',
  '\n::error::injected\n##[error]injected',
  '\u202Etxt.exe\u0000\u001b[31m',
  '--> x --- y ==> z; classDef a fill:#f00',
];

describe('text that others chose', () => {
  /** The same summary with `value` wherever others could have chosen the text. */
  const spoiled = (value: string): SummaryFacts => {
    const nsg = `${network}/networkSecurityGroups/${value}`;
    const base = facts({
      vmName: value,
      sizes: [value],
      network: {
        kind: 'new-nic',
        subnet: { kind: 'new', addressPrefix: '10.0.0.0/8', subnetPrefix: value },
        nsg: { kind: 'new', inbound: [{ fromPort: 1, toPort: 1, protocol: '*', source: value }] },
        publicIp: { kind: 'new' },
        acceleratedNetworking: false,
      },
    });
    return {
      ...base,
      bootLog: `boot ${value}`,
      outputs: {
        ...base.outputs,
        'nsg-id': nsg,
        fqdn: value,
        'script-exit-code': value,
        deleted: JSON.stringify([value]),
      },
      left: [{ id: value, why: value }],
      stages: [{ title: value, from: 0, to: 1, failed: true }, ...base.stages],
    };
  };
  const spoiledFailure = (value: string): SummaryFacts => ({
    ...spoiled(value),
    accounts: [
      {
        activity: [value],
        words: [`said ${value}`],
        explanation: { cause: `cause ${value}`, who: value, fix: [`fix ${value}`] },
        trace: [value],
      },
    ],
  });
  const spoiledCheck = (value: string): SummaryFacts => ({
    ...spoiled(value),
    operation: 'check',
    findings: [{ id: value, level: 'fault', asked: value, answer: value, who: value, fix: [`do ${value}`] }],
  });
  /** Code spans and line breaks in sentences are the one thing that such text can bring about. */
  const structure = (markdown: string): string[] =>
    skeleton(markdown).filter((tag) => !/^\/?(?:code|br)$/i.test(tag));

  test.each(hostile)('changes nothing of the page: %j', (value) => {
    for (const make of [spoiled, spoiledFailure, spoiledCheck]) {
      const markdown = renderSummary(make(value));
      expect(structure(markdown)).toEqual(structure(renderSummary(make('harmless'))));
      expect(html(markdown)).not.toMatch(/<script|<img|<h1|href="(?!https:\/\/portal\.azure\.com\/)/i);
    }
  });

  test('keeps its diagrams whole, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...hostile), fc.string({ unit: 'binary' })), (value) => {
        expect(label(value)).toMatch(/^"(?:[\p{L}\p{N}\p{M} ,./…-]|#\d+;)*"$/u);
        expect(timeline([{ title: value, from: 0, to: 5, failed: false }]).split('\n')).toHaveLength(8);
        expect(timeline([{ title: value, from: 0, to: 5, failed: false }])).toMatch(
          /\n {2}\u200B[\p{L}\p{N} -]* \(0\.0 s\) :s0, /u,
        );
      }),
    );
  });

  test('stays on its line and in its cell, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        for (const made of [markdownText(value), markdownCode(value), sentence(value)]) {
          expect(made).not.toMatch(/[\n\r|`*_[\]@~$\\]/);
          expect(made.replaceAll(/<\/?code>/g, '')).not.toMatch(/[<>]/);
        }
        expect(html(block(value))).toMatch(/^<pre><code class="language-text">[^<]*<\/code><\/pre>\n$/);
      }),
    );
  });

  test('is shown as it is', () => {
    for (const value of ['a|b', '<b>', '`x`', '**x**', 'a_b_c', '&amp;', '[x](y)', 'Standard_D2s_v5']) {
      expect(shown(markdownText(value)).trim()).toBe(value);
      expect(shown(markdownCode(value)).trim()).toBe(value);
    }
  });

  test('makes no links but to https', () => {
    expect(link('x', 'javascript:alert(1)')).toBe('x');
    expect(link('x', 'https://portal.azure.com/#@t/resource/a)(b "c')).toBe(
      '[x](https://portal.azure.com/#@t/resource/a%29%28b%20%22c)',
    );
  });

  test('does not speak to the runner from a line of the log', () => {
    const lines = escapeWorkflowCommands(
      '::error::a\n  ::set-env name=x::y\r::debug::z\u0085::b\n##[error]c\na::b',
    );
    for (const line of lines.split(/[\r\n]/)) {
      expect(line.replace(/^[\s\u0085]+/, '').startsWith('::')).toBe(false);
      expect(line).not.toContain('##[');
    }
    expect(escapeWorkflowCommands('plain: a::b #[x]')).toBe('plain: a::b #[x]');
  });
});

describe('size', () => {
  test('gives up the least important sections first, and says so', () => {
    const whole = renderSummary(facts());
    const cut = renderSummary(facts(), 2500);
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(2500);
    expect(cut.slice(0, 300)).toBe(whole.slice(0, 300));
    expect(cut).toContain('_Cut here: GitHub shows no more than 1 MiB.');
    expect(skeleton(cut).filter((tag) => tag === 'details')).toHaveLength(
      skeleton(cut).filter((tag) => tag === '/details').length,
    );
  });

  test('stays under GitHub’s limit with endless lists and texts', () => {
    const long = '☃'.repeat(200_000);
    const base = facts();
    const markdown = renderSummary({
      ...base,
      operation: 'check',
      bootLog: long,
      outputs: {
        ...base.outputs,
        deleted: JSON.stringify(Array.from({ length: 5000 }, (_, n) => `/x/${n}/${long}`.slice(0, 500))),
      },
      findings: Array.from({ length: 3000 }, (_, n) => ({
        ...finding('fault', `${n} ${long}`, [long, `az ${long}`]),
        answer: long,
      })),
      accounts: [{ ...account, words: [long], trace: [long] }],
    });
    expect(Buffer.byteLength(markdown)).toBeLessThanOrEqual(1024 * 1024);
    expect(markdown).toContain('more');
  });
});

test.each([
  [40, '0.0 s'],
  [1234, '1.2 s'],
  [59_400, '59 s'],
  [185_000, '3 min 5 s'],
])('%i ms are told as %s', (ms, said) => {
  expect(seconds(ms)).toBe(said);
});
