/** The custom roles of docs/setup.md, built from the permissions that `check` evaluates. */
import type { Feature } from '../../src/access/required-permissions.ts';
import { type CustomRole, customRole } from './custom-role.ts';

interface Role {
  /** File name in docs/roles. */
  readonly file: string;
  readonly name: string;
  readonly description: string;
  readonly features: readonly Feature[];
  /** The scope of its assignment. */
  readonly scope: string;
  /** The inputs that need it. */
  readonly when: string;
}

/** Roles that an administrator of the VM's tenant assigns as the workflow's inputs need them. */
export const roles: readonly Role[] = [
  {
    file: 'deploy.json',
    name: 'Cross-tenant VM deployer',
    description: 'Creates and deletes virtual machines with a network of their own',
    features: [
      'machine',
      'new interface',
      'new network',
      'new security group',
      'new public IP',
      'rerun',
      'check the group',
    ],
    scope: 'the resource group',
    when: 'always, instead of Contributor',
  },
  {
    file: 'deploy-into-given-network.json',
    name: 'Cross-tenant VM deployer (given network)',
    description: 'Creates and deletes virtual machines in an existing network, without public IPs',
    features: ['machine', 'new interface', 'new security group', 'names of the deployment', 'rerun', 'check the group'],
    scope: 'the resource group',
    when: '`nic-id`, or `subnet-id` without a new public IP, instead of the first',
  },
  {
    file: 'use-given-network.json',
    name: 'Cross-tenant VM network user',
    description: 'Attaches virtual machines to an existing network',
    features: ['given subnet', 'given security group', 'given public IP', 'given interface'],
    scope: 'what is given, or its resource group',
    when: '`subnet-id`, `nic-id`, `network-security-group-id`, or `public-ip` with an ID',
  },
  {
    file: 'run-scripts.json',
    name: 'Cross-tenant VM script runner',
    description: 'Waits for the VM agent and runs scripts in the guest',
    features: ['agent', 'script'],
    scope: 'the resource group',
    when: '`run-script`, `wait-for: agent`',
  },
  {
    file: 'create-identities.json',
    name: 'Cross-tenant VM identity creator',
    description: 'Creates user-assigned identities and gives them to virtual machines',
    features: ['new identity'],
    scope: 'the resource group',
    when: '`identity` with a plain name',
  },
  {
    file: 'use-given-identities.json',
    name: 'Cross-tenant VM identity user',
    description: 'Gives existing user-assigned identities to virtual machines',
    features: ['given identity', 'given identity with roles'],
    scope: 'the identity',
    when: '`identity` with a resource ID',
  },
  {
    file: 'grant-roles.json',
    name: 'Cross-tenant VM role granter',
    description: 'Grants roles to the identities of virtual machines; to be assigned with a condition only',
    features: ['role assignment'],
    scope: 'what the roles are granted on, with a condition (below)',
    when: '`role-assignments`',
  },
  {
    file: 'find-role-assignments.json',
    name: 'Cross-tenant VM role assignment reader',
    description: 'Reads role assignments, to find those of a VM that is deleted',
    features: ['find role assignments'],
    scope: 'the subscription of what the roles are granted on',
    when: '`role-assignments`, if `operation: delete` or `sweep` deletes the VM',
  },
  {
    file: 'check-beforehand.json',
    name: 'Cross-tenant VM preflight reader',
    description: 'Reads sizes, quotas, registrations and Marketplace terms',
    features: ['check the subscription'],
    scope: 'the subscription',
    when: 'optional: with it, `check` covers quota, sizes and policies, and `create` skips unavailable sizes',
  },
  {
    file: 'create-resource-groups.json',
    name: 'Cross-tenant VM resource group creator',
    description: 'Creates resource groups',
    features: ['new resource group'],
    scope: 'the subscription',
    when: 'a resource group that does not exist; `deploy.json` must then be assigned on the subscription. Create the group beforehand instead',
  },
];

/** Placeholder for the assignable scope; setup.sh replaces it. */
export const scopePlaceholder = '/subscriptions/<subscription-id>';

export function roleDefinition({ name, description, features }: Role): CustomRole {
  return customRole(features, { name, description, scopes: [scopePlaceholder] });
}

export function rolesTable(): string {
  return [
    '| role definition | assigned on | needed for |',
    '|---|---|---|',
    ...roles.map(({ file, scope, when }) => `| [\`${file}\`](roles/${file}) | ${scope} | ${when} |`),
  ].join('\n');
}
