import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BundledModule } from './bundle-modules.ts';

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly author?: string | { readonly name?: string };
}

/**
 * Returns the licence texts of all packages in the bundle.
 *
 * @throws if a package has no licence text
 */
export function licenceNotices(modules: readonly BundledModule[]): string {
  const folders = new Set(modules.map(({ packageFolder }) => packageFolder));
  const notices = new Map<string, string>();
  for (const folder of folders) {
    const manifest = readManifest(folder);
    const title = `${manifest.name} ${manifest.version}`;
    notices.set(title, `${title} (${manifest.license ?? 'no licence stated'})\n\n${licenceText(folder, manifest)}\n`);
  }
  if (notices.size === 0) throw new Error('The bundler listed no modules, so the notices would be empty.');
  const rule = `${'-'.repeat(80)}\n`;
  const sorted = [...notices.keys()].toSorted().map((title) => notices.get(title) ?? '');
  return `The bundle contains the following ${notices.size} packages.\n\n${rule}${sorted.join(rule)}`;
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

function licenceText(folder: string, manifest: Manifest): string {
  const files = readdirSync(folder)
    .filter(
      (name) => /^(licen[cs]e|copying|notice|thirdpartynotices)([-.].*)?$/i.test(name) && !/\.(js|ts|json)$/.test(name),
    )
    .toSorted();
  if (files.length > 0) {
    return files.map((name) => readFileSync(join(folder, name), 'utf8').replace(/\r\n/g, '\n').trim()).join('\n\n');
  }
  throw new Error(`${manifest.name} has no licence text`);
}
