declare module '@vercel/ncc' {
  interface StatsModule {
    readonly nameForCondition?: string | null;
    readonly modules?: readonly StatsModule[];
  }
  interface Result {
    readonly code: string;
    readonly assets: Readonly<Record<string, { readonly source: string | Buffer }>>;
    readonly stats: { toJson(options: object): { readonly modules?: readonly StatsModule[] } };
  }
  /** Bundles one entry file; see https://github.com/vercel/ncc#programmatically-from-nodejs */
  export default function ncc(
    input: string,
    options?: { cache?: false; quiet?: boolean; externals?: readonly string[]; target?: string },
  ): Promise<Result>;
}
