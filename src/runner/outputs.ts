import * as core from '@actions/core';

/** The action's outputs, in the order of the README. */
export const outputNames = [
  'vm-id',
  'vm-name',
  'vm-instance-id',
  'vm-size',
  'subscription-id',
  'resource-group',
  'location',
  'zone',
  'spot',
  'image-version-id',
  'image-version',
  'nic-id',
  'nsg-id',
  'vnet-id',
  'subnet-id',
  'public-ip-id',
  'public-ip-address',
  'private-ip-address',
  'fqdn',
  'os-disk-id',
  'principal-id',
  'admin-username',
  'ssh-private-key-path',
  'ssh-command',
  'ssh-known-hosts',
  'script-exit-code',
  'script-stdout',
  'script-stderr',
  'outcome',
  'created',
  'deleted',
  'findings',
  'deployments',
  'result',
] as const;

export type OutputName = (typeof outputNames)[number];

export type PlainOutput = Exclude<OutputName, 'created' | 'deleted' | 'findings' | 'deployments' | 'result'>;

export const writeOutput = (name: OutputName, value: string): void => core.setOutput(name, value);

export const { env } = process;

export const cleanupStateKey = 'cleanup';
