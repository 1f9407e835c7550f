/**
 * A policy with an external check (effect `invoke`): each write and deletion needs a token that was issued for exactly this
 * method, URI and content. https://github.com/Azure/azure-sdk/issues/10081
 */
import { isDeepStrictEqual } from 'node:util';
import { ArmError, refuse } from '../model/arm-error.ts';
import type { Answer } from '../model/contract.ts';
import type { World } from '../world/world.ts';
import type { Call } from './provider.ts';

interface InvokePolicy {
  readonly name: string;
  readonly requiresChangeReference: boolean;
  /** What the external check says to a request; undefined: approved. */
  refusal: ((method: string, uri: string) => string | undefined) | undefined;
}

interface State {
  policy: InvokePolicy | undefined;
  readonly issued: Map<string, { method: string; uri: URL; content: unknown }>;
}

export function policyTokenState(world: World): State {
  return world.extension('policyTokens', () => ({ policy: undefined, issued: new Map() }));
}

export function checkPolicyToken(call: Call): void {
  const { policy, issued } = policyTokenState(call.world);
  const token = issued.get(call.headers['x-ms-policy-external-evaluations'] ?? '');
  if (policy === undefined || ['GET', 'HEAD', 'POST'].includes(call.method)) return;
  if (
    token?.method === call.method &&
    decodeURIComponent(token.uri.pathname) === call.path &&
    token.uri.searchParams.get('api-version') === call.apiVersion &&
    isDeepStrictEqual(token.content ?? {}, call.body)
  )
    return;
  const evaluationDetails = {
    missingPolicyTokenDetails: {
      shouldDeny: true,
      endpointKind: 'AzureResourceGraph',
      endpointResultLifespan: 'PT1H',
      isChangeReferenceRequired: policy.requiresChangeReference,
    },
  };
  throw new ArmError(403, 'RequestDisallowedByPolicy', `Resource '${call.name}' was disallowed by policy.`, {
    gateway: true,
    target: call.name,
    additionalInfo: [
      { type: 'PolicyViolation', info: { policyAssignmentDisplayName: policy.name, evaluationDetails } },
    ],
  });
}

/** https://learn.microsoft.com/javascript/api/@azure/arm-policy/policytokenresponse */
export function acquirePolicyToken({ world, body }: Call): Answer {
  const { policy, issued } = policyTokenState(world);
  const { operation, changeReference } = body;
  const { httpMethod, uri } = operation ?? {};
  if (typeof httpMethod !== 'string' || typeof uri !== 'string' || !URL.canParse(uri)) {
    throw refuse(400, 'InvalidRequestContent', 'The request content was invalid: operation.');
  }
  const missing = policy?.requiresChangeReference === true && typeof changeReference !== 'string';
  const refusal = missing ? 'A change reference is required.' : policy?.refusal?.(httpMethod, uri);
  if (refusal !== undefined) {
    return { status: 200, body: { result: 'Failed', results: [{ result: 'Failed', message: refusal }] } };
  }
  const tokenId = world.uuid();
  const token = `PoP ${tokenId.replaceAll('-', '')}.policy-token`;
  issued.set(token, { method: httpMethod, uri: new URL(uri), content: operation.content });
  return { status: 200, body: { result: 'Succeeded', token, tokenId, changeReference } };
}
