declare module '@vercel/ncc' {
  import type { Stats } from './bundle-modules.ts';

  interface Result {
    readonly code: string;
    readonly assets: Readonly<Record<string, { readonly source: string | Buffer }>>;
    readonly stats: Stats;
  }
  /** Bundles one entry file; see https://github.com/vercel/ncc#programmatically-from-nodejs */
  export default function ncc(input: string, options?: { cache?: false; quiet?: boolean }): Promise<Result>;
}
