/**
 * Removes from recorded exchanges what identifies a tenant or grants access. The same value gets the same replacement
 * everywhere, so that references between exchanges stay intact.
 */
import { builtInRoles } from '../../simulator/world/built-in-roles.ts';
import type { RecordedExchange } from './recording.ts';

export type PrivateValues = Readonly<Record<string, string>>;

const redacted = 'REDACTED';
const guid = /\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi;
const jwt = /\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g;
const email = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g;
const ipv4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g;
const sshKey = /\b(ssh-\w+|ecdsa-[\w-]+) [A-Za-z0-9+/=]{40,}(?: [^\s"]+)?/g;
/** Signatures of poll URLs and of storage links. */
const signature = /([?&](?:c|s|h|sig|skoid|sktid)=)[^&\s"]+/gi;
/** Storage accounts, and the containers that Azure names after a VM. */
const storageAccount = /(?<![\w.-])[\w-]+(?=\.(?:z\d+\.)?blob\.)/gi;
const bootDiagnostics = /\bbootdiagnostics-\w+-/gi;
const privateAddress = /^(0|10|127|169\.254|172\.(1[6-9]|2\d|3[01])|192\.168|168\.63)\./;

const secretMember =
  /password|secret|customdata|userdata|protected|keydata|privatekey|assertion|^(access|refresh|id)_token$|^commandToExecute$|^script$/i;
/** Members whose value is a name that somebody chose. */
const namedMember =
  /^(displayName|tenantDisplayName|defaultDomain|computerName|adminUsername|domainNameLabel|createdBy|lastModifiedBy|fqdn)$/;

/** Types whose instances Azure or the product names; these names show what was requested. */
const publicTypes = new Set(['locations', 'versions', 'roledefinitions', 'tags', 'skus', 'publishers', 'instanceview']);
/** Tags of the action itself; see `src/deployment/ownership.ts`. */
const ownTag = /^(cross-tenant-vm|github-[\w-]+|expires-on)$/;
/** Shorter words occur in versions and texts, and identify nobody. */
const minLength = 4;
/** Names that tell nothing about their owner, and that are also words of Azure's own texts. */
const publicNames = new Set(['default', 'linux', 'windows', 'images', 'gallery', 'subnet']);
const keptGuids = new Set(builtInRoles.map(({ id }) => id.toLowerCase()));

const singular = (type: string) => type.replace(/ies$/i, 'y').replace(/(ss)es$|s$/i, '$1');
const escapeForRegex = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Keeps the shape of a value. */
function redactLeaves(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redactLeaves);
  if (isObject(value))
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, redactLeaves(inner)]));
  return typeof value === 'string' ? redacted : value;
}

export class Sanitizer {
  readonly #names = new Map<string, string>();
  readonly #guids = new Map<string, string>();
  readonly #addresses = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  #pattern: RegExp | undefined;

  /** `values` are known beforehand: repository, actor, inputs. Keys name the replacements. */
  constructor(values: PrivateValues = {}) {
    for (const [kind, value] of Object.entries(values)) this.#hide(kind, value);
  }

  sanitize(exchanges: readonly RecordedExchange[]): RecordedExchange[] {
    // A name may occur in a text before the path or member from which it can be recognized.
    for (const exchange of exchanges) this.#learn(exchange);
    return exchanges.map((exchange) => this.#value(exchange) as RecordedExchange);
  }

  #hide(kind: string, name: string): void {
    const key = name.toLowerCase();
    if (name.length < minLength || publicNames.has(key) || this.#names.has(key)) return;
    if (name.match(guid)?.[0] === name) return;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    this.#names.set(key, `${kind}${count}`);
    this.#pattern = undefined;
  }

  #learn(value: unknown, member = ''): void {
    if (typeof value === 'string') {
      this.#learnFromPaths(value);
      if (namedMember.test(member) && !secretMember.test(member)) this.#hide(member, value);
    } else if (Array.isArray(value)) {
      for (const element of value) this.#learn(element, member === 'domains' ? 'defaultDomain' : '');
    } else if (isObject(value)) {
      const isLocation = 'regionalDisplayName' in value;
      for (const [name, inner] of Object.entries(value)) {
        this.#learnFromPaths(name);
        if (name === 'tags' && isObject(inner)) this.#learnTags(inner);
        else this.#learn(inner, isLocation ? '' : name);
      }
    }
  }

  #learnTags(tags: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(tags)) {
      if (!ownTag.test(name)) this.#hide('tag', name);
      if (typeof value === 'string' && !/^(true|false|\d{4}-\d\d-\d\dT.*)?$/.test(value)) this.#hide('tagValue', value);
    }
  }

  #learnFromPaths(text: string): void {
    for (const [, group = ''] of text.matchAll(/\/resourceGroups\/([^/?"'\s]+)/gi))
      this.#hide('resourceGroup', decodeURIComponent(group));
    for (const [, path = ''] of text.matchAll(/\/providers\/[\w.]+((?:\/[^/?"'\s]+)+)/g)) {
      const segments = path.slice(1).split('/');
      for (let index = 0; index + 1 < segments.length; index += 2) {
        const [type = '', name = ''] = segments.slice(index, index + 2);
        if (type === 'providers') continue;
        // What follows a location belongs to Azure: operations, usages, publishers.
        if (type.toLowerCase() === 'locations') break;
        if (!publicTypes.has(type.toLowerCase())) this.#hide(singular(type), decodeURIComponent(name));
      }
    }
  }

  #value(value: unknown, member = ''): unknown {
    if (secretMember.test(member)) return redactLeaves(value);
    if (typeof value === 'string') return this.#text(value);
    if (Array.isArray(value)) return value.map((element) => this.#value(element));
    if (!isObject(value)) return value;
    const isRunCommand = 'executionState' in value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        const isPrinted = isRunCommand && (name === 'output' || name === 'error') && inner !== '';
        return [this.#text(name), isPrinted ? redacted : this.#value(inner, name)];
      }),
    );
  }

  #text(text: string): string {
    return text
      .replace(jwt, redacted)
      .replace(sshKey, `$1 ${redacted}`)
      .replace(signature, `$1${redacted}`)
      .replace(storageAccount, 'storage1')
      .replace(bootDiagnostics, 'bootdiagnostics-vm-')
      .replace(this.#namePattern(), (name) => this.#names.get(name.toLowerCase()) ?? name)
      .replace(email, (address) => this.#number(this.#addresses, address, (n) => `user${n}@example.com`))
      .replace(guid, (id) => (keptGuids.has(id.toLowerCase()) ? id : this.#guid(id)))
      .replace(ipv4, (ip) =>
        privateAddress.test(ip) ? ip : this.#number(this.#addresses, ip, (n) => `203.0.113.${n % 256}`),
      );
  }

  #guid(id: string): string {
    const format = (n: number) => `00000000-0000-0000-0000-${n.toString(16).padStart(12, '0')}`;
    return this.#number(this.#guids, id, format);
  }

  #number(known: Map<string, string>, value: string, format: (n: number) => string): string {
    const key = value.toLowerCase();
    const replacement = known.get(key) ?? format(known.size + 1);
    known.set(key, replacement);
    return replacement;
  }

  /** Longer names first: the name of a NIC contains that of its VM. */
  #namePattern(): RegExp {
    const names = [...this.#names.keys()].toSorted((a, b) => b.length - a.length).map(escapeForRegex);
    this.#pattern ??=
      names.length === 0 ? /(?!)/g : new RegExp(`(?<![A-Za-z0-9])(?:${names.join('|')})(?![A-Za-z0-9])`, 'gi');
    return this.#pattern;
  }
}
