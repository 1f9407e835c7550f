/** What the service said of its budgets on the latest answers. */
export interface RemainingRequests {
  /** Polls left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, GetOperation…). */
  readonly polls?: number;
  /** Reads left in this VM's bucket (`x-ms-ratelimit-remaining-resource`, LowCostGet…): of itself, its view, its scripts. */
  readonly vmReads?: number;
  /** Reads left in Resource Manager's bucket of 250 (`x-ms-ratelimit-remaining-subscription-reads`). */
  readonly reads?: number;
}

/** The latest word of the service on what is left of its budgets. */
export interface RateLimitTracker {
  read(): RemainingRequests;
  note(headers: { get(name: string): string | undefined }): void;
}

/** A gauge for one run. The per-VM budgets are those of the one VM that the run is about. */
export function createRateLimitTracker(): RateLimitTracker {
  let budget: RemainingRequests = {};
  return {
    read: () => budget,
    note(headers) {
      const compute = headers.get('x-ms-ratelimit-remaining-resource') ?? '';
      const left = (pattern: RegExp, text: string): number | undefined => {
        const found = pattern.exec(text)?.[1];
        return found === undefined ? undefined : Number(found);
      };
      // e.g. Microsoft.Compute/GetOperationResource;44,Microsoft.Compute/GetOperationSubscriptionMaximum;14999
      const polls = left(/\/GetOperationResource;(\d+)/, compute);
      const vmReads = left(/\/LowCostGetResource;(\d+)/, compute);
      const reads = left(/^\s*(\d+)/, headers.get('x-ms-ratelimit-remaining-subscription-reads') ?? '');
      budget = {
        ...budget,
        ...(polls === undefined ? {} : { polls }),
        ...(vmReads === undefined ? {} : { vmReads }),
        ...(reads === undefined ? {} : { reads }),
      };
    },
  };
}
