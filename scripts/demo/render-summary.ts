/** Renders a job summary as GitHub displays it to a PNG file, for work on the summary. Needs a local Chromium. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { marked } from 'marked';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { formatSummary } from '../../fleet/report.mjs';
import { type Run, runAsRunner } from '../action-runner/action-runner.ts';

const usage = `node scripts/demo/render-summary.ts [options] SUMMARY.md|SCENE PICTURE.png
  SCENE             a run against the simulator: success, kept, replaced, windows, private, failure, check, check-passed,
                    check-skipped, delete, sweep, list or clean-up; or the roll-up of a fleet: fleet, fleet-check or fleet-list
  --dark            use GitHub's dark theme
  --width PIXELS    width of the page (default 1012, about that of GitHub's summary)
  --open            show the collapsed parts
  --markdown FILE   also write the Markdown
CHROMIUM is the path of the browser (Debian: apt-get install chromium).`;

type Scene = (sim: Simulator, inputs: Record<string, string>) => void;

const scenes: Readonly<Record<string, Scene>> = {
  success: (_, inputs) => {
    inputs['allow-inbound'] = '22 from 203.0.113.0/24\n443 from *';
    inputs['expires-after'] = 'P1D';
  },
  windows: (_, inputs) => {
    inputs['image-id'] = defaults.imageId('windows');
  },
  private: (_, inputs) => {
    inputs['public-ip'] = 'false';
    inputs['identity'] = 'puller';
  },
  failure: (sim, inputs) => {
    inputs['vm-size'] = 'Standard_D2s_v5, Standard_D4s_v5';
    settings(sim.world).shortages.push({ code: 'SkuNotAvailable', at: 'put' });
    sim.world.grant(defaults.clientId, 'Reader', `/subscriptions/${defaults.subscriptionId}`);
  },
  check: (sim, inputs) => {
    inputs['operation'] = 'check';
    inputs['allow-inbound'] = '22 from *';
    inputs['vm-size'] = 'Standard_D2s_v5, Standard_D1_v2';
    inputs['role-assignments'] = `Reader on /subscriptions/${defaults.subscriptionId}`;
    inputs['identity'] = 'system';
    settings(sim.world).quota['cores'] = { limit: 10, used: 10 };
  },
  'check-passed': (sim, inputs) => {
    inputs['operation'] = 'check';
    for (const role of ['Reader', 'Contributor']) {
      sim.world.grant(defaults.clientId, role, `/subscriptions/${defaults.subscriptionId}`);
    }
  },
  'check-skipped': (_, inputs) => {
    inputs['operation'] = 'check';
  },
  delete: (_, inputs) => {
    inputs['operation'] = 'delete';
  },
  kept: () => undefined,
  replaced: (_, inputs) => {
    inputs['if-exists'] = 'replace';
    inputs['vm-size'] = 'Standard_D4s_v5';
    inputs['image-id'] = `${defaults.imageId('linux')}/versions/1.9.0`;
  },
  list: (_, inputs) => {
    inputs['operation'] = 'list';
  },
  sweep: (_, inputs) => {
    inputs['operation'] = 'sweep';
  },
  'clean-up': (_, inputs) => {
    inputs['cleanup'] = 'always';
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dark: { type: 'boolean', default: false },
    markdown: { type: 'string' },
    open: { type: 'boolean', default: false },
    width: { type: 'string', default: '1012' },
  },
});
const width = Number(values.width);
const [source, picture] = positionals;
if (source === undefined || picture === undefined) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const markdown = source.endsWith('.md') ? readFileSync(source, 'utf8') : await summaryOf(source);
  if (values.markdown) writeFileSync(values.markdown, markdown);
  render(markdown, resolve(picture));
}

/** The roll-up of three tenants, two of which fail, as fleet/report.mjs writes it. */
async function fleetSummary(operation: string): Promise<string> {
  const outcomes = [
    await runScene('success', { operation, 'vm-name': 'app-1-own-test' }),
    await runScene(operation === 'check' ? 'check' : 'failure', { operation, 'vm-name': 'app-1-customer-a' }),
    await runScene('success', {
      operation,
      'vm-name': 'app-1-customer-b',
      'image-id': defaults.imageId('linux', '9.0.0'),
    }),
  ];
  const rows = outcomes.map(({ exitCode, outputs }, index) => ({
    name: ['own-test', 'customer-a', 'customer-b'][index] ?? '',
    wave: ['canary', 'early', 'rest'][index] ?? '',
    outcome: exitCode === 0 ? 'success' : 'failure',
    attempt: 1,
    job: String(7100 + index),
    result: JSON.parse(outputs['result'] ?? 'null') as Record<string, unknown>,
  }));
  return formatSummary(rows, { title: `Fleet app-1: ${operation}`, url: 'https://github.example/run' });
}

/** Runs a scene and returns the summary of its main step, or else of its post step. */
async function summaryOf(name: string): Promise<string> {
  const fleetOperation = /^fleet(?:-(check|list))?$/.exec(name);
  if (fleetOperation) return fleetSummary(fleetOperation[1] ?? 'create');
  const run = await runScene(name);
  return (name === 'clean-up' ? '' : run.summary) || (run.post?.summary ?? '');
}

async function runScene(name: string, changes: Record<string, string> = {}): Promise<Run> {
  const prepare = scenes[name];
  if (!prepare) throw new Error(`${name} is neither a file nor one of: ${Object.keys(scenes).join(', ')}`);
  const sim = await startSimulator({ timeScale: 0.1 });
  try {
    const inputs: Record<string, string> = {
      environment: sim.armEndpoint,
      'client-id': defaults.clientId,
      'client-secret': defaults.clientSecret,
      'tenant-id': defaults.tenantId,
      'image-tenant-id': defaults.imageTenantId,
      'resource-group': defaults.resourceGroup,
      'image-id': defaults.imageId('linux'),
      'vm-name': 'vm1',
    };
    if (name === 'sweep') inputs['expires-after'] = '1s';
    if (['delete', 'kept', 'list', 'replaced', 'sweep'].includes(name) || changes['operation'] === 'list')
      await runAsRunner({ sim, inputs, phases: ['main'] });
    prepare(sim, inputs);
    const run = await runAsRunner({ sim, inputs: { ...inputs, ...changes } });
    run.dispose();
    return run;
  } finally {
    await sim.close();
  }
}

function render(markdown: string, picture: string): void {
  const browser = findBrowser();
  const folder = mkdtempSync(join(tmpdir(), 'summary-'));
  try {
    const page = join(folder, 'summary.html');
    writeFileSync(page, htmlPage(markdown));
    // The first pass determines the height of the page, the second takes the screenshot.
    const url = `file://${page}`;
    const dom = execFileSync(browser, [...chromiumFlags(folder), '--dump-dom', url], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 28,
    });
    const diagramError = /<title>error: ([^<]*)/.exec(dom)?.[1];
    if (diagramError !== undefined) throw new Error(`Mermaid rejected a diagram: ${diagramError}`);
    const height = /<title>(\d+)/.exec(dom)?.[1];
    if (height === undefined) throw new Error('Chromium did not finish the layout in time.');
    execFileSync(
      browser,
      [...chromiumFlags(folder), `--window-size=${width},${height}`, `--screenshot=${picture}`, url],
      { stdio: 'ignore' },
    );
    console.log(`${picture}: ${width} x ${height}, from ${Buffer.byteLength(markdown)} bytes of Markdown.`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function chromiumFlags(folder: string): string[] {
  return [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--hide-scrollbars',
    `--user-data-dir=${join(folder, 'profile')}`,
    `--window-size=${width},2000`,
    '--virtual-time-budget=20000',
  ];
}

function findBrowser(): string {
  const candidates = [process.env['CHROMIUM'] ?? [], 'chromium', 'chromium-browser', 'google-chrome'].flat();
  const found = candidates.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
  if (found === undefined) {
    throw new Error(
      `No Chromium found (tried ${candidates.join(', ')}). Install it (Debian: apt-get install chromium) or set CHROMIUM to its path.`,
    );
  }
  return found;
}

/** Returns a page with GitHub's style sheet and Mermaid, but without GitHub's other extensions, such as alerts. */
function htmlPage(markdown: string): string {
  const asset = (name: string): string =>
    readFileSync(createRequire(import.meta.url).resolve(name), 'utf8').replaceAll('</script', String.raw`<\/script`);
  const theme = values.dark ? 'dark' : 'light';
  const parsed = marked.parse(markdown, { gfm: true, async: false });
  const html = values.open ? parsed.replaceAll('<details>', '<details open>') : parsed;
  return `<!doctype html><meta charset="utf-8"><title></title>
<style>${asset(`github-markdown-css/github-markdown-${theme}.css`)}
body { margin: 0; padding: 24px; background: ${values.dark ? '#0d1117' : '#ffffff'}; }
pre.mermaid { background: none !important; text-align: center; }</style>
<article class="markdown-body">${html}</article>
<script>${asset('mermaid/dist/mermaid.min.js')}</script>
<script>
for (const code of document.querySelectorAll('code.language-mermaid')) {
  const pre = code.parentElement;
  pre.className = 'mermaid';
  pre.textContent = code.textContent;
}
mermaid.initialize({ startOnLoad: false, securityLevel: 'strict', theme: '${values.dark ? 'dark' : 'default'}' });
mermaid.run().then(
  () => { document.title = String(Math.ceil(document.documentElement.getBoundingClientRect().height)); },
  (error) => { document.title = 'error: ' + (error.str || error.message || error); },
);
</script>`;
}
