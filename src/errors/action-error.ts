import { AzureError } from './azure-error.ts';

/** Why it failed, who must act, and how: sentences, and commands and URLs to copy as they stand. */
export interface Explanation {
  readonly cause: string;
  readonly who: string;
  readonly fix: readonly string[];
}

/** One readable failure. `doing` completes "Failed while …": `creating virtual machine vm1`. */
export class ActionError extends Error {
  override readonly name = 'Failure';
  readonly activity: string;
  readonly explanation?: Explanation;

  constructor(
    activity: string,
    parts: { readonly message?: string; readonly explanation?: Explanation; readonly cause?: unknown } = {},
  ) {
    const { message, explanation, cause } = parts;
    const reason = message ?? (cause instanceof Error ? cause.message : explanation?.cause);
    super(reason ?? `${activity} failed`, cause === undefined ? {} : { cause });
    this.activity = activity;
    if (explanation) this.explanation = explanation;
  }
}

/** Runs `work`; what Azure refuses in it is told as having happened while `doing`. Other errors pass as they are. */
export async function withActivity<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof AzureError ? new ActionError(doing, { cause: error }) : error;
  }
}
