// Settings of the compute providers, which tests change: `settings(sim.world).shortages.push(…)`.
import type { Json, OperationFailure } from '../../model/contract.ts';
import type { World } from '../../world/world.ts';
import type { SizeRestriction } from './skus.ts';

/** A capacity shortage; absent members match everything. */
export interface Shortage {
  readonly code: 'SkuNotAvailable' | 'AllocationFailed' | 'ZonalAllocationFailed' | 'OverconstrainedAllocationRequest';
  readonly size?: string;
  readonly zone?: string;
  readonly location?: string;
  /** `put`: the PUT is rejected (409). `operation`: the operation fails and leaves a failed VM. */
  readonly at: 'put' | 'operation';
  /** How many requests are affected. Default: all. */
  times?: number;
}

/** The result of a script. */
export interface ScriptResult {
  readonly exitCode: number;
  readonly output?: string;
  readonly error?: string;
  /** Duration in simulated seconds. Default: as recorded. */
  readonly seconds?: number;
  /** Output by simulated second from the start; the instance view shows the latest. Default: none before the end. */
  readonly progress?: readonly { readonly at: number; readonly output?: string; readonly error?: string }[];
}

export interface ScriptCall {
  readonly script: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly protectedParameters: Readonly<Record<string, string>>;
  /** Body of a GET of the VM. */
  readonly vm: Json;
  readonly world: World;
}

export interface ComputeSettings {
  /** Sizes that the subscription cannot use: listed as restricted, rejected in a PUT. */
  restrictions: SizeRestriction[];
  shortages: Shortage[];
  /**
   * Quotas by name (`cores`, `lowPriorityCores`, a family), by `<region>/<name>` or `<subscription>/<region>/<name>`.
   * `used` is added to the usage of existing VMs.
   */
  quota: Record<string, { readonly limit?: number; readonly used?: number }>;
  /** Subscriptions (lower case) with the feature Microsoft.Compute/UseStandardSecurityType. */
  standardSecurityType: Set<string>;
  /** Subscriptions (lower case) in which a VM without a security type gets Trusted Launch (azure-cli#30728). */
  trustedLaunchByDefault: Set<string>;
  /** Subscriptions (lower case) with the feature Microsoft.Compute/EncryptionAtHost. */
  encryptionAtHost: Set<string>;
  /** Spot prices in US dollars an hour by size; a lower maximum is refused. */
  spotPrices: Record<string, number>;
  /** Provisioning failures after allocation, which leave a failed VM. The first match by name applies. */
  provisioning: {
    readonly vm?: RegExp;
    readonly failure: OperationFailure;
    /** Simulated seconds; default 1200 for Linux and 2400 for Windows. */
    readonly afterSeconds?: number;
    times?: number;
  }[];
  /** Simulated seconds from the end of the creation until the VM agent is ready; Infinity: never. */
  agentDelay: number;
  /** Simulated seconds for which the NIC of a failed creation is reserved. */
  nicReservation: number;
  serialLog: string | ((vm: Json) => string);
  runScript: (call: ScriptCall) => ScriptResult;
}

/** By default scripts take the recorded time, print nothing and end with the exit code in their text. */
export function settings(world: World): ComputeSettings {
  return world.extension('compute', () => ({
    restrictions: [],
    shortages: [],
    quota: {},
    standardSecurityType: new Set<string>(),
    trustedLaunchByDefault: new Set<string>(),
    encryptionAtHost: new Set<string>(),
    spotPrices: {},
    provisioning: [],
    // Recorded: ready 7 to 26 s after the creation (vm-expand-instance-view-2024.json, vm-instance-view.json).
    agentDelay: 10,
    nicReservation: 180,
    serialLog: '[    0.000000] Linux version 6.8.0-azure\n[    9.412345] cloud-init[812]: finished\n',
    runScript: ({ script }) => ({ exitCode: exitCodeOf(script), output: '', error: '' }),
  }));
}

/** An entry of `settings(world).provisioning`, with the text of errors.json. */
export function osProvisioningTimedOut(vm: string): OperationFailure {
  return {
    code: 'OSProvisioningTimedOut',
    message: `OS Provisioning for VM '${vm}' did not finish in the allotted time. The VM may still finish provisioning successfully. Please check provisioning state later. Also, make sure the image has been properly prepared (generalized).\r\n * Instructions for Windows: https://azure.microsoft.com/documentation/articles/virtual-machines-windows-upload-image/ \r\n * Instructions for Linux: https://azure.microsoft.com/documentation/articles/virtual-machines-linux-capture-image/ `,
  };
}

/**
 * The exit code of the first top-level `exit N`; 0 without one. An `exit` after a condition or in a block does not count,
 * because the simulator does not run scripts.
 */
export function exitCodeOf(script: string): number {
  for (const line of script.split(/\r?\n/)) {
    const code = /^(?:[^#|&{}()"'`]*;\s*)?exit\s+(\d+)\s*;?\s*(?:#.*)?$/.exec(line)?.[1];
    if (code !== undefined && !/\b(?:if|then|else|elif|for|while|until|do|case)\b/.test(line)) {
      return Number(code) % 256;
    }
  }
  return 0;
}
