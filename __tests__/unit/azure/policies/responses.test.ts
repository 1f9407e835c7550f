import { expect, test } from '@jest/globals';
import { createHttpHeaders, createPipelineRequest } from '@azure/core-rest-pipeline';
import { checkArmResponsePolicy } from '../../../../src/azure/policies/responses.ts';

test('takes a poll without a body for an answer when the link to it was relative', async () => {
  const policy = checkArmResponsePolicy();
  const send = async (method: 'DELETE' | 'GET', url: string) => {
    const headers = createHttpHeaders(method === 'DELETE' ? { location: '/operationResults/7?t=1' } : {});
    const request = createPipelineRequest({ method, url });
    return policy.sendRequest(request, async () => ({ request, status: 202, headers }));
  };
  const accepted = await send('DELETE', 'https://management.example/subscriptions/1?api-version=2024-05-01');
  const link = accepted.headers.get('location') ?? '';
  expect(link).toBe('https://management.example/operationResults/7?t=1');
  expect((await send('GET', link)).status).toBe(202);
});
