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

test('reads a resource as missing when the link of an earlier answer was its own', async () => {
  const policy = checkArmResponsePolicy();
  const url = 'https://management.example/subscriptions/1/resourceGroups/g/providers/n/t/r?api-version=2024-05-01';
  const request = createPipelineRequest({ method: 'DELETE', url });
  await policy.sendRequest(request, async () => ({
    request,
    status: 202,
    headers: createHttpHeaders({ location: url }),
  }));
  const read = createPipelineRequest({ method: 'GET', url });
  const missing = { request: read, status: 404, headers: createHttpHeaders(), bodyAsText: '{"error":{"code":"x"}}' };
  expect((await policy.sendRequest(read, async () => missing)).status).toBe(404);
});
