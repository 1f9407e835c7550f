import { normaliseRegion } from '../azure/resource-id.ts';
import type { Plan } from '../deployment/plan.ts';
import { ActionError } from '../errors/action-error.ts';
import { isPatched } from '../inputs/overrides.ts';
import type { MergePatch } from '../lib/json.ts';

/** One way in which a machine that exists is not what the inputs ask for. */
export interface Difference {
  readonly property: string;
  readonly actual: string;
  readonly expected: string;
  /** How to change what is there, where Azure does that in place. */
  readonly fix?: readonly string[];
}

/** A resource never changes its region. Where either is not known, as the plan's in some a `check`, nothing is compared. */
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

/** Then nobody knows them before Azure has them: a list is replaced as a whole. */
export function rulesAreOverridden({ nsg, patches }: Plan): boolean {
  return nsg !== undefined && overriddenProperty(patches.get(nsg.id.toLowerCase()), 'securityRules');
}

/** Does a merge patch in the REST shape say something about `properties.<path>`? */
export function overriddenProperty(patch: MergePatch | undefined, ...path: readonly string[]): boolean {
  return isPatched(patch, ['properties', ...path].join('.'));
}

/** @throws Failure that lists every difference: what exists is never changed into something else. */
export function assertNoDrift(plan: Plan, differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  const lines = differences.map(
    ({ property, actual, expected }) => `- ${property}: it has ${actual}; the inputs ask for ${expected}`,
  );
  throw new ActionError(`comparing deployment ${plan.deployment} with the inputs`, {
    message: `Deployment ${plan.deployment} exists already and is another one:\n${lines.join('\n')}`,
    explanation: {
      cause:
        'A rerun takes over only what is as asked for; nothing that exists is changed or replaced unasked.',
      who: "the workflow's author",
      fix: driftFix(plan, differences),
    },
  });
}

/** What to do about differences: about the whole deployment, and about each that can be changed in place. */
export function driftFix(plan: Plan, differences: readonly Difference[]): readonly string[] {
  return [
    `To replace it, run this action with \`operation: delete\` and \`vm-name: ${plan.deployment}\` first.`,
    'To keep it, give another `vm-name`.',
    ...differences.flatMap(({ fix = [] }) => fix),
  ];
}
