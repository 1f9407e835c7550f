import { describe, expect, test } from '@jest/globals';
import type { ErrorContext } from '../../../src/errors/errors.ts';
import {
  type Case,
  armError,
  clientId,
  context,
  definitionId,
  expectExplained,
  explained,
  groupId,
  titlesOf,
  imageId,
  imageSubscription,
  imageTenant,
  named,
  otherTenant,
  subscription,
  vmTenant,
} from '../../support/azure-errors.ts';

const roleUrl = `${groupId}/providers/Microsoft.Authorization/roleAssignments/r1`;

const denial = (action: string, scope: string) =>
  armError(
    'AuthorizationFailed',
    `The client '${clientId}' with object id 'o' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
    403,
    scope,
  );

const versionRead = 'Microsoft.Compute/galleries/images/versions/read';
const groupRead = 'Microsoft.Resources/subscriptions/resourceGroups/read';

const cases: readonly Case[] = [
  [denial(versionRead, imageId), 'The app may not read the image', 'The app may not read the image.', imageTenant],
  [
    denial('Microsoft.Authorization/roleAssignments/write', roleUrl),
    'The app may not assign roles',
    'The app may not assign roles on resourceGroups/deploy-rg.',
  ],
  [
    denial(groupRead, groupId),
    'The resource group is missing, or the app may not read it',
    'Resource group deploy-rg does not exist, or the app has no role on it.',
    `az group create --subscription ${subscription} -n deploy-rg -l westeurope`,
    `az role assignment create --assignee ${clientId} --role Contributor --scope ${groupId}`,
  ],
  [
    armError(
      'RoleAssignmentUpdateNotPermitted',
      'Tenant ID, application ID, principal ID, and scope are not allowed to be updated.',
      400,
      roleUrl,
    ),
    'A stale role assignment blocks the new one',
    `az role assignment delete --ids ${roleUrl}`,
  ],
  [
    armError(
      'RoleDefinitionDoesNotExist',
      "The specified role definition with ID 'b24988ac6180' does not exist.",
      404,
      roleUrl,
    ),
    'The role definition does not exist',
    'Role definition b24988ac6180',
    `az role definition list --scope ${groupId}`,
  ],
];

test.each(named(cases))('explain %s', (_, error, title, ...quoted) => expectExplained(error, title, quoted));

describe('swapped tenants', () => {
  // Without `subscription-id` the action chooses the only subscription of `tenant-id`: here the image's.
  const known: ErrorContext = {
    ...context,
    tenantId: imageTenant,
    imageTenantId: vmTenant,
    subscriptionId: imageSubscription,
  };
  const inImageSubscription = `/subscriptions/${imageSubscription}/resourceGroups/deploy-rg`;

  test.each([
    ['403 on the resource group', denial(groupRead, inImageSubscription)],
    [
      '404 for the resource group',
      armError('ResourceGroupNotFound', "Resource group 'deploy-rg' could not be found.", 404, inImageSubscription),
    ],
  ])('are recognised by a %s in the subscription of the image', (_, error) => {
    expect(titlesOf(error, known)).toEqual(['tenant-id and image-tenant-id are swapped']);
    const { cause, fix } = explained(error, known);
    expect(cause).toMatch(/^`tenant-id` and `image-tenant-id` are swapped\./);
    expect(fix.join()).not.toMatch(/az role assignment create|az group create/);
  });

  test('are not suspected when both inputs name one tenant', () => {
    expect(titlesOf(denial(groupRead, inImageSubscription), { ...known, imageTenantId: imageTenant })).toEqual([
      'The resource group is missing, or the app may not read it',
    ]);
  });
});

describe('the role to grant', () => {
  const subnet = `${groupId}/providers/Microsoft.Network/virtualNetworks/v/subnets/s`;
  const registry = `${groupId}/providers/Microsoft.ContainerRegistry/registries/r`;
  const vm = `${groupId}/providers/Microsoft.Compute/virtualMachines/v`;
  const nat = `${groupId}/providers/Microsoft.Network/natGateways/n`;
  const ofSubscription = `/subscriptions/${subscription}`;

  test.each([
    [versionRead, imageId, 'Compute Gallery Image Reader', definitionId, imageTenant],
    [
      'Microsoft.Compute/galleries/images/read',
      definitionId,
      'Compute Gallery Image Reader',
      definitionId,
      imageTenant,
    ],
    ['Microsoft.Compute/virtualMachines/write', vm, 'Virtual Machine Contributor', groupId, vmTenant],
    ['Microsoft.Network/virtualNetworks/subnets/join/action', subnet, 'Virtual Machine Contributor', subnet, vmTenant],
    ['Microsoft.Network/virtualNetworks/write', subnet, 'Network Contributor', groupId, vmTenant],
    ['Microsoft.Network/natGateways/join/action', nat, 'Network Contributor', nat, vmTenant],
    ['Microsoft.Resources/subscriptions/resourcegroups/write', groupId, 'Contributor', ofSubscription, vmTenant],
    [groupRead, groupId, 'Contributor', groupId, vmTenant],
    ['Microsoft.Compute/register/action', ofSubscription, 'Contributor', ofSubscription, vmTenant],
    ['Microsoft.Compute/skus/read', ofSubscription, 'Reader', ofSubscription, vmTenant],
    [
      'Microsoft.ManagedIdentity/userAssignedIdentities/write',
      `${groupId}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i`,
      'Managed Identity Contributor',
      groupId,
      vmTenant,
    ],
    [
      'Microsoft.Authorization/roleAssignments/write',
      `${registry}/providers/Microsoft.Authorization/roleAssignments/x`,
      'Role Based Access Control Administrator',
      registry,
      vmTenant,
    ],
    ['Microsoft.Resources/tags/write', groupId, 'Tag Contributor', groupId, vmTenant],
    [
      'Microsoft.Unknown/things/write',
      `${groupId}/providers/Microsoft.Unknown/things/t`,
      'Contributor',
      groupId,
      vmTenant,
    ],
    [
      'Microsoft.Resources/subscriptions/read',
      `/subscriptions/${imageSubscription}`,
      'Reader',
      `/subscriptions/${imageSubscription}`,
      imageTenant,
    ],
  ])('for %s on %s is %s', (action, scope, role, on, tenant) => {
    const error = denial(action, scope);
    expect(titlesOf(error)).toHaveLength(1);
    const { fix, who } = explained(error);
    const name = role.includes(' ') ? `'${role}'` : role;
    expect(fix).toContain(`az role assignment create --assignee ${clientId} --role ${name} --scope ${on}`);
    expect(who).toContain(tenant);
  });
});

describe('LinkedAuthorizationFailed', () => {
  const linked = (action: string, scopes: string, ending = '') =>
    armError(
      'LinkedAuthorizationFailed',
      `The client 'x' with object id 'y' has permission to perform action 'Microsoft.Network/networkInterfaces/write' on scope '${groupId}'; however, it does not have permission to perform action(s) '${action}' on the ${scopes} or the linked scope(s) are invalid${ending}`,
      403,
    );

  test('grants a role on each scope, and names a tenant that no input names by its subscription', () => {
    const foreign =
      '/subscriptions/55555555-0000-4000-8000-000000000005/resourceGroups/n/providers/Microsoft.Network/networkSecurityGroups';
    const { fix, who, cause } = explained(
      linked(
        'Microsoft.Network/networkSecurityGroups/join/action',
        `'2' linked scope(s) '${foreign}/a,${foreign}/b'`,
        ' and is blocked by deny assignments',
      ),
    );
    expect(fix.filter((line) => line.startsWith('az role'))).toEqual(
      ['a', 'b'].map(
        (name) =>
          `az role assignment create --assignee ${clientId} --role 'Virtual Machine Contributor' --scope ${foreign}/${name}`,
      ),
    );
    expect(who).toContain('the tenant that owns subscription 55555555-0000-4000-8000-000000000005');
    expect(cause).toContain('A deny assignment blocks it.');
  });

  test('grants the role on the image definition in the image tenant', () => {
    const { fix, who } = explained(linked(versionRead, `linked scope(s) '${imageId}'`));
    expect(fix).toContain(
      `az role assignment create --assignee ${clientId} --role 'Compute Gallery Image Reader' --scope ${definitionId}`,
    );
    expect(who).toContain(`the image tenant (${imageTenant})`);
  });

  const unlinked = armError(
    'LinkedAuthorizationFailed',
    `The client '${clientId}' has permission to perform action '${versionRead}' on scope '${groupId}', however the current tenant '${vmTenant}' is not authorized to access linked subscription '${imageSubscription}'.`,
    403,
  );

  test('names the GUID of a tenant that an input names by its domain', () => {
    const { cause } = explained(unlinked, {
      ...context,
      imageTenantId: 'images.example',
      tenantGuids: new Map([['images.example', imageTenant]]),
    });
    expect(cause).toContain(`which the VM's tenant (${vmTenant}) does not own`);
    expect(cause).toContain(`\`image-tenant-id\` is images.example (${imageTenant}).`);
  });

  test.each([
    [
      'the token, when the image belongs to another tenant',
      { tokenTenant: imageTenant, owner: otherTenant },
      '`image-tenant-id` is the wrong tenant',
      `Set \`image-tenant-id\` to ${otherTenant}`,
    ],
    [
      'the role, when the image tenant refuses the read as well',
      { tokenTenant: imageTenant, owner: imageTenant, image: 'denied' as const },
      'The app has no role on the image.',
      "--role 'Compute Gallery Image Reader'",
    ],
    [
      'the version, when it no longer exists',
      { tokenTenant: imageTenant, image: 'absent' as const },
      'The image version no longer exists.',
      'Run the job again',
    ],
    [
      'neither, when the image can be read',
      { tokenTenant: imageTenant, image: 'readable' as const },
      'although the app can read the image',
      'az',
    ],
  ])('blames %s', (_, link, cause, fix) => {
    const explanation = explained(unlinked, { ...context, link });
    expect(explanation.cause).toContain(cause);
    expect(explanation.fix.join('\n')).toContain(fix === 'az' ? 'curl -si' : fix);
  });
});
