/** Holds dist/ against a fresh build of the sources, byte by byte. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from './build.ts';

const shipped = resolve(import.meta.dirname, '../../dist');
const fresh = mkdtempSync(join(tmpdir(), 'dist-'));
try {
  await build(fresh);
  const names = new Set([...readdirSync(shipped), ...readdirSync(fresh)]);
  const differing = [...names].filter((name) => !sameBytes(join(shipped, name), join(fresh, name)));
  if (differing.length > 0) {
    console.error(`dist/ is not what the sources build: ${differing.join(', ')}. Run: npm run build`);
    process.exitCode = 1;
  } else {
    console.log(`dist/ is what the sources build: ${[...names].join(', ')}`);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

function sameBytes(one: string, other: string): boolean {
  try {
    return readFileSync(one).equals(readFileSync(other));
  } catch {
    return false; // one of the two lacks it
  }
}
