import { stripTypeScriptTypes } from 'node:module';

/**
 * Jest transformer that strips types with Node. ts-jest does not support TypeScript 7, and `npm run types` checks types.
 * Positions do not change, so no source map is needed.
 *
 * @type {import('@jest/transform').SyncTransformer}
 */
export default {
  process: (source) => ({ code: stripTypeScriptTypes(source, { mode: 'strip' }) }),
};
