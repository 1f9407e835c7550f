import type { Environment } from '../azure/clouds.ts';
import type { ImageReference, ResourceId } from '../azure/resource-id.ts';
import type { MergePatch } from '../lib/json.ts';

/** How the app authenticates. Token requests to all tenants use the same credential. */
export type ClientCredential =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'certificate'; readonly pem: string }
  | { readonly kind: 'oidc'; readonly audience?: string };

export type CleanupPolicy = 'never' | 'on-failure' | 'always';

/** What every operation needs. */
export interface CommonInputs {
  readonly clientId: string;
  readonly credential: ClientCredential;
  readonly tenantId: string;
  readonly environment: Environment;
  readonly subscriptionId?: string;
  readonly resourceGroup: string;
  /** Sent when a change-safety policy asks for a policy token. */
  readonly changeReference?: string;
  readonly timeoutMinutes: number;
  readonly summary: boolean;
}

export interface InboundRule {
  readonly fromPort: number;
  readonly toPort: number;
  readonly protocol: 'Tcp' | 'Udp' | '*';
  /** CIDR, single address, service tag or `*`. */
  readonly source: string;
}

export type PublicIp =
  | { readonly kind: 'none' }
  | { readonly kind: 'given'; readonly id: ResourceId }
  | { readonly kind: 'new'; readonly dnsLabel?: string };

export type Nsg =
  | { readonly kind: 'given'; readonly id: ResourceId }
  | { readonly kind: 'new'; readonly inbound: readonly InboundRule[] };

/** Where the machine is attached. A given interface rules out every other choice here. */
export type NetworkChoice =
  | { readonly kind: 'given-nic'; readonly nicId: ResourceId }
  | {
      readonly kind: 'new-nic';
      readonly subnet:
        | { readonly kind: 'given'; readonly id: ResourceId }
        | { readonly kind: 'new'; readonly addressPrefix: string; readonly subnetPrefix: string };
      readonly nsg: Nsg;
      readonly publicIp: PublicIp;
      readonly privateIpAddress?: string;
      readonly acceleratedNetworking: boolean;
    };

export interface RoleRequest {
  /** Name of a role, or the GUID of its definition in lower case. */
  readonly role: string;
  /** Full Resource Manager ID of the scope. */
  readonly scope: string;
}

export interface GuestScript {
  readonly text: string;
  readonly timeoutMinutes: number;
  readonly parameters: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
}

export type OverrideTarget = 'vm' | 'nic' | 'vnet' | 'nsg' | 'public-ip';

/** Inputs of `create` and `check`: the same deployment, carried out or only asked about. */
export interface DeployInputs extends CommonInputs {
  readonly operation: 'create' | 'check';
  readonly cleanup: CleanupPolicy;
  readonly ifExists: 'keep' | 'replace' | 'fail';
  readonly waitFor: 'accepted' | 'provisioned' | 'agent';
  readonly imageTenantId: string;
  readonly auxiliaryTenantIds: readonly string[];
  readonly location?: string;
  readonly expiresAfterSeconds?: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly image: ImageReference;
  readonly imageWaitMinutes: number;
  readonly vmName: string;
  /** Empty: the default size for the image's architecture. */
  readonly sizes: readonly string[];
  readonly zones: readonly string[];
  readonly spot?: {
    readonly maxPrice: number;
    readonly evictionPolicy: 'Delete' | 'Deallocate';
    /** A regular VM is created if no size and zone is available as Spot. */
    readonly isOptional?: true;
  };
  readonly adminUsername: string;
  readonly adminPassword?: string;
  readonly sshPublicKeys: readonly string[];
  readonly computerName?: string;
  readonly osType?: 'Linux' | 'Windows';
  readonly osDiskSizeGb?: number;
  readonly osDiskType?: string;
  readonly dataDiskSizesGb: readonly number[];
  readonly encryptionAtHost: boolean;
  /** Base64, as Azure takes it; at most 65,535 bytes before encoding. */
  readonly customData?: string;
  /** Base64 as well; at most 64 KiB before encoding. */
  readonly userData?: string;
  readonly securityType?: 'Standard' | 'TrustedLaunch' | 'ConfidentialVM';
  readonly licenseType?: string;
  readonly identity: {
    readonly system: boolean;
    readonly given: readonly ResourceId[];
    /** Names of user-assigned identities in the resource group, created if missing. */
    readonly named: readonly string[];
  };
  readonly roleAssignments: readonly RoleRequest[];
  readonly script?: GuestScript;
  readonly overrides: Readonly<Partial<Record<OverrideTarget, MergePatch>>>;
  readonly network: NetworkChoice;
}

export interface DeleteInputs extends CommonInputs {
  readonly operation: 'delete';
  readonly vmName: string;
}

export interface SweepInputs extends CommonInputs {
  readonly operation: 'sweep';
  readonly githubToken?: string;
}

export interface ListInputs extends CommonInputs {
  readonly operation: 'list';
  /** Lists only VMs created from this definition or version. */
  readonly image?: ImageReference;
}

export type Inputs = DeployInputs | DeleteInputs | SweepInputs | ListInputs;

/**
 * A test holds this table equal to action.yml. The code needs it because an empty value means "not given", and a value equal
 * to its default contradicts nothing. `vm-name` and `github-token` have expressions as defaults, which the runner fills in.
 */
export const inputDefaults = {
  'client-id': '',
  'client-secret': '',
  'client-certificate': '',
  'tenant-id': '',
  'image-tenant-id': '',
  operation: 'create',
  cleanup: 'on-failure',
  'if-exists': 'keep',
  'timeout-minutes': '60',
  'wait-for': 'provisioned',
  'subscription-id': '',
  'resource-group': '',
  location: '',
  'expires-after': '',
  tags: '',
  'image-id': '',
  'image-wait-minutes': '0',
  'vm-name': '',
  'vm-size': '',
  zone: '',
  spot: 'false',
  'admin-username': 'azureuser',
  'admin-password': '',
  'ssh-public-key': '',
  'os-disk-size-gb': '',
  'os-disk-type': '',
  'data-disk-sizes-gb': '',
  'encryption-at-host': 'false',
  'custom-data': '',
  'custom-data-file': '',
  'security-type': '',
  identity: '',
  'role-assignments': '',
  'subnet-id': '',
  'nic-id': '',
  'network-security-group-id': '',
  'public-ip': 'true',
  'dns-label': '',
  'allow-inbound': '',
  'run-script': '',
  'run-script-file': '',
  'run-script-timeout-minutes': '30',
  'run-script-parameters': '',
  'run-script-secrets': '',
  'auxiliary-tenant-ids': '',
  environment: 'azurecloud',
  audience: '',
  'change-reference': '',
  summary: 'true',
  'github-token': '',
  'os-type': '',
  'computer-name': '',
  'max-price': '-1',
  'eviction-policy': 'Delete',
  'license-type': '',
  'user-data': '',
  'address-prefix': '192.168.0.0/16',
  'subnet-prefix': '192.168.1.0/24',
  'accelerated-networking': 'false',
  'private-ip-address': '',
  overrides: '',
} as const;

export type InputName = keyof typeof inputDefaults;

/** The names of all inputs, as in action.yml and in its order. */
export const inputNames = Object.keys(inputDefaults) as readonly InputName[];

/** One mistake in one input. The message never contains a secret. */
export interface InputIssue {
  readonly input: string;
  readonly message: string;
}

/** All mistakes in the inputs, found before any request. */
export class InvalidInputs extends Error {
  override readonly name = 'InvalidInputs';
  readonly issues: readonly InputIssue[];

  constructor(issues: readonly InputIssue[], note?: string) {
    const count = issues.length === 1 ? 'Invalid input' : `${issues.length} invalid inputs`;
    const lines = issues.map(({ input, message }) => `- ${input}: ${message}`);
    super([`${count}. No request was sent to Azure.`, ...lines, ...(note === undefined ? [] : [note])].join('\n'));
    this.issues = issues;
  }
}
