import { KnownVirtualMachineSizeTypes } from '@azure/arm-compute';
import { describe, expect, test } from '@jest/globals';
import { toValidVmName, validateVmSize } from '../../../src/inputs/vm-name.ts';
import { env, issuesOf, readDeployment } from '../../support/read-inputs.ts';

describe('the name of the VM', () => {
  const nameIn = (job: string, given: string, action = 'vm') =>
    readDeployment({ 'vm-name': given }, { env: { ...env, GITHUB_JOB: job, GITHUB_ACTION: action } }).vmName;

  test('is kept as it is given', () => {
    expect(nameIn('build', 'vm-77-build-3')).toBe('vm-77-build-3');
  });

  test('differs by step, job and matrix leg when it has its default', () => {
    const names = [
      nameIn('build', 'vm-77-build-0*'),
      nameIn('build', 'vm-77-build-1*'),
      nameIn('build', 'vm-77-build-0*', '__self'),
      nameIn('build', 'vm-77-build-0*', '__self_2'),
      nameIn('build_it', 'vm-77-build_it-0*'),
      nameIn('build-it', 'vm-77-build-it-0*'),
    ];
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^vm-77-build[a-z0-9-]*-[0-9a-f]{6,8}$/);
  });

  test('is shortened to 64 characters and stays distinct when a default is longer', () => {
    const long = 'j'.repeat(70);
    const legs = [nameIn(long, `vm-77-${long}-0*`), nameIn(long, `vm-77-${long}-1*`)];
    expect(new Set(legs).size).toBe(2);
    for (const name of legs) expect(name).toHaveLength(64);
  });

  test('is the default without a matrix when it is empty', () => {
    expect(nameIn('build', '')).toBe(nameIn('build', 'vm-77-build-0*'));
  });

  test.each(['', ' ', 'vm-77-build-0*'])('is refused by delete when it is not given: %p', (name) => {
    expect(issuesOf({ operation: 'delete', 'vm-name': name })).toEqual([
      expect.stringContaining('${{ steps.<id>.outputs.vm-name }}'),
    ]);
  });

  test.each(['a'.repeat(200), '___', 'ümlaut', '-x-', `${'x'.repeat(54)}-${'y'.repeat(20)}`])(
    'is adjusted to the rules of Azure: %s',
    (name) => {
      expect(toValidVmName(name)).toMatch(/^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$/);
    },
  );
});

test('accepts every size that the SDK names, and newer ones', () => {
  const newer = [
    'Standard_NC24ads_A100_v4',
    'Standard_D16-8s_v5',
    'Standard_M416s_9_v2',
    'Standard_ND128isr_NDR_GB200_v6',
  ];
  const sizes = [...Object.values(KnownVirtualMachineSizeTypes), ...newer];
  expect(sizes.filter((size) => validateVmSize(size))).toEqual([]);
});
