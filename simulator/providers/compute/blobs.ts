// Blobs with signed URLs, such as the serial console log. No token is needed to read them.
import { randomBytes } from 'node:crypto';
import type { World } from '../../world/world.ts';

interface Blobs {
  origin: () => string;
  readonly byName: Map<string, () => string>;
}

/** Signed blobs of a world. The listener that serves them sets `origin`. */
export function blobs(world: World): Blobs {
  return world.extension('blobs', () => ({
    origin: () => {
      throw new Error('no listener serves blobs');
    },
    byName: new Map<string, () => string>(),
  }));
}

/** Creates a signed URL for `text`. */
export function blobUrl(world: World, name: string, text: () => string): string {
  const store = blobs(world);
  const key = `bootdiagnostics-${randomBytes(4).toString('hex')}/${name}`;
  const signature = randomBytes(24).toString('base64url');
  store.byName.set(`/blobs/${key}?sig=${signature}`, text);
  return `${store.origin()}/blobs/${key}?sig=${signature}`;
}
