/** docs/az-vm-create.yml as a value, and as the tables of README.md and docs/az-vm-create.md. */
import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';

export interface Argument {
  readonly argument: string;
  /** An input of its own; `overrides`; always so, without asking; not to be had. */
  readonly here: 'input' | 'overrides' | 'always' | 'no';
  readonly how?: string;
  /** Inputs with which it is had. {group}, {subscription}, {image} and {key} are placeholders. */
  readonly with?: Readonly<Record<string, unknown>>;
  /** Which of the runs sends it; rows of one run are sent together. */
  readonly run?: string;
  /** By target: what the body of its PUT then holds. */
  readonly sends?: Readonly<Record<string, object>>;
  /** `TARGET PATH` that the body must not have, or `TARGET` that must not be sent. */
  readonly lacks?: readonly string[];
  /** Part of a path that is never requested. */
  readonly never?: string;
  /** Part of a path that is PUT. */
  readonly puts?: string;
  /** Part of the error with which the inputs are refused. */
  readonly refused?: string;
}

export interface Arguments {
  readonly runs: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly rows: readonly Argument[];
}

/** Reads the file. */
export function readArguments(): Arguments {
  return parse(readFileSync(new URL('../../docs/az-vm-create.yml', import.meta.url), 'utf8')) as Arguments;
}

const headings: Readonly<Record<Argument['here'], string>> = {
  input: 'input',
  overrides: '`overrides`',
  always: 'always',
  no: 'no',
};

function cell(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replaceAll('|', '\\|');
}

function howOf({ here, how, with: given }: Argument): string {
  return how ?? (here === 'overrides' ? `\`${pathOf(given?.['overrides'])}\`` : '');
}

/** `vm.properties.hardwareProfile.vmSizeProperties.vCPUsAvailable`: the way down to where a patch says something. */
function pathOf(patch: unknown): string {
  const path: string[] = [];
  for (let at = patch; typeof at === 'object' && at !== null && !Array.isArray(at); ) {
    const [[key, value] = [], ...others] = Object.entries(at);
    if (key === undefined || others.length > 0) break;
    path.push(key);
    at = value;
  }
  return path.join('.');
}

/** One line per argument, for README.md. */
export function shortTable({ rows }: Arguments): string {
  return [
    '| `az vm create` | here | how |',
    '|---|---|---|',
    ...rows.map((row) => `| \`${row.argument}\` | ${headings[row.here]} | ${cell(howOf(row))} |`),
  ].join('\n');
}

/** docs/az-vm-create.md: the table with what to write into the workflow. */
export function argumentsPage({ rows }: Arguments): string {
  const count = (kind: Argument['here']): number => rows.filter(({ here }) => here === kind).length;
  return [
    '# From `az vm create` to this action',
    '',
    '<!-- Written by `npm run readme` from az-vm-create.yml, which the tests send. -->',
    '',
    `Of the ${rows.length} arguments of \`az vm create\` (azure-cli 2.80), ${count('input')} are inputs here, ` +
      `${count('always')} need none because the action sees to it by itself, and ${count('overrides')} go through \`overrides\`. ` +
      `${count('no')} are not to be had, with the reason beside them.`,
    '',
    '`overrides` takes a map of JSON merge patches (RFC 7396), one for each resource: objects merge, `null` removes, lists are',
    'replaced as a whole. They are applied last, on the request itself, so what this action does not know gets through too.',
    'What the action guarantees cannot be patched: image, names, location, ownership tags, the attached interface, and the',
    'subnet named `default`.',
    '',
    '```yaml',
    'overrides: |',
    '  vm: { properties: { securityProfile: { encryptionAtHost: true } } }',
    '  vnet: { properties: { dhcpOptions: { dnsServers: [10.0.0.4] } } }',
    '```',
    '',
    '| `az vm create` | here | how | `with:` |',
    '|---|---|---|---|',
    ...rows.map((row) => {
      const example = row.refused === undefined && row.with ? exampleOf(row.with) : '';
      return `| \`${row.argument}\` | ${headings[row.here]} | ${cell(howOf(row))} | ${example} |`;
    }),
    '',
  ].join('\n');
}

function exampleOf(given: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(given).map(([name, value]) => {
    const text =
      name === 'image-id'
        ? '/subscriptions/…/galleries/…/images/…'
        : typeof value === 'string'
          ? stringify(value.replaceAll('\n', ', '), { lineWidth: 0 }).trim()
          : stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
    // In a workflow, inputs are texts: a map is written as a block of YAML.
    return `\`${name}: ${typeof value === 'string' ? text : `'${text}'`}\``;
  });
  return cell(
    lines
      .join('<br>')
      .replaceAll(/\{group\}\/providers/g, '…')
      .replaceAll(/\{(?:other-)?key\}/g, 'ssh-ed25519 AAAA…'),
  );
}
