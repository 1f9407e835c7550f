import { describe, expect, test } from '@jest/globals';
import { toValidVmName } from '../../../src/inputs/vm-name.ts';
import { env, readDeployment } from '../../support/read-inputs.ts';

describe('the name of the VM', () => {
  const nameIn = (job: string, given: string) =>
    readDeployment({ 'vm-name': given }, { env: { ...env, GITHUB_JOB: job } }).vmName;

  test('its default is kept where it fits', () => {
    expect(nameIn('build', 'vm-77-build-3')).toBe('vm-77-build-3');
  });

  test('its default is made to fit, and still differs', () => {
    expect(nameIn('build_it', 'vm-77-build_it-0')).toMatch(/^vm-77-build-it-0-[0-9a-f]{8}$/);
    expect(nameIn('build_it', 'vm-77-build_it-0')).not.toBe(nameIn('build-it', 'vm-77-build-it-0'));
    const long = 'j'.repeat(70);
    const legs = [nameIn(long, `vm-77-${long}-0`), nameIn(long, `vm-77-${long}-1`)];
    expect(new Set(legs).size).toBe(2);
    for (const name of legs) expect(name).toHaveLength(64);
    expect(nameIn('build', 'vm-77-build-')).toMatch(/^vm-77-build-[0-9a-f]{8}$/);
  });

  test('an empty one is the default without a matrix', () => {
    expect(nameIn('build', '')).toBe('vm-77-build-0');
  });

  test.each(['a'.repeat(200), '___', 'ümlaut', '-x-', `${'x'.repeat(54)}-${'y'.repeat(20)}`])(
    '%s is made to fit',
    (name) => {
      expect(toValidVmName(name)).toMatch(/^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$/);
    },
  );
});
