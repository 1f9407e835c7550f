import type { PipelinePolicy, PipelineRequest } from '@azure/core-rest-pipeline';
import { AzureError } from '../../errors/errors.ts';
import { createPolicy } from './responses.ts';
import { asObject, asString, parseJson } from '../../lib/json.ts';

interface PolicyTokenOptions {
  readonly post: (path: string, body: unknown) => Promise<unknown>;
  readonly changeReference?: string;
  readonly mask: (secret: string) => void;
  readonly debug: (line: string) => void;
}

/**
 * Azure Policy may require that an external check approves a write or a deletion first. The approval is a token for exactly
 * this request, sent with one retry. https://github.com/Azure/azure-sdk/issues/10081
 */
export function policyTokenPolicy({ post, changeReference, mask, debug }: PolicyTokenOptions): PipelinePolicy {
  async function acquireToken(request: PipelineRequest): Promise<{ token?: string; message: string }> {
    const subscription = /^\/subscriptions\/[^/]+/i.exec(new URL(request.url).pathname)?.[0] ?? '';
    const path = `${subscription}/providers/Microsoft.Authorization/acquirePolicyToken`;
    const content = typeof request.body === 'string' ? parseJson(request.body) : undefined;
    const body = { operation: { uri: request.url, httpMethod: request.method, content }, changeReference };
    try {
      // https://learn.microsoft.com/javascript/api/@azure/arm-policy/policytokenresponse
      const answer = asObject(await post(path, body));
      const { result, results } = answer;
      const messages = [answer, ...(Array.isArray(results) ? results : [])].map((part) => asObject(part)['message']);
      const message = messages.flatMap((text) => asString(text) ?? []).join(' ') || `result ${String(result)}`;
      return { token: result === 'Failed' ? undefined : asString(answer['token']), message };
    } catch (error) {
      if (!(error instanceof AzureError)) throw error;
      return { message: `${error.fault.code}: ${error.fault.message}` };
    }
  }
  return createPolicy('policyTokenPolicy', async (request, next) => {
    const response = await next(request);
    const bodyText = response.bodyAsText ?? '';
    if (response.status !== 403 || !requiresPolicyToken(bodyText)) return response;
    const { token, message } = await acquireToken(request);
    if (token !== undefined) {
      mask(token);
      debug(`${request.method} ${new URL(request.url).pathname}: retrying with a policy token`);
      request.headers.set('x-ms-policy-external-evaluations', token);
      return next(request);
    }
    const error = asObject(asObject(parseJson(bodyText))['error']);
    const explained = { ...error, message: `${asString(error['message']) ?? ''} No policy token: ${message}` };
    return { ...response, bodyAsText: JSON.stringify({ error: explained }) };
  });
}

export function requiresPolicyToken(body: string): boolean {
  return /"RequestDisallowedByPolicy"/.test(body) && /"missingPolicyTokenDetails"\s*:\s*\{/.test(body);
}
