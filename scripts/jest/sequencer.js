import { statSync } from 'node:fs';
import Sequencer from '@jest/test-sequencer';

/** One test of these runs many processes: they last longest, of any size. */
const longest = /[/\\]e2e[/\\](\w[\w-]*\.property|bad-responses|roles)\.test/;

/** Starts the files that run the action as a process first, the longest of them first: they take most of the time. */
export default class LongestFirst extends Sequencer {
  /** @param {import('@jest/test-result').Test[]} tests */
  sort(tests) {
    const weight = ({ path, duration }) =>
      duration ?? statSync(path).size + (/[/\\]e2e[/\\]/.test(path) ? 1e6 : 0) + (longest.test(path) ? 1e6 : 0);
    return tests.toSorted((one, other) => weight(other) - weight(one));
  }
}
