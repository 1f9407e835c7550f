import type { RunnerValues } from '../../src/inputs/input-reader.ts';
import {
  type DeployInputs,
  inputDefaults,
  type InputName,
  type Inputs,
  InvalidInputs,
} from '../../src/inputs/inputs.ts';
import { readInputs } from '../../src/inputs/read-inputs.ts';

export type Given = Partial<Record<InputName, string>>;

export const guid = (digit: string) => '00000000-0000-0000-0000-000000000000'.replaceAll('0', digit);

export const subscription = `/subscriptions/${guid('1')}`;

export const group = `${subscription}/resourceGroups/deploy-rg`;

export const network = `${group}/providers/Microsoft.Network`;

export const subnetId = `${network}/virtualNetworks/v/subnets/s`;

export const nicId = `${network}/networkInterfaces/n`;

export const nsgId = `${network}/networkSecurityGroups/g`;

export const publicIpId = `${network}/publicIPAddresses/p`;

export const identityId = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i`;

export const registry = `${group}/providers/Microsoft.ContainerRegistry/registries/r`;

export const imageId = `${group}/providers/Microsoft.Compute/galleries/images/images/linux/versions/1.0.0`;

export const ed25519 = `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(32, 7))} me, at home`;

export const bare = `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(32, 8))}`;

export const other = `ssh-ed25519 ${wire('ssh-ed25519', Buffer.alloc(32, 9))}`;

export const rsa = `ssh-rsa ${wire('ssh-rsa', Buffer.of(3), Buffer.alloc(256, 255))} you, on the road`;

export const least: Given = {
  'client-id': guid('2'),
  'client-secret': 'not-a-real-secret',
  'tenant-id': guid('3'),
  'image-tenant-id': guid('4'),
  'resource-group': 'deploy-rg',
  'image-id': imageId,
};

export const env = {
  GITHUB_RUN_ID: '77',
  GITHUB_JOB: 'build',
  GITHUB_WORKSPACE: '/workspace',
  GITHUB_REPOSITORY: 'octo/repo',
};

/** Length-prefixed fields in base64, as in a public key. */
export function wire(...fields: readonly (string | Buffer)[]): string {
  const parts = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.length);
    return [length, Buffer.from(field)];
  });
  return Buffer.concat(parts).toString('base64');
}

export function runnerWith(given: Partial<RunnerValues> = {}): RunnerValues {
  return { env, readFile: () => undefined, realPath: (path) => path, mask: () => {}, ...given };
}

/** Reads as the action does: what is not given has its default, unless it is given as an empty string. */
export function read(given: Given, runner: Partial<RunnerValues> = {}): Inputs {
  const raw: Record<string, string> = { ...inputDefaults, 'vm-name': 'vm-77-build-0*', ...given };
  return readInputs((name) => raw[name] ?? '', runnerWith(runner));
}

export function readDeployment(given: Given, runner: Partial<RunnerValues> = {}): DeployInputs {
  const inputs = read({ ...least, ...given }, runner);
  if (inputs.operation !== 'create' && inputs.operation !== 'check') throw new Error('not a deployment');
  return inputs;
}

export function refusal(given: Given, runner: Partial<RunnerValues> = {}): InvalidInputs {
  try {
    read(given, runner);
  } catch (error) {
    if (error instanceof InvalidInputs) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** The issues of the minimal inputs with these changes. */
export function issuesOf(given: Given, runner: Partial<RunnerValues> = {}): readonly string[] {
  return refusal({ ...least, ...given }, runner).issues.map(({ input, message }) => `${input}: ${message}`);
}
