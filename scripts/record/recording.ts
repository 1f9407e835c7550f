/** The format of `__tests__/fixtures/recordings/*.json`. */

export interface RecordedExchange {
  readonly method: string;
  /** `login.microsoftonline.com` for example; missing for Resource Manager. */
  readonly host?: string;
  readonly path: string;
  readonly apiVersion: string | null;
  readonly requestHeaders?: Readonly<Record<string, string>>;
  readonly requestBody?: unknown;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly date: string | null;
}

export interface Recording {
  readonly title: string;
  readonly source: string;
  readonly kind: string;
  readonly interactionIndexes: readonly number[];
  readonly note?: string;
  readonly exchanges: readonly RecordedExchange[];
}

export const resourceManagerHost = 'management.azure.com';
