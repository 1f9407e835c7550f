import { hash } from 'node:crypto';

/** Ends the default in action.yml. No VM name can contain it, so a default is never taken for a given name. */
const defaultMarker = '*';

/** The name that the workflow gives; undefined if the input is blank or has its default. */
export function givenVmName(text: string | undefined): string | undefined {
  return text?.endsWith(defaultMarker) ? undefined : text;
}

/** The default gets a hash of the step, because GitHub's expressions do not know it, and is adjusted to Azure's rules. */
export function resolveVmName(text: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  const given = givenVmName(text);
  if (given !== undefined) return given;
  // An empty value replaces the default; only the runner knows the matrix leg, so 0 is assumed.
  const base = text?.slice(0, -1) ?? `vm-${env['GITHUB_RUN_ID'] ?? ''}-${env['GITHUB_JOB'] ?? ''}-0`;
  const step = hash('sha256', env['GITHUB_ACTION'] ?? '').slice(0, 6);
  return toValidVmName(`${base}-${step}`);
}

/** Adjusts a name to Azure's rules. A changed name gets a hash, so that different names stay different. */
export function toValidVmName(name: string): string {
  if (validateVmName(name) === undefined) return name;
  const suffix = hash('sha256', name).slice(0, 8);
  const legal = name.replace(/[^A-Za-z0-9-]/g, '-').replace(/^-+/, '');
  const kept = legal.slice(0, 64 - 1 - suffix.length).replace(/-+$/, '');
  return kept === '' ? suffix : `${kept}-${suffix}`;
}

/** https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions */
export function validateVmSize(name: string): string | undefined {
  if (sizePattern.test(name)) return undefined;
  const [, base = '', version] = /^(?:standard[^a-z0-9]*)?(.*?)(?:[^a-z0-9]*v(\d+))?$/i.exec(name) ?? [];
  const parts = base.split(/[^a-z0-9]+/i).filter((part) => part !== '');
  const suggestion = ['Standard', ...parts, ...(version ? [`v${version}`] : [])].join('_');
  const hint = sizePattern.test(suggestion) ? `: did you mean ${suggestion}?` : ', such as Standard_D2s_v5.';
  return `is not the name of a VM size${hint}`;
}

const sizePattern = /^(?:Standard|Basic)_[A-Z]{1,4}\d+(?:-\d+)?[a-z]*(?:_[a-z0-9]+)*$/i;

/** Stricter than Azure's rule for VMs, so that the names of network interface, disk and network can be derived from it. */
export function validateVmName(name: string): string | undefined {
  if (/^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/i.test(name)) return undefined;
  return 'is not a name of 1 to 64 letters, digits and hyphens, with a letter or digit at both ends';
}
