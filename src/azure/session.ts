import type { ComputeManagementClient } from '@azure/arm-compute';
import type { NetworkManagementClient } from '@azure/arm-network';
import type { ArmRequest } from './arm-client.ts';
import type { Cloud } from './clouds.ts';
import type { PollOptions } from './polling.ts';

/** What the rest of the action works with once it is signed in. */
export interface Session {
  readonly cloud: Cloud;
  readonly correlationId: string;
  /** GUID of the tenant, also where the input named a domain. */
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly arm: ArmRequest;
  readonly compute: ComputeManagementClient;
  /** Carries the auxiliary tokens: only for requests that link to the image. */
  readonly crossTenantCompute: ComputeManagementClient;
  readonly network: NetworkManagementClient;
  readonly waiting: PollOptions;
  /** The same session under another signal: clean-up goes on after the run's own one has aborted. */
  withSignal(signal: AbortSignal): Session;
}
