/** Renders a job summary as GitHub displays it to a PNG file, for work on the summary. Needs a local Chromium. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { marked } from 'marked';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { runAsRunner } from '../action-runner/action-runner.ts';

const usage = `node scripts/demo/render-summary.ts [options] SUMMARY.md|SCENE PICTURE.png
  SCENE             success, kept, windows, private, failure, check, check-passed, delete, sweep or clean-up: a run against the simulator
  --dark            use GitHub's dark theme
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
  'check-passed': (_, inputs) => {
    inputs['operation'] = 'check';
  },
  delete: (_, inputs) => {
    inputs['operation'] = 'delete';
  },
  kept: () => undefined,
  sweep: (_, inputs) => {
    inputs['operation'] = 'sweep';
  },
  'clean-up': (_, inputs) => {
    inputs['cleanup'] = 'always';
  },
};

/** Approximately the width of GitHub's summary, in pixels. */
const width = 1012;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dark: { type: 'boolean', default: false }, markdown: { type: 'string' } },
});
const [source, picture] = positionals;
if (source === undefined || picture === undefined) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const markdown = existsSync(source) ? readFileSync(source, 'utf8') : await summaryOf(source);
  if (values.markdown) writeFileSync(values.markdown, markdown);
  render(markdown, resolve(picture));
}

/** Runs a scene and returns the summary of its main step, or else of its post step. */
async function summaryOf(name: string): Promise<string> {
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
    if (['delete', 'kept', 'sweep'].includes(name)) await runAsRunner({ sim, inputs, phases: ['main'] });
    prepare(sim, inputs);
    const run = await runAsRunner({ sim, inputs });
    run.dispose();
    return (name === 'clean-up' ? '' : run.summary) || (run.post?.summary ?? '');
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
  return `<!doctype html><meta charset="utf-8"><title></title>
<style>${asset(`github-markdown-css/github-markdown-${theme}.css`)}
body { margin: 0; padding: 24px; background: ${values.dark ? '#0d1117' : '#ffffff'}; }
pre.mermaid { background: none !important; text-align: center; }</style>
<article class="markdown-body">${marked.parse(markdown, { gfm: true, async: false })}</article>
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
