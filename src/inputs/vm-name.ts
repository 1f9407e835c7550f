import { createHash } from 'node:crypto';

/**
 * The name of the VM. The default is made of the run, the job and the matrix leg, and job names hold characters that a
 * VM's may not, so it is made to fit. A name that the workflow's author chose is never changed silently.
 */
export function resolveVmName(
  given: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const prefix = `vm-${env['GITHUB_RUN_ID'] ?? ''}-${env['GITHUB_JOB'] ?? ''}-`;
  // Given as an empty value, the default lacks the matrix leg, which only the runner knows: 0, as without a matrix.
  const name = given ?? `${prefix}0`;
  const isDefault = name.startsWith(prefix) && /^\d*$/.test(name.slice(prefix.length));
  return isDefault ? toValidVmName(name) : name;
}

/** Makes a name that Azure takes for a VM. A changed name gets a hash, so that two that differed still do. */
export function toValidVmName(name: string): string {
  if (validateVmName(name) === undefined) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  const legal = name.replace(/[^A-Za-z0-9-]/g, '-').replace(/^-+/, '');
  const kept = legal.slice(0, 64 - 1 - hash.length).replace(/-+$/, '');
  return kept === '' ? hash : `${kept}-${hash}`;
}

/** Narrower than Azure's rule for VMs, so that the names of interface, disk and network can be made from it as well. */
export function validateVmName(name: string): string | undefined {
  if (/^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/i.test(name)) return undefined;
  return 'is not a name of 1 to 64 letters, digits and hyphens, with a letter or digit at both ends';
}
