/**
 * Draws a job summary as GitHub's page shows it, as a picture to look at. Takes a Chromium on this machine; it is a tool
 * for whoever changes the summary and no part of the tests.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { marked } from 'marked';
import { defaults, type Simulator, startSimulator } from '../../simulator/index.ts';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { runAsRunner } from '../runner.ts';

const usage = `node scripts/demo/render-summary.ts [options] SUMMARY.md|SCENE PICTURE.png
  SCENE    success, windows, private, failure, check, delete: run against the simulator
  --dark   GitHub's dark theme
  --markdown FILE   keep the Markdown too
CHROMIUM names the browser (Debian: apt-get install chromium).`;

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
  delete: (_, inputs) => {
    inputs['operation'] = 'delete';
  },
};

/** About that of GitHub's page. */
const width = 1012;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dark: { type: 'boolean', default: false }, markdown: { type: 'string' } },
});
const [from, to] = positionals;
if (from === undefined || to === undefined) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const markdown = existsSync(from) ? readFileSync(from, 'utf8') : await play(from);
  if (values.markdown) writeFileSync(values.markdown, markdown);
  draw(markdown, resolve(to));
}

/** The summary that a run of the scene leaves, of its main step or else of its post step. */
async function play(name: string): Promise<string> {
  const arrange = scenes[name];
  if (!arrange) throw new Error(`${name} is neither a file nor one of: ${Object.keys(scenes).join(', ')}`);
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
    if (name === 'delete') await runAsRunner({ sim, inputs, phases: ['main'] });
    arrange(sim, inputs);
    const run = await runAsRunner({ sim, inputs });
    run.dispose();
    return run.summary || (run.post?.summary ?? '');
  } finally {
    await sim.close();
  }
}

function draw(markdown: string, picture: string): void {
  const browser = findBrowser();
  const folder = mkdtempSync(join(tmpdir(), 'summary-'));
  try {
    const page = join(folder, 'summary.html');
    writeFileSync(page, pageOf(markdown));
    // Once to lay it out and see how high it gets, once to take the picture.
    const url = `file://${page}`;
    const laidOut = execFileSync(browser, [...chromiumFlags(folder), '--dump-dom', url], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 28,
    });
    const broken = /<title>broken: ([^<]*)/.exec(laidOut)?.[1];
    if (broken !== undefined) throw new Error(`Mermaid refuses a diagram: ${broken}`);
    const height = /<title>(\d+)/.exec(laidOut)?.[1];
    if (height === undefined) throw new Error('The page was not laid out in time.');
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
      `No Chromium found (tried ${candidates.join(', ')}). Install it (Debian: apt-get install chromium) or name it in CHROMIUM.`,
    );
  }
  return found;
}

/** GitHub's own style sheet; diagrams by Mermaid; alerts and everything else that GitHub adds is not used. */
function pageOf(markdown: string): string {
  const asset = (name: string): string =>
    readFileSync(createRequire(import.meta.url).resolve(name), 'utf8').replaceAll(
      '</script',
      String.raw`<\/script`,
    );
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
  (error) => { document.title = 'broken: ' + (error.str || error.message || error); },
);
</script>`;
}
