import { pathToFileURL } from 'node:url';

/**
 * Jest transformer for the simulator and the action runner: Node loads them once per worker. Jest loaded them for each test
 * file, for 0.3 s of CPU time. Their classes, such as Date and Error, are not those of the test.
 *
 * @type {import('@jest/transform').AsyncTransformer}
 */
export default {
  async processAsync(_source, path) {
    const url = pathToFileURL(path).href;
    const names = Object.keys(await import(url));
    return { code: `export const { ${names.join(', ')} } = await importNative(${JSON.stringify(url)});` };
  },
};
