export interface Result {
  readonly name: string;
  readonly wave: string;
  readonly outcome: string;
  readonly attempt: number;
  /** ID of the job, for a link. */
  readonly job?: string;
  readonly result: Readonly<Record<string, unknown>> | null;
}
export interface Row {
  readonly name: string;
  readonly wave: string;
  readonly outcome: string;
  readonly attempt?: number;
  readonly job?: string;
  readonly result?: Readonly<Record<string, unknown>> | null;
}
export function collectResults(
  targets: readonly { readonly name: string; readonly wave: string }[],
  results: readonly Result[],
): Row[];
export function formatSummary(rows: readonly Row[], run: { readonly title: string; readonly url: string }): string;
