import { stripTypeScriptTypes } from 'node:module';

/**
 * Jest transformer: Node's own type stripping. ts-jest does not take TypeScript 7, and types are checked by
 * `npm run types` anyway. Positions stay as they are, so no source map is needed.
 *
 * @type {import('@jest/transform').SyncTransformer}
 */
export default {
  process: (source) => ({ code: stripTypeScriptTypes(source, { mode: 'strip' }) }),
};
