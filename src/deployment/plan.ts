import type { VirtualMachine } from '@azure/arm-compute';
import type {
  NetworkInterface,
  NetworkSecurityGroup,
  PublicIPAddress,
  VirtualNetwork,
} from '@azure/arm-network';
import type { MergePatch } from '../lib/json.ts';

/** A resource that this action makes: where it goes and the body of its PUT, in the shape of the SDK's models. */
export interface PlannedResource<Body> {
  readonly id: string;
  readonly name: string;
  readonly body: Body;
}

/** A part of the deployment: made by us, or given by ID and never touched. */
export type ResourcePlan<Body> =
  | ({ readonly origin: 'made' } & PlannedResource<Body>)
  | { readonly origin: 'given'; readonly id: string };

/** One try at placing the machine. */
export interface Placement {
  readonly size: string;
  readonly zone?: string;
  /** Without the Trusted Launch that the image allows: the size turned out not to have it. */
  readonly withoutTrustedLaunch?: true;
}

/**
 * Everything that will be sent, known before the first write. `create` carries it out, `check` judges it, a rerun
 * compares it with what exists, the summary draws it.
 */
export interface Plan {
  readonly deployment: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly nsg?: ResourcePlan<NetworkSecurityGroup>;
  readonly vnet?: PlannedResource<VirtualNetwork>;
  readonly subnetId?: string;
  readonly publicIp?: ResourcePlan<PublicIPAddress>;
  readonly nic: ResourcePlan<NetworkInterface>;
  readonly vm: {
    readonly id: string;
    readonly name: string;
    readonly osDiskName: string;
    readonly osType: 'Linux' | 'Windows';
    readonly imageReferenceId: string;
    readonly attempts: readonly Placement[];
    /** Whether an attempt that is refused for want of Trusted Launch may be made again as a plain one. */
    readonly plainWillDo: boolean;
    /** Body of the PUT for one attempt; the image's ID, network and identity do not depend on it. */
    readonly body: (attempt: Placement) => VirtualMachine;
  };
  /** User-assigned identities of this deployment, by the plain names that the input gave. */
  readonly identities: readonly { readonly id: string; readonly name: string }[];
  /** Merge patches by lower-cased ID of the resource whose PUT they change. */
  readonly patches: ReadonlyMap<string, MergePatch>;
  /** Decisions that the reader of the log should know of. */
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

export interface Common {
  readonly location: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface PlannedNetwork {
  readonly nsg?: ResourcePlan<NetworkSecurityGroup>;
  readonly vnet?: PlannedResource<VirtualNetwork>;
  readonly subnetId?: string;
  readonly publicIp?: ResourcePlan<PublicIPAddress>;
  readonly nic: ResourcePlan<NetworkInterface>;
  readonly notices: readonly string[];
}
