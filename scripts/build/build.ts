/**
 * Builds dist/: TypeScript → JavaScript (tsc) → one bundle (ncc) → minified (esbuild), with the licences of all bundled
 * packages. Builds are reproducible; check-dist.ts relies on it. Also compiles the schema of the fleet.
 *
 *     node scripts/build/build.ts [FOLDER]      default: dist
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { transform } from 'esbuild';
import ncc from '@vercel/ncc';
import { bundledModules, chunksOf } from './bundle-modules.ts';
import { licenceNotices } from './licences.ts';
import { schemaValidator, validatorFile } from './schema-validator.ts';

const root = resolve(import.meta.dirname, '../..');

/**
 * Only @azure/identity's interactive browser sign-in imports `open`, which the action never uses. ncc emits a chunk and an
 * executable for it, which are removed here: as an `external` of ncc it would become a static import and fail at start.
 */
const unused = { package: 'open', asset: 'xdg-open' };

/** Builds the action into `folder`, replacing its content. */
export async function build(folder: string): Promise<void> {
  const compiled = join(root, 'build');
  rmSync(compiled, { recursive: true, force: true });
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });

  const bundle = await ncc(join(compiled, 'index.js'), { cache: false, quiet: true });
  const modules = bundledModules(bundle.stats);
  const files = new Map<string, string | Buffer>([
    ['index.js', bundle.code],
    // Only marks the process as the post step and loads index.js.
    ['post.js', readFileSync(join(compiled, 'post.js'))],
  ]);
  for (const [name, asset] of Object.entries(bundle.assets)) files.set(name, asset.source);
  files.delete('package.json');
  files.delete(unused.asset);
  const unusedChunks = chunksOf(unused.package, modules);
  for (const chunk of unusedChunks) files.delete(`${chunk}.index.js`);

  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, source] of files) {
    // ncc also copies executables and native modules of dependencies; none may ship without a decision.
    if (!/^[\w.-]+\.js$/.test(name)) throw new Error(`ncc emitted an unexpected file: ${name}`);
    writeFileSync(join(folder, name), await minify(source.toString()));
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  writeFileSync(
    join(folder, 'licenses.txt'),
    licenceNotices(modules.filter(({ chunks }) => !chunks.every((chunk) => unusedChunks.has(chunk)))),
  );
  rmSync(compiled, { recursive: true, force: true });
}

/** ncc's own minifier keeps dead code; esbuild removes it and reduces the bundle to a third. */
async function minify(code: string): Promise<string> {
  const result = await transform(markUnusedImports(code), {
    minify: true,
    treeShaking: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    legalComments: 'none', // licenses.txt contains them
    // Azure's HTTP pipeline asks for every request whether its body is a form, and reading the global FormData makes Node
    // load its whole fetch (about 30 ms). The action sends no forms.
    define: { FormData: 'undefined' },
  });
  return result.code;
}

/**
 * @actions/core's HTTP client, which the action never uses, imports `undici`. ncc drops the client and still evaluates what
 * it imported, 5 ms at each start; esbuild drops an unused import that is marked as free of side effects.
 */
function markUnusedImports(code: string): string {
  return code.replaceAll(/^(\/\/ EXTERNAL MODULE: .*\nvar \w+ = )(?=__nccwpck_require__\()/gm, '$1/* @__PURE__ */ ');
}

if (import.meta.main) {
  await build(resolve(process.argv[2] ?? join(root, 'dist')));
  writeFileSync(validatorFile, await schemaValidator());
}
