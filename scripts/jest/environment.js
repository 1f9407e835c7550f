import { TestEnvironment } from 'jest-environment-node';

/** Provides `importNative` to the code that native-modules.js generates. */
export default class Environment extends TestEnvironment {
  async setup() {
    await super.setup();
    this.global.importNative = (url) => import(url);
  }
}
