/**
 * Builds what the runner executes: TypeScript → JavaScript (tsc) → one bundle (ncc) → minified (esbuild), with the
 * licences of everything that is inside. The same sources give the same bytes: scripts/check-dist.ts relies on it.
 *
 *     node scripts/build.ts [FOLDER]      default: dist
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { transform } from 'esbuild';
import ncc from '@vercel/ncc';
import { noticesOf } from './licences.ts';

const root = resolve(import.meta.dirname, '..');

/**
 * Packages that are reached by no path of the action and stay out of the bundle. `open` starts a browser for
 * @azure/identity's interactive sign-in; it would bring an executable (xdg-open) and a chunk of its own.
 */
const neverReached = ['open'];

/** Builds the action into `folder`, which is replaced. */
export async function build(folder: string): Promise<void> {
  const compiled = join(root, 'build');
  rmSync(compiled, { recursive: true, force: true });
  execFileSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );

  const bundle = await ncc(join(compiled, 'index.js'), {
    cache: false,
    quiet: true,
    externals: neverReached,
  });
  const files = new Map<string, string | Buffer>([['index.js', bundle.code]]);
  for (const [name, asset] of Object.entries(bundle.assets)) files.set(name, asset.source);

  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, source] of files) {
    if (name === 'package.json') continue;
    // Whatever else a dependency makes ncc copy (an executable, a native module) is to be decided on, not shipped.
    if (!/^[\w.-]+\.js$/.test(name))
      throw new Error(`ncc emitted ${name}: neither expected nor needed in dist`);
    writeFileSync(join(folder, name), await minify(source.toString()));
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  writeFileSync(join(folder, 'licenses.txt'), noticesOf(bundle.stats));
  rmSync(compiled, { recursive: true, force: true });
}

/** ncc's own minifier keeps dead code; esbuild's pass brings the bundle to a third. */
async function minify(code: string): Promise<string> {
  const result = await transform(code, {
    minify: true,
    treeShaking: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    legalComments: 'none', // all of them are in licenses.txt
  });
  return result.code;
}

if (import.meta.main) await build(resolve(process.argv[2] ?? join(root, 'dist')));
