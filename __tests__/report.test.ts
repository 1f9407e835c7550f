import { expect, jest, test } from '@jest/globals';
import { tellRemoval } from '../src/remove.ts';
import { openReport } from '../src/report.ts';

test('the deleted output keeps the IDs of every writer', () => {
  // Outside of a runner, outputs and log lines go to stdout.
  delete process.env['GITHUB_OUTPUT'];
  const stdout = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const report = openReport(undefined);
  const none = { absent: [], foreign: [], failed: [] };
  tellRemoval({ ...none, deleted: ['/a'] }, report);
  report.addDeleted(['/b', '/c']);
  tellRemoval({ ...none, deleted: [] }, report);
  tellRemoval({ ...none, deleted: ['/d'] }, report);
  stdout.mockRestore();
  expect(report.outputs.deleted).toBe('["/a","/b","/c","/d"]');
});

test('the deleted output is an empty list when nothing was deleted', () => {
  delete process.env['GITHUB_OUTPUT'];
  const stdout = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const report = openReport(undefined);
  report.addDeleted([]);
  stdout.mockRestore();
  expect(report.outputs.deleted).toBe('[]');
});
