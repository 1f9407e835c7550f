/** What `create` will send. Types only: `plan/` computes it, `check` evaluates it, the summary draws it. */

import type { VirtualMachine } from '@azure/arm-compute';
import type { NetworkInterface, NetworkSecurityGroup, PublicIPAddress, VirtualNetwork } from '@azure/arm-network';
import type { MergePatch } from '../lib/json.ts';

/** A resource to create, with the body of its PUT in the shape of the SDK's models. */
export interface PlannedResource<Body> {
  readonly id: string;
  readonly name: string;
  readonly body: Body;
}

/** A resource to create, or an existing one that is only referred to. */
export type ResourcePlan<Body> =
  | ({ readonly origin: 'made' } & PlannedResource<Body>)
  | { readonly origin: 'given'; readonly id: string };

/** A size and zone to try. */
export interface Placement {
  readonly size: string;
  readonly zone?: string;
  readonly spot?: true;
  /** Retry without Trusted Launch, which the image supports but the size does not. */
  readonly withoutTrustedLaunch?: true;
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

/** Everything that will be sent, known before the first write. */
export interface Plan extends Common, PlannedNetwork {
  readonly deployment: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly vm: {
    readonly id: string;
    readonly name: string;
    readonly osDiskName: string;
    readonly osType: 'Linux' | 'Windows';
    readonly imageReferenceId: string;
    readonly attempts: readonly Placement[];
    /** Whether a size without Trusted Launch may be retried without it. */
    readonly plainWillDo: boolean;
    /** Body of the PUT for one placement. */
    readonly body: (attempt: Placement) => VirtualMachine;
  };
  /** User-assigned identities that the `identity` input names without an ID. */
  readonly identities: readonly { readonly id: string; readonly name: string }[];
  /** Merge patches by lower-cased ID of the resource whose PUT they change. */
  readonly patches: ReadonlyMap<string, MergePatch>;
  readonly warnings: readonly string[];
}
