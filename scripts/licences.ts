import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface StatsModule {
  readonly nameForCondition?: string | null;
  readonly modules?: readonly StatsModule[];
}

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly author?: string | { readonly name?: string };
}

/**
 * The notices of every package that has a module in the bundle, read from the bundler's own list of modules.
 *
 * @throws if a package states no licence, or one whose text we neither find nor know
 */
export function noticesOf(stats: {
  toJson(options: object): { readonly modules?: readonly StatsModule[] };
}): string {
  const { modules = [] } = stats.toJson({
    all: false,
    modules: true,
    nestedModules: true,
    modulesSpace: 1e9,
    nestedModulesSpace: 1e9,
  });
  const folders = new Set<string>();
  for (const file of filesOf(modules)) {
    const folder = packageFolder(file);
    if (folder !== undefined) folders.add(folder);
  }
  const notices = new Map<string, string>();
  for (const folder of folders) {
    const manifest = manifestOf(folder);
    const title = `${manifest.name} ${manifest.version}`;
    notices.set(
      title,
      `${title} (${manifest.license ?? 'no licence stated'})\n\n${licenceText(folder, manifest)}\n`,
    );
  }
  if (notices.size === 0) throw new Error('The bundler lists no modules: the notices would be empty.');
  const rule = `${'-'.repeat(80)}\n`;
  const sorted = [...notices.keys()].toSorted().map((title) => notices.get(title) ?? '');
  return `The bundle contains the following ${notices.size} packages.\n\n${rule}${sorted.join(rule)}`;
}

function* filesOf(modules: readonly StatsModule[]): Generator<string> {
  for (const module of modules) {
    if (module.nameForCondition) yield module.nameForCondition;
    if (module.modules) yield* filesOf(module.modules);
  }
}

/** The folder of the package that `file` belongs to; nothing for our own files. */
function packageFolder(file: string): string | undefined {
  // Not by the nearest package.json: packages keep further ones inside, some with a name and a version.
  return /^.*[\\/]node_modules[\\/](@[^\\/]+[\\/])?[^\\/]+/.exec(file)?.[0];
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

function licenceText(folder: string, manifest: Manifest): string {
  const files = readdirSync(folder)
    .filter(
      (name) =>
        /^(licen[cs]e|copying|notice|thirdpartynotices)([-.].*)?$/i.test(name) &&
        !/\.(js|ts|json)$/.test(name),
    )
    .toSorted();
  if (files.length > 0) {
    return files
      .map((name) => readFileSync(join(folder, name), 'utf8').replace(/\r\n/g, '\n').trim())
      .join('\n\n');
  }
  throw new Error(`${manifest.name} has no licence text`);
}
