import type { Finding } from '../check/facts.ts';
import type { Plan } from '../deployment/resources.ts';
import type { ErrorReport } from '../errors/format-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { ClientCredential, DeployInputs } from '../inputs/inputs.ts';
import type { Difference } from '../plan/drift.ts';
import type { StageTiming } from '../runner/log.ts';
import type { OutputName } from '../runner/environment.ts';

export type RequestedDeployment = Pick<
  DeployInputs,
  'clientId' | 'environment' | 'tenantId' | 'resourceGroup' | 'subscriptionId' | 'changeReference'
> &
  Partial<Pick<DeployInputs, 'location' | 'imageTenantId' | 'image' | 'vmName' | 'cleanup' | 'waitFor'>> & {
    readonly credential: { readonly kind: ClientCredential['kind']; readonly audience?: string };
    /** Whether there is one; the summary shows neither. */
    readonly adminPassword?: unknown;
    readonly sshPublicKeys?: readonly unknown[];
  };

/** Facts that are added as they become known. A run can fail before its first request, so each may be missing. */
export interface CollectedFacts {
  readonly operation: 'create' | 'check' | 'delete' | 'sweep' | 'list' | 'clean-up';
  readonly requested: RequestedDeployment;
  /** https origin; a private cloud may have none. */
  readonly portal: string;
  readonly subscriptionId: string;
  readonly plan: Plan;
  readonly image: ResolvedImage;
  /** The VM existed before the run. */
  readonly adopted: boolean;
  /** How the VM that was replaced differed from the inputs. */
  readonly replacement: readonly Difference[];
  /** Rules in the deployment's NSG that this action did not create. */
  readonly otherRules: readonly string[];
  /** As Azure created the VM. */
  readonly securityType: string;
  readonly changedSettings: readonly string[];
  readonly bootLog: string;
  readonly uses: string;
}

export interface SummaryFacts extends Partial<CollectedFacts> {
  readonly operation: CollectedFacts['operation'];
  readonly outputs: Readonly<Partial<Record<OutputName, string>>>;
  readonly stages: readonly StageTiming[];
  readonly findings?: readonly Finding[];
  readonly errors?: readonly ErrorReport[];
  readonly left: readonly Leftover[];
}

type OptionalDetail = 'image-version-id' | 'vm-size' | 'location' | 'public-ip-address' | 'private-ip-address';

export type ListedDeployment = Readonly<
  Record<'vm-name' | 'vm-id' | 'state', string> &
    Partial<Record<OptionalDetail | 'created-on' | 'expires-on' | 'run-url', string>>
>;

/** Why `operation: delete` cannot delete it either. */
export const notOwnedReason = 'its tags name another deployment, repository or run, or none';

/** A resource that was not deleted although it should have been. */
export interface Leftover {
  readonly id: string;
  readonly why: string;
}

export function parseIds(list: string | undefined): readonly string[] {
  return JSON.parse(list ?? '[]') as string[];
}

export function parseDeployments({ outputs }: Pick<SummaryFacts, 'outputs'>): readonly ListedDeployment[] {
  return JSON.parse(outputs.deployments ?? '[]') as ListedDeployment[];
}

export function hasVm({ operation, errors = [] }: SummaryFacts): boolean {
  return operation === 'create' && errors.length === 0;
}
