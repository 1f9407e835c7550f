import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { marked } from 'marked';
import type { ErrorReport } from '../../../src/errors/format-error.ts';
import type { ResolvedImage } from '../../../src/image/image.ts';
import type { DeployInputs } from '../../../src/inputs/inputs.ts';
import type { Finding } from '../../../src/check/facts.ts';
import { escapeWorkflowCommands } from '../../../src/runner/log.ts';
import { parseResourceId, type ResourceId } from '../../../src/azure/resource-id.ts';
import { renderSummary } from '../../../src/summary/render-summary.ts';
import type { SummaryFacts } from '../../../src/summary/summary-facts.ts';
import { formatDuration, label, timeline } from '../../../src/summary/topology.ts';
import { block, markdownCode, link, sentence, markdownText } from '../../../src/lib/escape.ts';
import { network, summaryFacts } from '../../support/summary-facts.ts';
import { definitionId, group, subscriptionId } from '../../support/values.ts';

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

describe('the summary of a created VM', () => {
  test('starts with status and connection, and shows no secret', () => {
    const markdown = renderSummary(summaryFacts());
    expect(shown(markdown).split('\n').slice(0, 3)).toEqual([
      '✅ vm1 created',
      'Ready in 16 s · Linux · Standard_D2s_v5 · westeurope · image 1.2.3 · 198.51.100.7 · portal',
      'Connect',
    ]);
    expect(markdown).toContain(
      `https://portal.azure.com/#@customer.example/resource${group}/providers/Microsoft.Compute/virtualMachines/vm1`,
    );
    expect(markdown).toContain(`https://portal.azure.com/#@images.example/resource${definitionId}/versions/1.2.3`);
    expect(markdown).toContain('(newest usable version)');
    expect(markdown).toContain('ssh azureuser@198.51.100.7');
    expect(markdown).toContain('operation: delete');
    expect(markdown).toContain('client-secret: ${{ secrets.CLIENT_SECRET }}');
    expect(markdown).toContain('22/tcp from 203.0.113.0/24');
    expect(markdown).not.toMatch(/the-client-secret|the-password|the-generated-password/);
    expect(skeleton(markdown).filter((tag) => tag === 'table')).toHaveLength(1);
  });

  test('has no links if the cloud has no portal', () => {
    const { portal: _, ...without } = summaryFacts();
    expect(renderSummary(without)).not.toContain('](');
  });

  test.each([
    ['does not call an exact version the newest', { version: '1.2.3' }],
    ['does not call the version of an existing VM the newest', { adopted: true }],
  ])('%s', (_, how) => {
    const base = summaryFacts();
    const wanted = {
      ...base.requested,
      image: { ...base.requested?.image, version: '1.2.3' },
    } as DeployInputs;
    const markdown = renderSummary('adopted' in how ? { ...base, adopted: true } : { ...base, requested: wanted });
    expect(markdown).not.toContain('newest');
  });

  test('explains how to connect by system, key and address', () => {
    const connect = (...args: Parameters<typeof summaryFacts>) =>
      /### Connect\n\n([\s\S]*?)\n\n<details>/.exec(renderSummary(summaryFacts(...args)))?.[1] ?? '';
    const base = summaryFacts();
    const windows = { ...base.image, osType: 'Windows' } as ResolvedImage;
    expect(connect({}, { image: windows })).toMatch(/mstsc \/v:198\.51\.100\.7[\s\S]*3389 is closed/);
    const { adminPassword: _, ...withoutPassword } = base.requested as DeployInputs;
    expect(renderSummary({ ...summaryFacts({}, { image: windows }), requested: withoutPassword })).toContain(
      'The generated password is not exposed. To sign in, reset it:',
    );
    const key = { 'ssh-private-key-path': 'key', 'ssh-command': 'ssh -i key azureuser@198.51.100.7' };
    expect(connect({}, { outputs: { ...base.outputs, ...key } })).toContain(key['ssh-command']);
    const { 'public-ip-address': __, ...inside } = base.outputs;
    expect(connect({}, { outputs: inside })).toMatch(/No public IP[\s\S]*Bastion[\s\S]*az vm run-command invoke/);
    const specialized = { ...base.image, osState: 'Specialized' } as ResolvedImage;
    const { 'admin-username': ___, ...nameless } = base.outputs;
    expect(connect({}, { image: specialized, outputs: nameless })).toContain("ssh '<user>@198.51.100.7'");
    // Nobody has the generated key of an existing VM.
    const withoutKey = { ...withoutPassword, sshPublicKeys: [] };
    const isLost = /key that an earlier run generated was deleted[\s\S]*az vm user update/;
    expect(connect({}, { adopted: true, requested: withoutKey })).toMatch(isLost);
    expect(connect({}, { adopted: true, requested: base.requested as DeployInputs })).not.toMatch(isLost);
    expect(connect({}, { requested: withoutKey })).not.toMatch(isLost);
  });

  test.each<[string, Partial<DeployInputs>, Partial<SummaryFacts>, RegExp]>([
    ['own', {}, {}, /open: 22\/tcp from 203\.0\.113\.0\/24$/],
    [
      'others in addition',
      {},
      { otherRules: ['office', 'a|b'] },
      /open: 22\/tcp from 203\.0\.113\.0\/24, except for rules of others: office, a\|b$/,
    ],
    [
      'only others',
      { network: closed },
      { otherRules: Array.from({ length: 12 }, (_, index) => `r${index}`) },
      /nothing is open, except for rules of others: r0, .*, r9 and 2 more$/,
    ],
    ['none', { network: closed }, {}, /nothing is open$/],
    ['overridden', { network: closed, overrides: byOverride }, {}, /open: as overrides says$/],
  ])('shows rules of the NSG: %s', (_, changed, more, expected) => {
    const markdown = renderSummary(summaryFacts(changed, more));
    const row = shown(/^\| NSG \|(.*)\|$/m.exec(markdown)?.[1] ?? '').trim();
    expect(row.replaceAll('\\|', '|')).toMatch(expected);
    // Rules of others or an override may open it.
    expect(markdown.includes('Port 22 is closed')).toBe(row.endsWith('nothing is open'));
  });

  test('draws the internet once when rules name it as * and by its service tag', () => {
    const rule = { fromPort: 22, toPort: 22, protocol: 'Tcp' as const };
    const inbound = [
      { ...rule, source: '*' },
      { ...rule, fromPort: 443, toPort: 443, source: 'Internet' },
    ];
    const markdown = renderSummary(summaryFacts({ network: { ...closed, nsg: { kind: 'new', inbound } } }));
    expect(markdown).toContain('source0(["Internet"]) -- "TCP 22, TCP 443" --> ip');
  });

  test('marks resources that the run did not create', () => {
    const nsgId = `/subscriptions/${subscriptionId}/resourceGroups/hub/providers/Microsoft.Network/networkSecurityGroups/hub-nsg`;
    const subnetId = `/subscriptions/${subscriptionId}/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/hub/subnets/vms`;
    const base = summaryFacts({
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
    expect(markdown).toMatch(/\| NSG \|.*hub-nsg.*· not part of this deployment \|/);
    expect(markdown).toMatch(/\| Virtual network \|.*hub.*· not part of this deployment \|/);
    expect(markdown).toContain('class subnet,nsg existing');
    expect(markdown).toContain('Dashed: existing resources');
    const again = renderSummary(summaryFacts({}, { outputs: { ...summaryFacts().outputs, created: '[]' } }));
    expect(again).toMatch(/\| Network interface \|.*· existed before \|/);
  });

  test.each([
    [{ kind: 'oidc' }, { kind: 'known', name: 'azureusgovernment' }, 'environment: azureusgovernment', 'client-secret'],
    [{ kind: 'certificate', pem: 'PEM' }, { kind: 'known', name: 'azurecloud' }, 'client-certificate:', 'environment'],
  ] as const)('shows a delete step with the same kind of sign-in: %j', (proof, environment, has, lacks) => {
    const markdown = renderSummary(summaryFacts({ credential: proof, environment }));
    expect(markdown).toContain(has);
    expect(markdown).not.toContain(`${lacks}:`);
    expect(markdown).not.toContain('PEM');
  });
});

const account: ErrorReport = {
  title: 'No such size in westeurope',
  activity: ['creating virtual machine vm1'],
  message: [],
  notes: ['Line two'],
  azure: ['Azure answered 409 SkuNotAvailable: not available.'],
  explanation: {
    cause: 'No such size in `westeurope`.',
    who: "the workflow's author",
    fix: ['List several sizes in `vm-size`:', 'az vm list-skus -l westeurope', 'https://aka.ms/azureskunotavailable'],
  },
  trace: ['Request: PUT /subscriptions/x', 'Correlation ID: abc'],
};

describe('the summary of a failure', () => {
  test('starts with cause, who and command, and folds what Azure said', () => {
    const base = summaryFacts();
    const nic = `${network}/networkInterfaces/vm1-nic`;
    const markdown = renderSummary({
      ...base,
      errors: [account],
      outputs: { ...base.outputs, deleted: JSON.stringify([nic]) },
      left: [{ id: `${network}/publicIPAddresses/vm1-ip`, why: 'a lock' }],
    });
    expect(markdown).toContain('## ❌ No such size in westeurope\n');
    expect(shown(markdown)).toContain('Failed while creating virtual machine vm1.');
    expect(shown(markdown)).toContain('Cause: No such size in westeurope.');
    expect(markdown).toContain('```sh\naz vm list-skus -l westeurope\n```');
    expect(markdown).toContain('(https://aka.ms/azureskunotavailable)');
    expect(shown(markdown)).toContain('Azure answered 409 SkuNotAvailable: not available.');
    expect(shown(markdown)).toContain('Correlation ID: abc');
    expect(markdown).toContain(
      '<details open><summary>Rolled back: 1 resource</summary>\n\n- <code>networkInterfaces/vm1-nic</code>',
    );
    expect(markdown).toMatch(/⚠️ Not deleted[\s\S]*publicIPAddresses\/vm1-ip[\s\S]*a lock/);
    expect(markdown).toContain('operation: delete');
    expect(markdown).not.toContain('### Connect');
  });

  test('lists invalid inputs', () => {
    const markdown = renderSummary({
      operation: 'create',
      outputs: {},
      stages: [],
      left: [],
      errors: [
        {
          title: 'Invalid input',
          activity: [],
          message: ['- client-id: is required'],
          notes: [],
          azure: [],
          trace: [],
        },
      ],
    });
    expect(markdown).toBe('## ❌ Invalid input\n\n- client-id&#58; is required\n');
  });

  test('omits what a size fallback deleted once a VM exists', () => {
    const base = summaryFacts();
    expect(renderSummary({ ...base, outputs: { ...base.outputs, deleted: '["/x"]' } })).not.toContain('Deleted:');
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

describe('the summary of a check', () => {
  const check = (findings: readonly Finding[]): string =>
    renderSummary({ ...summaryFacts(), operation: 'check', errors: [account], findings });

  test('starts with what failed, and folds skipped and passed checks', () => {
    const markdown = check([
      finding('ok', 'the token'),
      finding('unknown', 'the quota', ['Grant Reader:', 'az role assignment create --role Reader']),
      finding('fault', 'the size', ['az vm list-skus -l westeurope']),
    ]);
    expect(shown(markdown)).toMatch(
      /^❌ Preflight failed for vm1: 1 of 3 checks\n❌ 1 failed · ⏭️ 1 skipped · ✅ 1 passed\n❌ The size\n/,
    );
    expect(markdown).toContain('<details><summary>⏭️ 1 skipped</summary>');
    expect(markdown).toContain('<details><summary>✅ 1 passed</summary>');
    expect(markdown.indexOf('list-skus')).toBeLessThan(markdown.indexOf('az role assignment create'));
    // The findings are the error; its message is not repeated.
    expect(markdown).not.toContain('Line two');
  });

  test('merges findings with the same answer and remedy', () => {
    const fix = ['az role assignment create --role Reader'];
    const same = (level: Finding['level'], asked: string) => ({
      ...finding(level, asked, fix),
      answer: 'equal',
    });
    const markdown = check([
      same('unknown', 'the quota'),
      same('unknown', 'the sizes'),
      { ...finding('ok', 'the name vm1'), answer: 'Free.' },
      { ...finding('ok', 'the name vm1-nic'), answer: 'Free.' },
    ]);
    expect(markdown).toContain('| The quota<br>The sizes | Equal |');
    // Nothing is more important, so it is not collapsed, and no line of counts repeats the headings.
    expect(markdown).toContain('<details open><summary>⏭️ 2 skipped</summary>');
    expect(markdown).not.toContain('⏭️ 2 skipped · ');
    expect(markdown).toContain('| The name vm1<br>The name vm1-nic | Free. |');
    expect(markdown.match(/az role assignment create/g)).toHaveLength(1);
  });

  test.each([
    ['✅ Preflight passed for vm1', [finding('ok', 'a'), finding('warning', 'b')]],
    ['⚠️ Preflight passed for vm1, 2 checks skipped', [finding('unknown', 'a'), finding('unknown', 'b')]],
    ['❌ Preflight failed for vm1: 2 of 2 checks', [finding('fault', 'a'), finding('fault', 'b')]],
  ])('is headed %j', (heading, findings) => {
    const markdown = renderSummary({ ...summaryFacts(), operation: 'check', findings });
    expect(shown(markdown).split('\n')[0]).toBe(heading);
  });
});

test.each([
  ['delete', { deleted: '["/a"]' }, [], '✅ vm1 deleted'],
  ['delete', {}, [], '⚠️ Nothing to delete: vm1 was not found in resource group rg'],
  ['delete', { deleted: '["/a"]' }, [{ id: '/b', why: 'locked' }], '⚠️ vm1 only partly deleted'],
  ['delete', { deleted: '[]' }, [{ id: '/b', why: 'locked' }], '⚠️ vm1 not deleted'],
  ['sweep', { deleted: '["/a"]' }, [], '✅ Deployments deleted from resource group rg'],
  ['sweep', {}, [], '✅ No deployments deleted from resource group rg'],
  ['clean-up', { deleted: '["/a"]' }, [], '✅ vm1 deleted after the job'],
  ['clean-up', { deleted: '[]' }, [], '✅ Nothing was left to delete'],
] as const)('heads the summary of %s with %j', (operation, outputs, left, title) => {
  const markdown = renderSummary({ ...summaryFacts(), operation, outputs, left });
  expect(shown(markdown).split('\n')[0]).toBe(title);
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

describe('untrusted text', () => {
  /** A summary with `value` in every place that others control. */
  const spoiled = (value: string): SummaryFacts => {
    const nsg = `${network}/networkSecurityGroups/${value}`;
    const base = summaryFacts({
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
    errors: [
      {
        title: value,
        activity: [value],
        message: [`said ${value}`],
        notes: [value],
        azure: [value],
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
  /** Such text may only add code spans and line breaks. */
  const structure = (markdown: string): string[] => skeleton(markdown).filter((tag) => !/^\/?(?:code|br)$/i.test(tag));

  test.each(hostile)('does not change the structure of the page: %j', (value) => {
    for (const make of [spoiled, spoiledFailure, spoiledCheck]) {
      const markdown = renderSummary(make(value));
      expect(structure(markdown)).toEqual(structure(renderSummary(make('harmless'))));
      expect(html(markdown)).not.toMatch(/<script|<img|<h1|href="(?!https:\/\/portal\.azure\.com\/)/i);
    }
  });

  test('keeps diagrams valid', () => {
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

  test('stays on its line and in its cell', () => {
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

  test('is shown unchanged', () => {
    for (const value of ['a|b', '<b>', '`x`', '**x**', 'a_b_c', '&amp;', '[x](y)', 'Standard_D2s_v5']) {
      expect(shown(markdownText(value)).trim()).toBe(value);
      expect(shown(markdownCode(value)).trim()).toBe(value);
    }
  });

  test('links only to https', () => {
    expect(link('x', 'javascript:alert(1)')).toBe('x');
    expect(link('x', 'https://portal.azure.com/#@t/resource/a)(b "c')).toBe(
      '[x](https://portal.azure.com/#@t/resource/a%29%28b%20%22c)',
    );
  });

  test('is no command to the runner', () => {
    const lines = escapeWorkflowCommands('::error::a\n  ::set-env name=x::y\r::debug::z\u0085::b\n##[error]c\na::b');
    for (const line of lines.split(/[\r\n]/)) {
      expect(line.replace(/^[\s\u0085]+/, '').startsWith('::')).toBe(false);
      expect(line).not.toContain('##[');
    }
    expect(escapeWorkflowCommands('plain: a::b #[x]')).toBe('plain: a::b #[x]');
  });
});

describe('size', () => {
  test('drops the least important sections first', () => {
    const whole = renderSummary(summaryFacts());
    const cut = renderSummary(summaryFacts(), 2500);
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(2500);
    expect(cut.slice(0, 300)).toBe(whole.slice(0, 300));
    expect(cut).toContain('_Truncated: GitHub shows no more than 1 MiB.');
    expect(skeleton(cut).filter((tag) => tag === 'details')).toHaveLength(
      skeleton(cut).filter((tag) => tag === '/details').length,
    );
  });

  test('stays under GitHub’s limit with endless lists and texts', () => {
    const long = '☃'.repeat(200_000);
    const base = summaryFacts();
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
      errors: [{ ...account, title: long, message: [long], notes: [long], trace: [long] }],
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
])('formats %i ms as %s', (ms, said) => {
  expect(formatDuration(ms)).toBe(said);
});

/** The commands of a failure's fix, as the summary shows them. */
function shownCommand(command: string): string {
  const explanation = { cause: 'c', who: 'w', fix: [command] };
  const markdown = renderSummary({
    operation: 'create',
    outputs: {},
    stages: [],
    left: [],
    errors: [{ title: 'x', activity: [], message: [], notes: [], azure: [], explanation, trace: [] }],
  });
  return /```sh\n([\s\S]*?)\n```/.exec(markdown)?.[1] ?? '';
}

test('continues a long command on the next line, before an option and outside quotes', () => {
  const scope = '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/deployments';
  const command = `az role assignment create --assignee 33333333-3333-4333-8333-333333333333 --role 'Cross-tenant VM deployer' --scope ${scope} --description "a --b c"`;
  const wrapped = shownCommand(command);
  expect(wrapped.split('\n')).toEqual([
    'az role assignment create --assignee 33333333-3333-4333-8333-333333333333 \\',
    "  --role 'Cross-tenant VM deployer' \\",
    `  --scope ${scope} \\`,
    '  --description "a --b c"',
  ]);
  expect(wrapped.replaceAll(/ \\\n {2}/g, ' ')).toBe(command);
});

test.each(['az vm list -g rg', `gh variable set X --body '${'it\n'.repeat(60)}'`, `az x --y "${'z'.repeat(200)}`])(
  'leaves %j unchanged',
  (command) => {
    expect(shownCommand(command)).toBe(command);
  },
);
