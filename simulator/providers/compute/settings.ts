// What a scenario may set on the compute side of a world: `settings(sim.world).shortages.push(…)`.
import type { Json, OperationFailure } from '../../model/contract.ts';
import type { World } from '../../world/world.ts';
import type { SizeRestriction } from './skus.ts';

/** No capacity for a size, a zone, a region (absent: any). */
export interface Shortage {
  readonly code:
    | 'SkuNotAvailable'
    | 'AllocationFailed'
    | 'ZonalAllocationFailed'
    | 'OverconstrainedAllocationRequest';
  readonly size?: string;
  readonly zone?: string;
  readonly location?: string;
  /** `put`: refused at once (409). `operation`: the operation fails and the failed VM stays. */
  readonly at: 'put' | 'operation';
  /** How often it strikes; default: always. */
  times?: number;
}

/** What one run of a script in the guest came to. */
export interface ScriptResult {
  readonly exitCode: number;
  readonly output?: string;
  readonly error?: string;
  /** Simulated seconds that it runs. Default: what makes the operation as long as the recorded ones. */
  readonly seconds?: number;
  /**
   * What comes out while it runs, by simulated second from the start; the last text that is due is what the instance
   * view shows. Default: nothing before the end.
   */
  readonly progress?: readonly { readonly at: number; readonly output?: string; readonly error?: string }[];
}

export interface ScriptCall {
  readonly script: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly protectedParameters: Readonly<Record<string, string>>;
  /** Body of the VM as a GET gives it. */
  readonly vm: Json;
  readonly world: World;
}

export interface ComputeSettings {
  /** Sizes that the subscription may not have: shown in the SKU list, refused on the PUT. */
  restrictions: SizeRestriction[];
  shortages: Shortage[];
  /**
   * Quotas by name (`cores`, `lowPriorityCores`, a family), by `<region>/<name>` or `<subscription>/<region>/<name>`.
   * `used` is counted besides the machines of the world.
   */
  quota: Record<string, { readonly limit?: number; readonly used?: number }>;
  /** Subscriptions (lower case) where Microsoft.Compute/UseStandardSecurityType is registered. */
  standardSecurityType: Set<string>;
  /** Subscriptions (lower case) where Microsoft.Compute/EncryptionAtHost is registered. */
  encryptionAtHost: Set<string>;
  /** Ends of VM creations that get as far as booting; the failed VM stays. First match by name wins. */
  provisioning: {
    readonly vm?: RegExp;
    readonly failure: OperationFailure;
    /** Simulated seconds; default 1200 for Linux and 2400 for Windows. */
    readonly afterSeconds?: number;
    times?: number;
  }[];
  /** Simulated seconds from the end of the creation until the VM agent reports; Infinity: never. */
  agentDelay: number;
  /** Simulated seconds for which the NIC of a failed creation stays reserved. */
  nicReservation: number;
  /** Text of the serial console log. */
  serialLog: string | ((vm: Json) => string);
  /** What a script in the guest does. */
  runScript: (call: ScriptCall) => ScriptResult;
}

/** The default guest runs every script in the time that recorded ones took, prints nothing and is content. */
export function settings(world: World): ComputeSettings {
  return world.extension('compute', () => ({
    restrictions: [],
    shortages: [],
    quota: {},
    standardSecurityType: new Set<string>(),
    encryptionAtHost: new Set<string>(),
    provisioning: [],
    // Recorded: Ready 7 to 26 s after the end of the creation (vm-expand-instance-view-2024.json, vm-instance-view.json).
    agentDelay: 10,
    nicReservation: 180,
    serialLog: '[    0.000000] Linux version 6.8.0-azure\n[    9.412345] cloud-init[812]: finished\n',
    runScript: () => ({ exitCode: 0, output: '', error: '' }),
  }));
}

/** The text of a failed provisioning, ready for `settings(world).provisioning`: errors.json, OSProvisioningTimedOut. */
export function osProvisioningTimedOut(vm: string): OperationFailure {
  return {
    code: 'OSProvisioningTimedOut',
    message: `OS Provisioning for VM '${vm}' did not finish in the allotted time. The VM may still finish provisioning successfully. Please check provisioning state later. Also, make sure the image has been properly prepared (generalized).\r\n * Instructions for Windows: https://azure.microsoft.com/documentation/articles/virtual-machines-windows-upload-image/ \r\n * Instructions for Linux: https://azure.microsoft.com/documentation/articles/virtual-machines-linux-capture-image/ `,
  };
}
