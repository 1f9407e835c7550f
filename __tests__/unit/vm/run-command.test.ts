import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { VirtualMachineInstanceView } from '@azure/arm-compute';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { setTimeScale } from '../../../src/lib/clock.ts';
import * as fc from 'fast-check';
import type { Session } from '../../../src/azure/arm-client.ts';
import { ActionError } from '../../../src/errors/errors.ts';
import { parseAgentState, waitForAgent } from '../../../src/vm/vm-status.ts';
import { normalizeScript, parseScriptEnd } from '../../../src/vm/run-command.ts';
import { createRedactor, appendedText, guestOutputLines } from '../../../src/vm/script-output.ts';

function recordedViews(name: string): VirtualMachineInstanceView[] {
  const file = resolve(import.meta.dirname, '../../fixtures/recordings', name);
  const { exchanges } = JSON.parse(readFileSync(file, 'utf8')) as {
    exchanges: { path: string; body: Record<string, unknown> }[];
  };
  return exchanges.flatMap(({ path, body }) =>
    /instanceView/.test(path)
      ? [((body['properties'] as Record<string, unknown>)?.['instanceView'] ?? body) as VirtualMachineInstanceView]
      : [],
  );
}

describe('the agent', () => {
  test.each(['vm-instance-view.json', 'vm-expand-instance-view-2024.json'])('is ready in %s', (name) => {
    const views = recordedViews(name);
    expect(views.length).toBeGreaterThan(0);
    expect(views.map((view) => parseAgentState(view).ready)).toContain(true);
  });

  const status = (code: string, displayStatus: string, message?: string) => ({
    vmAgent: { statuses: [{ code, displayStatus, ...(message ? { message } : {}) }] },
  });
  const power = (code: string, displayStatus: string) => ({
    statuses: [{ code: `PowerState/${code}`, displayStatus }],
  });

  test.each([
    ['nothing yet', {}, { ready: false, message: 'has not reported yet' }],
    [
      'what stands there until the agent reports',
      status('ProvisioningState/Unavailable', 'Not Ready', 'VM status blob is found but not yet populated.'),
      { ready: false, message: 'Not Ready: VM status blob is found but not yet populated.' },
    ],
    ['ready', status('ProvisioningState/succeeded', 'Ready'), { ready: true, message: 'Ready' }],
    [
      'succeeded, but not ready',
      status('ProvisioningState/succeeded', 'Not Ready'),
      { ready: false, message: 'Not Ready' },
    ],
    ['starting', power('starting', 'VM starting'), { ready: false, message: 'has not reported yet' }],
    ['running', power('running', 'VM running'), { ready: false, message: 'has not reported yet' }],
    [
      'stopped',
      power('stopped', 'VM stopped'),
      { ready: false, message: 'has not reported yet', stopped: 'VM stopped' },
    ],
    [
      'deallocating',
      power('deallocating', 'VM deallocating'),
      { ready: false, message: 'has not reported yet', stopped: 'VM deallocating' },
    ],
  ] as const)('%s', (_, view, state) => {
    expect(parseAgentState(structuredClone(view) as VirtualMachineInstanceView)).toEqual(state);
  });
});

describe('waiting for an agent that never comes', () => {
  // The download of the boot log is retried; the blob does not exist.
  beforeAll(() => setTimeScale('0.01'));
  afterAll(() => setTimeScale(undefined));
  const where = { resourceGroup: 'rg', vm: { name: 'vm1', osType: 'Linux' as const } };
  const signedUrl = 'https://localhost:1/blobs/serial.log?sig=secret-signature';

  /** A session of which only the guest's part is there; the blob is not. */
  function sessionThatSees(view: VirtualMachineInstanceView): Session {
    return {
      waiting: { signal: new AbortController().signal, rateLimits: () => ({}), onProgress: () => undefined },
      compute: {
        virtualMachines: {
          instanceView: async () => view,
          retrieveBootDiagnosticsData: async () => ({ serialConsoleLogBlobUri: signedUrl }),
        },
      },
    } as unknown as Session;
  }

  test.each([
    ['one that is silent', {}, 0, /did not report ready within 0 minutes.*has not reported yet/],
    [
      'a machine that stopped, at once',
      { statuses: [{ code: 'PowerState/deallocated', displayStatus: 'VM deallocated' }] },
      15,
      /not running: VM deallocated/,
    ],
  ])(
    '%s',
    async (_, view, limit, message) => {
      const lines: string[] = [];
      const log = { info: (line: string) => lines.push(line), warning: (line: string) => lines.push(line) };
      const waited = waitForAgent({ session: sessionThatSees(view), log }, where, limit);
      const failure = await waited.then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).toBeInstanceOf(ActionError);
      expect((failure as ActionError).message).toMatch(message);
      expect(lines.join('\n')).not.toContain('secret-signature');
    },
    30_000,
  );
});

describe('the verdict on a script', () => {
  test.each([
    [undefined, undefined],
    [{ executionState: 'Pending', exitCode: 0 }, undefined],
    [{ executionState: 'Running', exitCode: 0, output: 'x' }, undefined],
    [
      { executionState: 'Succeeded', exitCode: 0 },
      { outcome: 'succeeded', exitCode: 0, message: 'The script ended with exit code 0.' },
    ],
    [
      { executionState: 'Succeeded' },
      { outcome: 'succeeded', exitCode: 0, message: 'The script ended with exit code 0.' },
    ],
    [
      { executionState: 'succeeded', exitCode: '0' },
      { outcome: 'succeeded', exitCode: 0, message: 'The script ended with exit code 0.' },
    ],
    [
      { executionState: 'Succeeded', exitCode: 'unknown' },
      { outcome: 'not started', message: 'The script failed without an exit code.' },
    ],
    [
      { executionState: 'Succeeded', exitCode: 7 },
      { outcome: 'failed', exitCode: 7, message: 'The script ended with exit code 7.' },
    ],
    [
      { executionState: 'Failed', exitCode: 3, executionMessage: 'Execution failed' },
      {
        outcome: 'failed',
        exitCode: 3,
        message: 'The script ended with exit code 3. The agent says: Execution failed',
      },
    ],
    [
      { executionState: 'Failed', exitCode: 0, executionMessage: 'no such user' },
      {
        outcome: 'not started',
        message: 'The script failed without an exit code. The agent says: no such user',
      },
    ],
    [
      { executionState: 'TimedOut', exitCode: -1 },
      { outcome: 'timed out', message: 'The script was ended at its time limit.' },
    ],
    [{ executionState: 'Canceled' }, { outcome: 'cancelled', message: 'The script was cancelled from outside.' }],
  ] as const)('%j', (view, verdict) => {
    expect(parseScriptEnd(view as unknown as Parameters<typeof parseScriptEnd>[0])).toEqual(verdict);
  });
});

describe('what is new in a stream', () => {
  test.each([
    ['', '', '', false],
    ['', 'one\n', 'one\n', false],
    ['one\n', 'one\n', '', false],
    ['one\n', 'one\ntwo\n', 'two\n', false],
    ['line 1\nline 2\nline 3\n', 'line 2\nline 3\nline 4\n', 'line 4\n', false],
    ['line 1\nline 2\nline 3\n', '\uFFFDne 2\nline 3\nline 4\n', 'line 4\n', false],
    ['line 1\n', 'wholly different\n', 'wholly different\n', true],
    ['some text\n', '\nother', '\nother', true],
  ])('%j, then %j', (before, now, text, gap) => {
    expect(appendedText(before, now)).toEqual({ text, gap });
  });

  test('prints the complete output while consecutive windows overlap', () => {
    const window = 64;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 20 }), (sizes) => {
        let written = '';
        let seen = '';
        let told = '';
        let count = 0;
        for (const size of sizes) {
          while (written.length < told.length + size) written += `${count++};`;
          const tail = written.slice(-window);
          const { text, gap } = appendedText(seen, tail);
          expect(gap).toBe(false);
          told += text;
          seen = tail;
        }
        expect(told).toBe(written);
      }),
    );
  });
});

describe('text from the guest in the log', () => {
  test.each([
    ['plain', ['stdout | plain']],
    ['one\r\ntwo', ['stdout | one', 'stdout | two']],
    ['::error::forged', ['stdout | ::error::forged']],
    ['before ##[error]forged', ['stdout | before ## [error]forged']],
    ['\u001B[31mred\u001B[0m', ['stdout | red']],
    ['a\rb\u0000c\u0007', ['stdout | abc']],
    ['tab\tstays', ['stdout | tab\tstays']],
  ])('%j', (text, lines) => {
    expect(guestOutputLines('stdout', text)).toEqual(lines);
  });

  test('no line of it can be a workflow command', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('\n', '\r', ':', '#', '[', ']', 'a', ' ') }), (text) => {
        for (const line of guestOutputLines('x', text)) {
          expect(line.startsWith('x | ')).toBe(true);
          expect(line).not.toContain('##[');
          expect(line).not.toMatch(/[\r\n]/);
        }
      }),
    );
  });
});

describe('secrets in what a script prints', () => {
  const blot = createRedactor(['hunter2-and-more', 'first line\nsecond line', 'abc']);

  test.each([
    ['token: hunter2-and-more.', {}, 'token: ***.'],
    ['first line\nsecond line', {}, '***'],
    ['second line alone', {}, '*** alone'],
    ['r2-and-more and the rest', { front: true }, '*** and the rest'],
    ['\uFFFDr2-and-more and the rest', { front: true }, '*** and the rest'],
    ['r2-and-more and the rest', { back: true }, 'r2-and-more and the rest'],
    ['hunter2-and-more and the rest', { front: true }, '*** and the rest'],
    ['st line\nsecond line', { front: true }, '***'],
    ['token: hunter2-a', { back: true }, 'token: ***'],
    ['token: hunter2-a', { front: true }, 'token: hunter2-a'],
    ['nter2-and-more and hunter2', { front: true, back: true }, '*** and ***'],
    ['abc is too short to blot out', {}, 'abc is too short to blot out'],
  ])('%j, cut %j', (text, cut, blotted) => {
    expect(blot(text, cut)).toBe(blotted);
  });

  test('redacts the rest of a long secret when it contains another one', () => {
    expect(createRedactor(['abcd1234', 'xx-abcd1234-yy'])('x-abcd1234-yy.', { front: true })).toBe('***.');
  });
});

test.each([
  ['Linux', '\uFEFF#!/bin/bash\r\necho 1\r\n', '#!/bin/bash\necho 1\n'],
  ['Linux', 'echo 1\recho 2', 'echo 1\necho 2'],
  ['Windows', 'Write-Output 1\r\n', 'Write-Output 1\r\n'],
] as const)('the script as %s takes it: %j', (osType, text, sent) => {
  expect(normalizeScript(text, osType)).toBe(sent);
});
