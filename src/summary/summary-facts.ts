import type { Environment } from '../azure/clouds.ts';
import type { ImageReference } from '../azure/resource-id.ts';
import type { Finding } from '../check/facts.ts';
import type { Plan } from '../deployment/resources.ts';
import type { ErrorReport } from '../errors/format-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { ClientCredential } from '../inputs/inputs.ts';
import type { Difference } from '../plan/drift.ts';
import type { StageTiming } from '../runner/log.ts';
import type { OutputName } from '../runner/environment.ts';

/** The inputs that the summary shows. None of them is a secret. */
export interface RequestedDeployment {
  readonly clientId: string;
  readonly credential: Pick<ClientCredential, 'kind'>;
  readonly environment: Environment;
  readonly tenantId: string;
  readonly resourceGroup: string;
  readonly subscriptionId?: string;
  readonly changeReference?: string;
  readonly location?: string;
  readonly imageTenantId?: string;
  readonly image?: ImageReference;
  readonly vmName?: string;
  readonly cleanup?: 'never' | 'on-failure' | 'always';
  readonly waitFor?: 'accepted' | 'provisioned' | 'agent';
  readonly adminPassword?: unknown;
  readonly sshPublicKeys?: readonly unknown[];
}

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
  /** Settings of the new VM that differ from the inputs. */
  readonly changedSettings: readonly string[];
  /** The end of the serial console's log. */
  readonly bootLog: string;
  /** The action as `uses` names it. */
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

/** An entry of the output `deployments`. */
export interface ListedDeployment {
  readonly 'vm-name': string;
  readonly 'vm-id': string;
  readonly state: string;
  readonly 'image-version-id'?: string;
  readonly 'vm-size'?: string;
  readonly location?: string;
  readonly 'public-ip-address'?: string;
  readonly 'private-ip-address'?: string;
  readonly 'created-on'?: string;
  readonly 'expires-on'?: string;
  readonly 'run-url'?: string;
}

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

/** Whether the run ends with a VM that this summary describes. */
export function hasVm({ operation, errors = [] }: SummaryFacts): boolean {
  return operation === 'create' && errors.length === 0;
}
