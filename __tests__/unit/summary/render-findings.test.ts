import { expect, test } from '@jest/globals';
import { renderSummary } from '../../../src/summary/render-summary.ts';

/** The commands of a failure's fix, as the summary shows them. */
function shownCommand(command: string): string {
  const explanation = { cause: 'c', who: 'w', fix: [command] };
  const markdown = renderSummary({
    operation: 'create',
    outputs: {},
    stages: [],
    left: [],
    errors: [{ title: 'x', activity: [], message: [], notes: [], azure: [], explanation, trace: [] }],
  });
  return /```sh\n([\s\S]*?)\n```/.exec(markdown)?.[1] ?? '';
}

test('continues a long command on the next line, before an option and outside quotes', () => {
  const scope = '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/deployments';
  const command = `az role assignment create --assignee 33333333-3333-4333-8333-333333333333 --role 'Cross-tenant VM deployer' --scope ${scope} --description "a --b c"`;
  const wrapped = shownCommand(command);
  expect(wrapped.split('\n')).toEqual([
    'az role assignment create --assignee 33333333-3333-4333-8333-333333333333 \\',
    "  --role 'Cross-tenant VM deployer' \\",
    `  --scope ${scope} \\`,
    '  --description "a --b c"',
  ]);
  expect(wrapped.replaceAll(/ \\\n {2}/g, ' ')).toBe(command);
});

test.each(['az vm list -g rg', `gh variable set X --body '${'it\n'.repeat(60)}'`, `az x --y "${'z'.repeat(200)}`])(
  'leaves %j unchanged',
  (command) => {
    expect(shownCommand(command)).toBe(command);
  },
);
