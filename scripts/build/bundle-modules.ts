/** The part of webpack's statistics that is read here. */
export interface Stats {
  toJson(options: object): { readonly modules?: readonly StatsModule[] };
}

interface StatsModule {
  readonly nameForCondition?: string | null;
  readonly chunks?: readonly (string | number)[];
  /** The parts of a concatenated module. */
  readonly modules?: readonly StatsModule[];
}

/** A bundled file of a package, and the chunks that contain it. */
export interface BundledModule {
  readonly packageFolder: string;
  readonly chunks: readonly (string | number)[];
}

/** Lists the bundled files of all packages. */
export function bundledModules(stats: Stats): readonly BundledModule[] {
  const { modules = [] } = stats.toJson({
    all: false,
    ids: true,
    modules: true,
    nestedModules: true,
    modulesSpace: Number.MAX_SAFE_INTEGER,
    nestedModulesSpace: Number.MAX_SAFE_INTEGER,
  });
  return [...flatten(modules, [])];
}

/** Returns the chunks that contain a module of the package. */
export function chunksOf(name: string, modules: readonly BundledModule[]): ReadonlySet<string | number> {
  const packageModules = modules.filter(({ packageFolder }) =>
    packageFolder.replaceAll('\\', '/').endsWith(`/node_modules/${name}`),
  );
  return new Set(packageModules.flatMap(({ chunks }) => chunks));
}

function* flatten(
  modules: readonly StatsModule[],
  outerChunks: readonly (string | number)[],
): Generator<BundledModule> {
  for (const { nameForCondition, chunks: ownChunks = [], modules: inner } of modules) {
    const chunks = ownChunks.length > 0 ? ownChunks : outerChunks;
    // The nearest package.json may belong to a folder inside the package: some have a name and a version.
    const packageFolder = /^.*[\\/]node_modules[\\/](@[^\\/]+[\\/])?[^\\/]+/.exec(nameForCondition ?? '')?.[0];
    if (packageFolder !== undefined) yield { packageFolder, chunks };
    if (inner) yield* flatten(inner, chunks);
  }
}
