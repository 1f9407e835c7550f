// Azure Policy: assignments that deny resources.
import type { Json } from '../model/contract.ts';
import { isWithin } from '../model/scope.ts';
import type { World } from './world.ts';

interface PolicyAssignment {
  readonly name: string;
  readonly displayName: string;
  /** Subscription or resource group. */
  readonly scope: string;
  /** Whether it denies a resource; `resource` has the shape of a PUT's body, and the type. */
  readonly denies: (resource: Json) => boolean;
}

/** Assignments whose effect is deny; tests add to it. */
export function policyAssignments(world: World): PolicyAssignment[] {
  return world.extension('policy', () => []);
}

export function assignmentId({ scope, name }: PolicyAssignment): string {
  return `${scope}/providers/Microsoft.Authorization/policyAssignments/${name}`;
}

export function denyingPolicies(world: World, scope: string, resource: Json): PolicyAssignment[] {
  return policyAssignments(world).filter(
    (assignment) => isWithin(scope, assignment.scope) && assignment.denies(resource),
  );
}

export function definitionId({ scope, name }: PolicyAssignment): string {
  return `${scope}/providers/Microsoft.Authorization/policyDefinitions/${name}`;
}
