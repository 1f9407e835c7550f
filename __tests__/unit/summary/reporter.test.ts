import { expect, jest, test } from '@jest/globals';
import { createReporter, reportDeletion } from '../../../src/summary/reporter.ts';

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

test('the annotation names every resource that is left when the reasons exceed its 4 KB', () => {
  const stdout = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const failed = Array.from({ length: 8 }, (_, index) => ({ id: `/left/${index}`, error: new Error('x'.repeat(900)) }));
  reportDeletion({ deleted: [], notFound: [], notOwned: [], failed }, createReporter(undefined));
  const written = stdout.mock.calls.map(([text]) => String(text));
  stdout.mockRestore();
  const annotation = written.find((text) => text.startsWith('::warning')) ?? '';
  expect(failed.filter(({ id }) => !annotation.includes(`%0A${id}%0A`))).toEqual([]);
});
