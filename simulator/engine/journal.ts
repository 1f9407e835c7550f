/** Every request with its answer. Tokens are reduced to tenant and app; secrets and assertions are never recorded. */

export interface AppIdentity {
  readonly tenant: string;
  readonly app: string;
}

export interface Exchange {
  /** Wall-clock milliseconds from the start of the simulator to the arrival of the request. */
  readonly at: number;
  /** The same for the time when the answer was sent. */
  endedAt: number;
  readonly host: 'arm' | 'entra' | 'github';
  readonly method: string;
  readonly path: string;
  /** Query parameters; signatures of poll URLs are removed. */
  readonly query: Readonly<Record<string, string>>;
  readonly apiVersion: string | undefined;
  /** `Microsoft.Network`; for Entra and GitHub the host. */
  readonly provider: string;
  caller: (AppIdentity & { readonly oid: string }) | undefined;
  auxiliary: readonly AppIdentity[];
  /** Without `authorization`, `x-ms-authorization-auxiliary`, cookies. */
  readonly requestHeaders: Readonly<Record<string, string>>;
  /** Resource Manager only; passwords and protected settings are redacted. */
  requestBody: unknown;
  status: number;
  responseHeaders: Readonly<Record<string, string>>;
  /** Error code of the answer. */
  code: string | undefined;
  readonly isPoll: boolean;
  /** Name of the route: `vm.put`, `poll`, `entra.token`. */
  kind: string;
  /** True when a fault was applied. */
  faulted: boolean;
}

export class Journal {
  readonly exchanges: Exchange[] = [];

  add(exchange: Exchange): void {
    this.exchanges.push(exchange);
  }

  /** Requests that match all given criteria: `journal.where({ method: 'PUT', path: /virtualMachines/ })`. */
  where(match: {
    method?: string;
    path?: RegExp;
    kind?: string | RegExp;
    provider?: string;
    isPoll?: boolean;
    host?: Exchange['host'];
    status?: number;
  }): Exchange[] {
    return this.exchanges.filter(
      (exchange) =>
        (match.method === undefined || exchange.method === match.method) &&
        (match.path === undefined || match.path.test(exchange.path)) &&
        (match.kind === undefined ||
          (typeof match.kind === 'string' ? exchange.kind === match.kind : match.kind.test(exchange.kind))) &&
        (match.provider === undefined || exchange.provider.toLowerCase() === match.provider.toLowerCase()) &&
        (match.isPoll === undefined || exchange.isPoll === match.isPoll) &&
        (match.host === undefined || exchange.host === match.host) &&
        (match.status === undefined || exchange.status === match.status),
    );
  }

  clear(): void {
    this.exchanges.length = 0;
  }
}

const secretNames = /password|secret|customdata|userdata|protected|keydata|privatekey|assertion/i;

/** Copies a body and replaces every value that may be secret by its length. */
export function redactSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redactSecrets);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      secretNames.test(name) && typeof inner !== 'boolean' && inner !== null
        ? `<${typeof inner === 'string' ? inner.length : 'object'}>`
        : redactSecrets(inner),
    ]),
  );
}
