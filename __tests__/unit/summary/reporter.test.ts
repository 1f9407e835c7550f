import { expect, jest, test } from '@jest/globals';
import { reportDeletion } from '../../../src/summary/reporter.ts';
import { createReporter } from '../../../src/summary/reporter.ts';

test('the deleted output keeps the IDs of every writer', () => {
  // Outside of a runner, outputs and log lines go to stdout.
  delete process.env['GITHUB_OUTPUT'];
  const stdout = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const report = createReporter(undefined);
  const none = { notFound: [], notOwned: [], failed: [] };
  reportDeletion({ ...none, deleted: ['/a'] }, report);
  report.addDeleted(['/b', '/c']);
  reportDeletion({ ...none, deleted: [] }, report);
  reportDeletion({ ...none, deleted: ['/d'] }, report);
  stdout.mockRestore();
  expect(report.outputs.deleted).toBe('["/a","/b","/c","/d"]');
});

test('the deleted output is an empty list when nothing was deleted', () => {
  delete process.env['GITHUB_OUTPUT'];
  const stdout = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const report = createReporter(undefined);
  report.addDeleted([]);
  stdout.mockRestore();
  expect(report.outputs.deleted).toBe('[]');
});
