// Blobs behind signed URLs, such as the serial console log: read by whoever has the URL, without a token.
import { randomBytes } from 'node:crypto';
import type { World } from '../../world/world.ts';

interface Blobs {
  origin: () => string;
  readonly byName: Map<string, () => string>;
}

/** The world's signed blobs; the listener that serves them says where it is. */
export function blobs(world: World): Blobs {
  return world.extension('blobs', () => ({
    origin: () => {
      throw new Error('no listener serves blobs');
    },
    byName: new Map<string, () => string>(),
  }));
}

/** A fresh signed URL under which `text` is read. */
export function blobUrl(world: World, name: string, text: () => string): string {
  const store = blobs(world);
  const key = `bootdiagnostics-${randomBytes(4).toString('hex')}/${name}`;
  const signature = randomBytes(24).toString('base64url');
  store.byName.set(`/blobs/${key}?sig=${signature}`, text);
  return `${store.origin()}/blobs/${key}?sig=${signature}`;
}
