/** Fails unless dist/ equals a fresh build, byte by byte. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from './build.ts';

const committed = resolve(import.meta.dirname, '../../dist');
const fresh = mkdtempSync(join(tmpdir(), 'dist-'));
try {
  await build(fresh);
  const names = new Set([...readdirSync(committed), ...readdirSync(fresh)]);
  const differing = [...names].filter((name) => !sameBytes(join(committed, name), join(fresh, name)));
  if (differing.length > 0) {
    console.error(`dist/ differs from a fresh build: ${differing.join(', ')}. Run: npm run build`);
    process.exitCode = 1;
  } else {
    console.log(`dist/ equals a fresh build: ${[...names].join(', ')}`);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

function sameBytes(first: string, second: string): boolean {
  try {
    return readFileSync(first).equals(readFileSync(second));
  } catch {
    return false; // One of the files is missing.
  }
}
