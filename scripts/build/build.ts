/**
 * Builds what the runner executes: TypeScript → JavaScript (tsc) → one bundle (ncc) → minified (esbuild), with the
 * licences of everything that is inside. The same sources give the same bytes: scripts/build/check-dist.ts relies on it.
 *
 *     node scripts/build/build.ts [FOLDER]      default: dist
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { transform } from 'esbuild';
import ncc from '@vercel/ncc';
import { chunksOf, modulesOf } from './bundle-modules.ts';
import { noticesOf } from './licences.ts';
import { schemaValidator, validatorFile } from './schema-validator.ts';

const root = resolve(import.meta.dirname, '../..');

/**
 * Not shipped: no path of the action reaches it. @azure/identity imports the package `open` when a person is to sign in
 * with a browser; ncc gives it a chunk of its own and copies its executable. As an external of ncc it would become a
 * static import, which fails at start.
 */
const unreachable = { package: 'open', asset: 'xdg-open' };

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

  const bundle = await ncc(join(compiled, 'index.js'), { cache: false, quiet: true });
  const modules = modulesOf(bundle.stats);
  const files = new Map<string, string | Buffer>([
    ['index.js', bundle.code],
    // Two lines that load the bundle beside it.
    ['post.js', readFileSync(join(compiled, 'post.js'))],
  ]);
  for (const [name, asset] of Object.entries(bundle.assets)) files.set(name, asset.source);
  files.delete('package.json');
  files.delete(unreachable.asset);
  const dropped = chunksOf(unreachable.package, modules);
  for (const chunk of dropped) files.delete(`${chunk}.index.js`);

  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, source] of files) {
    // Whatever else a dependency makes ncc copy (an executable, a native module) is to be decided on, not shipped.
    if (!/^[\w.-]+\.js$/.test(name))
      throw new Error(`ncc emitted ${name}: neither expected nor needed in dist`);
    writeFileSync(join(folder, name), await minify(source.toString()));
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  writeFileSync(
    join(folder, 'licenses.txt'),
    noticesOf(modules.filter(({ chunks }) => !chunks.every((chunk) => dropped.has(chunk)))),
  );
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

if (import.meta.main) {
  await build(resolve(process.argv[2] ?? join(root, 'dist')));
  writeFileSync(validatorFile, await schemaValidator());
}
