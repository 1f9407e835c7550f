import { normaliseRegion } from '../azure/resource-id.ts';
import type { Plan } from '../deployment/plan.ts';
import { ActionError } from '../errors/action-error.ts';
import { isPatched } from '../inputs/overrides.ts';

/** One property in which an existing resource differs from the inputs. */
export interface Difference {
  readonly property: string;
  readonly actual: string;
  readonly expected: string;
  /** How to change the existing resource, if Azure can change it in place. */
  readonly fix?: readonly string[];
}

/** A resource never changes its region. If either region is unknown, as in some checks, nothing is compared. */
export function compareRegion(
  property: string,
  { location = '' }: { readonly location?: string },
  plan: Plan,
): Difference[] {
  const region = normaliseRegion(location);
  return region === '' || plan.location === '' || region === normaliseRegion(plan.location)
    ? []
    : [{ property, actual: region, expected: plan.location }];
}

/** A merge patch replaces a list as a whole, so the resulting rules are not known before Azure has them. */
export function rulesAreOverridden({ nsg, patches }: Plan): boolean {
  return nsg !== undefined && isPatched(patches.get(nsg.id.toLowerCase()), 'properties.securityRules');
}

/** @throws ActionError that lists every difference: existing resources are never changed. */
export function assertNoDrift(plan: Plan, differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  const lines = differences.map(
    ({ property, actual, expected }) => `- ${property}: ${actual}; the inputs request ${expected}`,
  );
  throw new ActionError(`comparing deployment ${plan.deployment} with the inputs`, {
    message: `Deployment ${plan.deployment} already exists and differs from the inputs:\n${lines.join('\n')}`,
    reason: 'A rerun adopts only a deployment that matches the inputs; nothing that exists is changed or replaced.',
    fix: driftFix(plan, differences),
  });
}

/** How to resolve differences: for the whole deployment, and for each property that can be changed in place. */
export function driftFix(plan: Plan, differences: readonly Difference[]): readonly string[] {
  return [
    `To replace it, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
    'To keep it, give another `vm-name`.',
    ...differences.flatMap(({ fix = [] }) => fix),
  ];
}
