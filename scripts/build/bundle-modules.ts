/** webpack's list of what is in a bundle, as far as it is read here. */
export interface Stats {
  toJson(options: object): { readonly modules?: readonly StatsModule[] };
}

interface StatsModule {
  readonly nameForCondition?: string | null;
  readonly chunks?: readonly (string | number)[];
  /** Of a concatenated module. */
  readonly modules?: readonly StatsModule[];
}

/** A file from a package's folder that is in the bundle, and the chunks that hold it. */
export interface BundledModule {
  readonly packageFolder: string;
  readonly chunks: readonly (string | number)[];
}

/** Everything that packages brought into the bundle. */
export function modulesOf(stats: Stats): readonly BundledModule[] {
  const { modules = [] } = stats.toJson({
    all: false,
    ids: true,
    modules: true,
    nestedModules: true,
    modulesSpace: Number.MAX_SAFE_INTEGER,
    nestedModulesSpace: Number.MAX_SAFE_INTEGER,
  });
  return [...flat(modules, [])];
}

/** Chunks that a package has a module in. */
export function chunksOf(name: string, modules: readonly BundledModule[]): ReadonlySet<string | number> {
  const own = modules.filter(({ packageFolder }) =>
    packageFolder.replaceAll('\\', '/').endsWith(`/node_modules/${name}`),
  );
  return new Set(own.flatMap(({ chunks }) => chunks));
}

function* flat(
  modules: readonly StatsModule[],
  outerChunks: readonly (string | number)[],
): Generator<BundledModule> {
  for (const { nameForCondition, chunks: own = [], modules: inner } of modules) {
    const chunks = own.length > 0 ? own : outerChunks;
    // Not by the nearest package.json: packages keep further ones inside, some with a name and a version.
    const packageFolder = /^.*[\\/]node_modules[\\/](@[^\\/]+[\\/])?[^\\/]+/.exec(
      nameForCondition ?? '',
    )?.[0];
    if (packageFolder !== undefined) yield { packageFolder, chunks };
    if (inner) yield* flat(inner, chunks);
  }
}
