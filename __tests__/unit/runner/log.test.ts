import { describe, expect, test } from '@jest/globals';
import { limitAnnotation } from '../../../src/runner/log.ts';

describe('limitAnnotation', () => {
  test('keeps a message that fits', () => {
    const text = 'Cause: x\nWho must act: y';
    expect(limitAnnotation(text)).toBe(text);
  });

  test.each([
    ['lines', `Cause: x\n${'a line of 21 bytes.\n'.repeat(400)}`],
    ['one line', `Cause: x ${'a'.repeat(9000)}`],
    ['characters of several bytes', `Cause: x\n${'é😀'.repeat(3000)}`],
  ])('cuts %s to 4 KB and keeps the start', (_, text) => {
    const cut = limitAnnotation(text);
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(4000);
    expect(Buffer.byteLength(cut)).toBeGreaterThan(3000);
    expect(cut.startsWith('Cause: x')).toBe(true);
    expect(cut.endsWith('\n… (continued in the log)')).toBe(true);
    expect(cut).not.toContain('\uFFFD');
  });
});
