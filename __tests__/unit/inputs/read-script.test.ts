import { describe, expect, test } from '@jest/globals';
import type { RunnerValues } from '../../../src/inputs/input-reader.ts';
import { readDeployment, issuesOf } from '../../support/read-inputs.ts';

describe('custom data from a file', () => {
  const files = (path: string) => (path === '/workspace/init/cloud.yml' ? Buffer.of(0xff, 0x00) : undefined);

  test('is read from the workspace, byte by byte', () => {
    expect(readDeployment({ 'custom-data-file': 'init/cloud.yml' }, { readFile: files }).customData).toBe('/wA=');
  });

  test('excludes custom-data', () => {
    const issues = issuesOf({ 'custom-data': 'x', 'custom-data-file': 'init/cloud.yml' }, { readFile: files });
    expect(issues).toEqual([expect.stringContaining('custom-data-file: excludes custom-data')]);
  });

  test.each<[string, Partial<RunnerValues>, RegExp]>([
    ['../secret', {}, /outside the workspace/],
    ['/etc/passwd', {}, /outside the workspace/],
    ['link', { realPath: (path) => (path.endsWith('link') ? '/etc/passwd' : path) }, /outside the workspace/],
    ['.', {}, /outside the workspace/],
    ['none', { realPath: (path) => (path.endsWith('none') ? undefined : path) }, /does not exist in the workspace/],
    ['folder', {}, /cannot be read/],
    ['big', { readFile: () => Buffer.alloc(65_536) }, /has 65536 bytes/],
  ])('%s is refused', (file, runner, expected) => {
    expect(issuesOf({ 'custom-data-file': file }, runner)).toEqual([expect.stringMatching(expected)]);
  });
});
