export interface Result {
  readonly name: string;
  readonly wave: string;
  readonly outcome: string;
  readonly attempt: number;
  readonly result: Readonly<Record<string, unknown>> | null;
}
export interface Row {
  readonly name: string;
  readonly wave: string;
  readonly outcome: string;
  readonly attempt?: number;
  readonly result?: Readonly<Record<string, unknown>> | null;
}
export function rows(
  targets: readonly { readonly name: string; readonly wave: string }[],
  results: readonly Result[],
): Row[];
export function summary(list: readonly Row[], run: { readonly title: string; readonly url: string }): string;
