import type { Environment } from '../azure/clouds.ts';
import type { ImageReference } from '../azure/resource-id.ts';
import type { Finding } from '../check/facts.ts';
import type { Plan } from '../deployment/plan.ts';
import type { ErrorReport } from '../errors/format-error.ts';
import type { ResolvedImage } from '../image/image.ts';
import type { ClientCredential } from '../inputs/inputs.ts';
import type { StageTiming } from '../runner/log.ts';
import type { OutputName } from '../runner/outputs.ts';

/** What the inputs say, as far as the summary tells it: no secret is among it. */
export interface RequestedDeployment {
  readonly clientId: string;
  readonly credential: Pick<ClientCredential, 'kind'>;
  readonly environment: Environment;
  readonly tenantId: string;
  readonly resourceGroup: string;
  readonly subscriptionId?: string;
  readonly imageTenantId?: string;
  readonly image?: ImageReference;
  readonly vmName?: string;
  readonly cleanup?: 'never' | 'on-failure' | 'always';
  readonly adminPassword?: unknown;
  readonly sshPublicKeys?: readonly unknown[];
}

/** What comes to be known on the way. All of it may be missing: a run can fail before its first request. */
export interface CollectedFacts {
  readonly operation: 'create' | 'check' | 'delete' | 'sweep' | 'clean-up';
  readonly wanted: RequestedDeployment;
  /** https origin; a private cloud may have none. */
  readonly portal: string;
  readonly subscriptionId: string;
  readonly plan: Plan;
  readonly image: ResolvedImage;
  /** The machine was there already. */
  readonly adopted: boolean;
  /** Rules in the deployment's security group that are not ours. */
  readonly otherRules: readonly string[];
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
  /** Of the failure, if there was one. */
  readonly accounts?: readonly ErrorReport[];
  readonly left: readonly Leftover[];
}

/** A resource that was to be deleted and was not. */
export interface Leftover {
  readonly id: string;
  readonly why: string;
}
