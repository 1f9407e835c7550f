// Microsoft.PolicyInsights: evaluates in advance whether Azure Policy denies a resource.
// https://learn.microsoft.com/rest/api/policy/policy-restrictions/check-at-resource-group-scope
import type { Call, Provider, Route } from '../http/provider.ts';
import { ArmError } from '../model/arm-error.ts';
import type { Answer } from '../model/contract.ts';
import { assignmentId, definitionId, denyingPolicies } from '../world/policies.ts';

function checkRestrictions(call: Call): Answer {
  const { resourceContent } = call.body['resourceDetails'] ?? {};
  if (typeof resourceContent?.type !== 'string')
    throw new ArmError(400, 'InvalidRequestContent', 'The resource content must contain the type.');
  const scope = call.resourceId.replace(/\/providers\/Microsoft.PolicyInsights\/.*$/i, '');
  const policyEvaluations = denyingPolicies(call.world, scope, resourceContent).map((assignment) => ({
    policyInfo: {
      policyDefinitionId: definitionId(assignment),
      policyAssignmentId: assignmentId(assignment),
    },
    evaluationResult: 'NonCompliant',
    evaluationDetails: { evaluatedExpressions: [] },
    effectDetails: { policyEffect: 'Deny' },
  }));
  return { status: 200, body: { fieldRestrictions: [], contentEvaluationResult: { policyEvaluations } } };
}

const action = 'Microsoft.PolicyInsights/checkPolicyRestrictions';

const routeAt = (scope: string): Route => ({
  method: 'POST',
  path: `${scope}/providers/${action}`,
  kind: 'policy.check',
  action: `${action}/read`,
  scope: ({ resourceId }) => resourceId.replace(/\/providers\/Microsoft.PolicyInsights\/.*$/i, ''),
  handle: checkRestrictions,
});

export const policyProvider: Provider = {
  namespace: 'Microsoft.PolicyInsights',
  types: [{ name: 'checkPolicyRestrictions', apiVersions: ['2024-10-01', '2023-03-01', '2022-03-01', '2020-07-01'] }],
  routes: ['/subscriptions/:subscriptionId', '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup'].map(
    routeAt,
  ),
};
