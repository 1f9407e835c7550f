import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { documentedErrors } from '../../../scripts/docs/documented-errors.ts';
import { catalogue, explain } from '../../../src/error-catalog/explain.ts';
import type { ErrorContext, Explanation } from '../../../src/errors/action-error.ts';
import type { AzureErrorInfo } from '../../../src/errors/azure-error.ts';
import { parseErrorResponse } from '../../../src/errors/parse-error-response.ts';

interface Recorded {
  readonly code: string;
  readonly httpStatus: number;
  readonly body: unknown;
}

const recorded = JSON.parse(
  readFileSync(new URL('../../fixtures/errors.json', import.meta.url), 'utf8'),
) as readonly Recorded[];

const vmTenant = '22222222-0000-4000-8000-000000000002';
const imageTenant = '11111111-0000-4000-8000-000000000001';
const subscription = '33333333-0000-4000-8000-000000000003';
const imageSubscription = '44444444-0000-4000-8000-000000000004';
const clientId = 'cccccccc-0000-4000-8000-00000000000c';
const definitionId = `/subscriptions/${imageSubscription}/resourceGroups/gallery-rg/providers/Microsoft.Compute/galleries/images/images/linux`;
const imageId = `${definitionId}/versions/1.0.0`;
const groupId = `/subscriptions/${subscription}/resourceGroups/deploy-rg`;

const situation: ErrorContext = {
  clientId,
  tenantId: vmTenant,
  imageTenantId: imageTenant,
  subscriptionId: subscription,
  resourceGroup: 'deploy-rg',
  location: 'westeurope',
  vmName: 'vm-1',
  vmSize: 'Standard_D2s_v5',
  imageId,
};

const vmUrl = `https://management.azure.com${groupId}/providers/Microsoft.Compute/virtualMachines/vm-1?api-version=1`;

function entraUrl(tenant: string): string {
  return `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`;
}

function faultOf(
  body: unknown,
  status = 400,
  url = vmUrl,
  headers: Record<string, string> = {},
): AzureErrorInfo {
  const bodyText = body === null ? '' : JSON.stringify(body);
  return parseErrorResponse({ method: 'PUT', url, status, headers: (name) => headers[name], bodyText });
}

function arm(code: string, message: string, status = 400, url = vmUrl): AzureErrorInfo {
  return faultOf({ error: { code, message } }, status, url);
}

function entra(code: string, message: string, tenant = vmTenant): AzureErrorInfo {
  return faultOf(
    { error: 'invalid_client', error_description: `${code}: ${message}` },
    401,
    entraUrl(tenant),
  );
}

function explained(fault: AzureErrorInfo, given: ErrorContext = situation): Explanation {
  const explanation = explain(fault, given);
  if (!explanation) throw new Error(`${fault.code} is not explained`);
  return explanation;
}

function wordsOf({ cause, who, fix }: Explanation): string {
  return [cause, who, ...fix].join('\n');
}

function idsOf(fault: AzureErrorInfo): string[] {
  return catalogue.filter(({ match }) => match(fault)).map(({ id }) => id);
}

/** Whole, and without holes. */
function expectComplete({ cause, who, fix }: Explanation): void {
  for (const words of [cause, who, ...fix]) {
    expect(words.trim()).not.toBe('');
    expect(words).not.toMatch(/undefined|NaN|\[object|\(\)/);
  }
  expect(fix.length).toBeGreaterThan(0);
}

/** In the order of errors.json: its code, the entry that explains it, and what must be quoted from the message. */
const expected: readonly (readonly [code: string, id: string, ...quoted: readonly string[]])[] = [
  ['AADSTS7000215', 'secret-wrong', 'a8fdfbd0-da97-42d9-8f1a-fd6a7cb650b4', `--id ${clientId}`],
  ['AADSTS7000222', 'secret-expired', 'xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx', `--id ${clientId}`],
  [
    'AADSTS700016',
    'app-not-in-tenant',
    `/${vmTenant}/adminconsent?client_id=22222222-f9fb-4b76-a853-222222222222`,
    'az ad sp create --id 22222222-f9fb-4b76-a853-222222222222',
  ],
  ['AADSTS90002', 'tenant-not-found', '12345678-1234-1234-1234-123456789012'],
  ['AADSTS900023', 'tenant-malformed', '"contoso"'],
  [
    'AADSTS700213',
    'federated-subject',
    '"subject":"repo:RMI-PACTA/workflow.transition.monitor:ref:refs/heads/update-scenario-es"',
    'repo:RMI-PACTA@<owner-id>/workflow.transition.monitor@<repository-id>:ref:refs/heads/update-scenario-es',
  ],
  ['AADSTS700211', 'federated-issuer', '"issuer":"https://token.actions.githubusercontent.com"'],
  ['AADSTS700212', 'federated-audience', 'https://github.com/contoso'],
  [
    'AADSTS70021',
    'federated-none-matching',
    '"subject":"repo:fbomb111/parallel:ref:refs/heads/main"',
    '"issuer":"https://token.actions.githubusercontent.com"',
  ],
  ['AADSTS700024', 'assertion-expired', '2023-08-01T11:08:01.5274809Z', '2023-08-01T10:28:26.0000000Z'],
  ['AADSTS700027', 'certificate-unknown', `--id ${clientId} --cert @cert.pem`],
  [
    'AADSTS7000229',
    'no-service-principal',
    '/11111111-1111-1111-1111-111111111111/adminconsent?client_id=632aab43-dad1-485c-80ff-636b9dfdc58e',
  ],
  ['AADSTS50034', 'user-sign-in', clientId],
  [
    'InvalidAuthenticationTokenTenant',
    'token-of-wrong-tenant',
    '54826b22-38d6-4fb2-bad9-b7b93a3e9c5a',
    '72f988bf-86f1-41af-91ab-2d7cd011db47',
  ],
  ['ExpiredAuthenticationToken', 'token-expired', '3/19/2023 8:55:46 AM', '3/19/2023 8:55:57 AM'],
  ['InvalidAuthenticationToken', 'token-without-principal', `az ad sp create --id ${clientId}`],
  ['InvalidAuthenticationToken (auxiliary)', 'token-refused', imageTenant, vmTenant],
  [
    'LinkedAuthorizationFailed',
    'other-tenant-not-linked',
    '54826b22-38d6-4fb2-bad9-b7b93a3e9c5a',
    '1c638cf4-608f-4ee6-b680-c329e824c3a8',
    'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
  ],
  [
    'LinkedAuthorizationFailed',
    'image-tenant-not-linked',
    '77f54315-0000-0000-0000-000000000000',
    'e6b5053b-4c38-4475-a835-a025aeb3d8c7',
    imageTenant,
  ],
  [
    'LinkedAuthorizationFailed',
    'linked-scope-denied',
    '--role "Managed Identity Operator" --scope /subscriptions/xxxx/resourcegroups/elephant/providers/Microsoft.ManagedIdentity/userAssignedIdentities/elephant',
  ],
  [
    'AuthorizationFailed',
    'denied',
    'Microsoft.Authorization/policyDefinitions/error_policy/read',
    '--scope /providers/Microsoft.Authorization/policyDefinitions/test',
  ],
  [
    'GalleryImageNotFound',
    'image-not-in-region',
    'name=<region>',
    '-r <gallery> -i <definition> -e <version>',
  ],
  [
    'NotFound / ResourceNotFound (image version)',
    'image-not-found',
    '<gallery>/images/<definition>/versions/<version>',
    '-g <rg> -r <gallery> -i <definition>',
  ],
  ['NotFound (no latest)', 'image-no-latest', '<image definition id>'],
  ['image version being created', 'image-being-created', imageId],
  ['InvalidParameter (osProfile not allowed)', 'os-profile-not-allowed', definitionId],
  ['InvalidParameter (osProfile missing)', 'os-profile-missing', definitionId],
  ['VMMarketplaceInvalidInput', 'plan-missing', 'scott-NCv3-vm'],
  [
    'ResourcePurchaseValidationFailed',
    'terms-not-accepted',
    '--publisher nvidia --offer pytorch_from_nvidia --plan ngc-pytorch-version-21-11-0 --subscription 9630d625-8e9f-445e-acd8-85b3083e766e',
  ],
  [
    'MarketplacePurchaseEligibilityFailed',
    'marketplace-not-eligible',
    'AccountSetupError',
    'https://aka.ms/orgprofile',
  ],
  ['OSProvisioningTimedOut', 'os-provisioning-timed-out', '-n dsvm'],
  ['OSProvisioningClientError', 'os-provisioning-keeps-failing', imageId],
  ['AllocationFailed', 'no-capacity', 'Standard_D2s_v5', 'westeurope'],
  ['ZonalAllocationFailed', 'no-capacity-in-zone', 'Standard_D2s_v5', '`zone`'],
  [
    'OverconstrainedAllocationRequest',
    'too-many-constraints',
    'Networking Constraints (such as Accelerated Networking or IPv6); VM Size',
  ],
  [
    'SkuNotAvailable',
    'size-not-available',
    'Standard_B2s is not offered',
    '-l westeurope --size Standard_B2s',
  ],
  [
    'QuotaExceeded',
    'quota',
    'Total Regional Cores in westus: 9 of 100 are in use and 101 more',
    'limit of 110',
    '-l westus',
  ],
  [
    'OperationNotAllowed (quota)',
    'quota',
    'Total Regional Cores in CentralIndia: 4 of 4 are in use and 2 more',
    'limit of 6',
  ],
  ['PropertyChangeNotAllowed', 'vm-differs', 'imageReference', '-n vm-1'],
  ['BadRequest (security type)', 'security-type-of-managed-image', 'TrustedLaunch'],
  ['BadRequest (TrustedLaunch, image)', 'trusted-launch-image', definitionId],
  ['BadRequest (Gen1 and UEFI)', 'uefi-on-generation-1', definitionId],
  ['BadRequest (size and security type)', 'size-and-security-type', 'Standard_DC2as_v5', 'none given'],
  ['BadRequest (hypervisor generation)', 'hypervisor-generation', 'Standard_D2_v2', 'generation 2'],
  ['InvalidParameter (adminUsername)', 'admin-username', '`admin-username`'],
  ['InvalidParameter (adminPassword)', 'admin-password', '8-123 characters'],
  ['InvalidParameter (ssh key)', 'ssh-key', '`ssh-public-key`'],
  ['LinkedInvalidPropertyId', 'id-malformed', '"myIdentity"'],
  ['VMExtensionProvisioningError', 'extension-failed', 'AzureDiskEncryption', '-n vm-1'],
  ['PublicIPCountLimitReached', 'public-ip-quota', 'may have 10 public IP addresses'],
  ['IPv4BasicSkuPublicIpCountLimitReached', 'basic-public-ip', '`public-ip`'],
  ['InUseNetworkSecurityGroupCannotBeDeleted', 'still-in-use', '/networkInterfaces/cli-test-vm000002VMNic '],
  ['PublicIPAddressCannotBeDeleted', 'still-in-use', '/networkInterfaces/cli-test-vm000002VMNic '],
  ['InUseSubnetCannotBeDeleted', 'still-in-use', '/networkInterfaces/cli-test-vm000002VMNic '],
  ['NicReservedForAnotherVm', 'nic-reserved', '/virtualMachines/<vm>', '180 seconds'],
  ['RetryableError', 'resource-busy', '/virtualNetworkGateways/vnet-gateway-name', '12 s'],
  ['AnotherOperationInProgress', 'resource-busy', '5d66a0e0-e08b-4ecf-aee5-0ff5a461962b'],
  [
    'RequestDisallowedByPolicy',
    'policy',
    '"Network interfaces should not have public IPs" denies examplenic1207',
    '--name 1111aa2222bb3333cc4444dd',
    '`public-ip: false`',
  ],
  [
    'ScopeLocked',
    'locked',
    '/virtualNetworks/cli.lock.rsrc000002',
    '-g cli_test_readonly_resource_lock000001',
  ],
  ['ResourceGroupNotFound', 'group-not-found', '-n my-rg'],
  ['MissingSubscriptionRegistration', 'provider-not-registered', '--namespace Microsoft.RecoveryServices'],
  ['RoleAssignmentExists', 'role-exists', 'has this role'],
  [
    'PrincipalNotFound',
    'principal-not-found',
    'e92c765f7f4f4794afb92012f91f0fa3',
    '54826b22-38d6-4fb2-bad9-b7b93a3e9c5a',
  ],
  [
    'OperationNotAllowed / TooManyRequests (compute)',
    'compute-limit',
    'HighCostGet30Min: 1238 requests where 800 are allowed',
  ],
  ['429 (Resource Manager)', 'throttled', clientId, subscription],
  ['BadGatewayConnection', 'gateway-fault', 'Microsoft.Compute'],
  ['InternalServerError', 'server-fault', '5336a00c-2d41-4e8d-a981-d13dccfbe3eb'],
  [
    'OperationNotAllowed (disk attached)',
    'disk-attached',
    'cli-test-vm000002_disk1_639ab90f6aa7437f8b7e4075894fff70',
    '/virtualMachines/cli-test-vm000002 ',
  ],
];

describe('every known error of Azure', () => {
  test('the table below is about the errors on file, in their order', () => {
    expect(expected.map(([code]) => code)).toEqual(recorded.map(({ code }) => code));
  });

  test.each(expected.map((row, index) => [index, ...row] as const))(
    '%i %s is %s',
    (index, code, id, ...quoted) => {
      const { body = null, httpStatus = 0 } = recorded[index] ?? {};
      const fault = faultOf(body, httpStatus, code.startsWith('AADSTS') ? entraUrl(vmTenant) : vmUrl);
      expect(idsOf(fault)).toEqual([id]);
      const explanation = explained(fault);
      expectComplete(explanation);
      for (const words of quoted) expect(wordsOf(explanation)).toContain(words);
      // Nothing known but the answer: placeholders, no holes.
      expectComplete(explained(fault, {}));
    },
  );
});

/** Errors that are not on file. The source of each wording stands in the catalogue. */
const further: readonly (readonly [fault: AzureErrorInfo, id: string, ...quoted: readonly string[]])[] = [
  [
    arm(
      'NoRegisteredProviderFound',
      "No registered resource provider found for location 'mars' and API version '2026-04-01' for type 'virtualMachines'. The supported api-versions are '2025-04-01, 2026-04-01'. The supported locations are 'westeurope'.",
      400,
    ),
    'api-version-unknown',
    'mars does not offer virtualMachines, or is no region of this cloud',
  ],
  [
    arm(
      'NoRegisteredProviderFound',
      "No registered resource provider found for location 'southwest' and API version '2026-04-01' for type 'virtualMachines'. The supported api-versions are '2099-01-01'. The supported locations are 'southwest'.",
      400,
    ),
    'api-version-unknown',
    'none of those that are known for virtualMachines in southwest will do',
    'az provider show --namespace Microsoft.Compute',
  ],
  [
    entra('AADSTS7000112', "Application 'abc'(shipper) is disabled."),
    'app-disabled',
    'app abc is disabled',
    `az login --tenant ${vmTenant}`,
    `az ad sp update --id ${clientId}`,
  ],
  [
    entra('AADSTS53003', 'Access has been blocked by Conditional Access policies.', imageTenant),
    'conditional-access',
    `the image tenant (${imageTenant})`,
  ],
  [
    entra(
      'AADSTS7002138',
      "No matching federated identity record found for presented assertion subject 'repo:Octo/Ship:environment:Prod'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison.",
    ),
    'federated-subject-case',
    '"subject":"repo:Octo/Ship:environment:Prod"',
  ],
  [
    entra('AADSTS70025', "The client 'x'(Ship) has no configured federated identity credentials."),
    'federated-none-configured',
    'az ad app federated-credential create',
  ],
  [
    arm('InvalidAuthenticationToken', 'The access token is invalid.', 401),
    'token-refused',
    vmTenant,
    imageTenant,
  ],
  [
    arm(
      'SubscriptionNotFound',
      "The subscription 'c23fa617-d0cf-4c92-a529-5e444a4cc1fa' could not be found.",
      404,
    ),
    'subscription-not-found',
    'c23fa617-d0cf-4c92-a529-5e444a4cc1fa',
  ],
  [
    arm(
      'ReadOnlyDisabledSubscription',
      `The subscription '${subscription}' is disabled and therefore marked as read only.`,
      409,
    ),
    'subscription-disabled',
    subscription,
    vmTenant,
  ],
  [
    arm(
      'RoleAssignmentUpdateNotPermitted',
      'Tenant ID, application ID, principal ID, and scope are not allowed to be updated.',
      400,
      `${groupId}/providers/Microsoft.Authorization/roleAssignments/r1`,
    ),
    'role-of-another',
    `az role assignment delete --ids ${groupId}/providers/Microsoft.Authorization/roleAssignments/r1`,
  ],
  [
    arm(
      'ParentResourceNotFound',
      "Can not perform requested operation on nested resource. Parent resource 'images/linux' not found.",
      404,
      imageId,
    ),
    'image-not-found',
    'There is no images/linux:',
    '-r images -i linux',
  ],
  [
    arm(
      'VMAgentStatusCommunicationError',
      "VM 'vm-9' has not reported status for VM agent or extensions.",
      200,
    ),
    'agent-silent',
    '-n vm-9',
  ],
  [
    arm(
      'Conflict',
      'Run command extension execution is in progress. Please wait for completion before invoking a run command.',
      409,
    ),
    'script-running',
    '--vm-name vm-1',
  ],
  [
    arm('NotFound', `There is no latest image version exists for "${definitionId}"`, 404),
    'image-no-latest',
    definitionId,
  ],
  [arm('PreconditionFailed', 'The condition is not met.', 412), 'vm-made-meanwhile', 'VM vm-1 in deploy-rg'],
  [
    arm('OverconstrainedZonalAllocationRequest', 'Allocation failed.', 200),
    'too-many-constraints',
    'Standard_D2s_v5',
  ],
  [
    arm(
      'LocationNotAvailableForResourceType',
      "The provided location 'WUS' is not available for resource type 'Microsoft.Compute/virtualMachines'. List of available regions for the resource type is 'eastus,westeurope'.",
    ),
    'region-not-offered',
    'WUS does not offer Microsoft.Compute/virtualMachines',
    'Azure offers: eastus, westeurope.',
  ],
  [
    arm(
      'LocationNotAvailableForResourceGroup',
      "The provided location 'germanynorth' is not available for resource group. List of available regions is 'centralus,eastasia'.",
    ),
    'region-not-offered',
    'germanynorth does not offer resource groups',
    'centralus, eastasia',
  ],
  [
    arm(
      'InvalidResourceGroupLocation',
      "Invalid resource group location 'eastus'. The Resource group already exists in location 'westus'.",
      409,
    ),
    'group-elsewhere',
    'in westus meanwhile; it was asked for in eastus',
  ],
  [
    arm(
      'DnsRecordInUse',
      'DNS record ship.westeurope.cloudapp.azure.com is already used by another public IP.',
    ),
    'dns-label-taken',
    'ship.westeurope.cloudapp.azure.com belongs',
  ],
  [
    arm(
      'InvalidResourceReference',
      `Resource ${groupId}/providers/Microsoft.Network/virtualNetworks/v/subnets/s referenced by resource ${groupId}/providers/Microsoft.Network/networkInterfaces/n was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
    ),
    'reference-not-found',
    `az resource show --ids ${groupId}/providers/Microsoft.Network/virtualNetworks/v/subnets/s`,
    '/networkInterfaces/n.',
  ],
  [
    arm(
      'NicInUse',
      `Network Interface ${groupId}/providers/Microsoft.Network/networkInterfaces/n is used by existing resource ${groupId}/providers/Microsoft.Compute/virtualMachines/v. In order to delete the network interface, it must be dissociated from the resource.`,
    ),
    'still-in-use',
    `while ${groupId}/providers/Microsoft.Compute/virtualMachines/v uses it`,
  ],
  [
    arm(
      'ReferencedResourceNotProvisioned',
      'Cannot proceed with operation because resource x used by resource y is not in Succeeded state.',
      429,
    ),
    'resource-busy',
    'tries again',
  ],
  [faultOf(null, 503), 'gateway-fault', 'at Azure or at a proxy'],
  [
    { ...faultOf(null, 0), code: 'ENOTFOUND', message: 'login.example could not be reached' },
    'unreachable',
    'login.example could not be reached',
    'https://management.azure.com',
  ],
  [
    { ...faultOf(null, 0), code: 'SELF_SIGNED_CERT_IN_CHAIN', message: 'self-signed certificate' },
    'certificate-not-trusted',
    'NODE_EXTRA_CA_CERTS',
  ],
];

test.each(further.map((row) => [row[0].code || `HTTP ${row[0].status}`, ...row] as const))(
  '%s is explained too',
  (_, fault, id, ...quoted) => {
    expect(idsOf(fault)).toEqual([id]);
    const explanation = explained(fault);
    expectComplete(explanation);
    for (const words of quoted) expect(wordsOf(explanation)).toContain(words);
    expectComplete(explained(fault, {}));
  },
);

describe('what one code means is told by its text', () => {
  test.each([
    ['OperationNotAllowed', 'Some refusal of its own.', 409],
    ['OperationNotAllowed', 'The disk is attached elsewhere.', 409],
    ['BadRequest', 'Something else is wrong.', 400],
    ['InvalidParameter', 'Required parameter is of the wrong kind.', 400],
    ['Conflict', 'Something else.', 409],
    ['NotFound', 'The entity was not found.', 404],
    ['SomethingNew', 'Nobody has seen this.', 400],
    ['', 'No code and no known status.', 418],
  ])('%s "%s" stays unexplained', (code, message, status) => {
    expect(explain(arm(code, message, status), situation)).toBeUndefined();
  });

  test('an empty conflict is laid to the image only where an image is involved', () => {
    expect(
      explain(faultOf(null, 409, `${groupId}/providers/Microsoft.Network/virtualNetworks/v`), situation),
    ).toBeUndefined();
  });

  test("a refusal of Entra's without a code is no refused access token", () => {
    expect(explain(faultOf(null, 401, entraUrl(vmTenant)), situation)).toBeUndefined();
  });

  test('the wrapped code counts', () => {
    const body = {
      error: {
        code: 'DeploymentFailed',
        message: 'x',
        details: [
          {
            code: 'BadRequest',
            message: JSON.stringify({
              error: { code: 'DnsRecordInUse', message: 'DNS record a.b is already used' },
            }),
          },
        ],
      },
    };
    expect(idsOf(faultOf(body))).toEqual(['dns-label-taken']);
  });
});

describe('consent', () => {
  test.each([
    ['the image tenant', imageTenant],
    ["the VM's tenant", vmTenant],
  ])('names the very tenant that answered: %s', (name, tenant) => {
    const { who, fix } = explained(
      entra(
        'AADSTS700016',
        `Application with identifier '${clientId}' was not found in the directory 'X'.`,
        tenant,
      ),
    );
    expect(who).toBe(`an administrator of ${name} (${tenant})`);
    expect(fix).toEqual(
      expect.arrayContaining([
        `https://login.microsoftonline.com/${tenant}/adminconsent?client_id=${clientId}`,
        `https://login.microsoftonline.com/${tenant}/oauth2/authorize?client_id=${clientId}&response_type=code&redirect_uri=https%3A%2F%2Fwww.microsoft.com%2F`,
        `az login --tenant ${tenant} --allow-no-subscriptions`,
        `az ad sp create --id ${clientId}`,
      ]),
    );
  });

  test("another cloud's sign-in host", () => {
    const { fix } = explained(entra('AADSTS700016', 'x'), {
      ...situation,
      loginEndpoint: 'https://login.microsoftonline.us/',
    });
    expect(fix).toContain(`https://login.microsoftonline.us/${vmTenant}/adminconsent?client_id=${clientId}`);
  });

  test('one tenant for both is called neither', () => {
    expect(explained(entra('AADSTS700016', 'x'), { ...situation, imageTenantId: vmTenant }).who).toBe(
      `an administrator of tenant ${vmTenant}`,
    );
  });

  test('a subscription ID taken for a tenant is recognised', () => {
    const { cause } = explained(entra('AADSTS90002', `Tenant '${subscription}' not found.`, subscription));
    expect(cause).toContain('It is the ID of the subscription.');
    expect(
      explained(entra('AADSTS90002', `Tenant '${imageTenant}' not found.`, imageTenant)).fix[0],
    ).toContain('`image-tenant-id`');
  });
});

describe('one refused token among several', () => {
  const auxiliary = '55555555-0000-4000-8000-000000000005';
  const given = { ...situation, auxiliaryTenantIds: [auxiliary] };
  const refused = (tenant: string) =>
    arm(
      'InvalidAuthenticationToken',
      `The token of client '${clientId}' and tenant '${tenant}' is not valid.`,
      401,
    );

  test.each([
    ['an auxiliary tenant', auxiliary, `the auxiliary tenant ${auxiliary}`],
    ['the image tenant', imageTenant, `the image tenant (${imageTenant})`],
    ["the VM's tenant", vmTenant, `the VM's tenant (${vmTenant})`],
    // Named by its domain in the inputs.
    [
      'none that is known',
      '66666666-0000-4000-8000-000000000006',
      'tenant 66666666-0000-4000-8000-000000000006',
    ],
  ])('%s is named', (_, tenant, name) => {
    const { cause, who, fix } = explained(refused(tenant), given);
    expect(cause).toContain(`It names ${name}.`);
    expect(who).toContain(name);
    expect(fix).toContain(`az login --tenant ${tenant} --allow-no-subscriptions`);
  });

  test('where none is named, all that it may be are', () => {
    const { cause } = explained(arm('InvalidAuthenticationToken', 'No.', 401), given);
    for (const tenant of [vmTenant, imageTenant, auxiliary]) expect(cause).toContain(tenant);
  });

  test('an auxiliary tenant without the app', () => {
    const { who, fix } = explained(entra('AADSTS700016', 'x', auxiliary), given);
    expect(who).toBe(`an administrator of the auxiliary tenant ${auxiliary}`);
    expect(fix.at(-1)).toContain('`auxiliary-tenant-ids`');
  });
});

describe('tenants that are named by their domains', () => {
  const auxiliary = '55555555-0000-4000-8000-000000000005';
  const byDomain: ErrorContext = {
    ...situation,
    tenantId: 'Deploy.example',
    imageTenantId: 'images.example',
    auxiliaryTenantIds: ['aux.example'],
  };
  const signedIn: ErrorContext = {
    ...byDomain,
    tenantGuids: new Map([
      ['deploy.example', vmTenant],
      ['images.example', imageTenant],
      ['aux.example', auxiliary],
    ]),
  };
  const wrongIssuer = (tenant: string) =>
    arm(
      'InvalidAuthenticationTokenTenant',
      `The access token is from the wrong issuer 'https://sts.windows.net/${tenant}/'. It must match the tenant 'https://sts.windows.net/66666666-0000-4000-8000-000000000006/' associated with this subscription.`,
      401,
    );

  test.each([
    ['the image tenant', imageTenant, `the image tenant (${imageTenant})`, '`image-tenant-id`'],
    ["the VM's tenant", vmTenant, `the VM's tenant (${vmTenant})`, '`tenant-id`'],
    ['an auxiliary tenant', auxiliary, `the auxiliary tenant ${auxiliary}`, '`auxiliary-tenant-ids`'],
  ])('the token of %s: the input that is at fault', (_, tenant, name, input) => {
    const { cause, fix } = explained(wrongIssuer(tenant), signedIn);
    expect(cause).toContain(`The token is of ${name},`);
    expect(fix[0]).toMatch(new RegExp(`^Set ${input} to 66666666-`));
  });

  test.each([
    ['images.example', imageTenant, 'the image tenant (images.example)'],
    ['aux.example', auxiliary, 'the auxiliary tenant aux.example'],
    ['Deploy.example', vmTenant, "the VM's tenant (Deploy.example)"],
  ])('a refused token of %s, which Azure names by its GUID', (domain, tenant, name) => {
    const fault = arm('InvalidAuthenticationToken', `The token of tenant '${tenant}' is not valid.`, 401);
    const { cause, fix } = explained(fault, signedIn);
    expect(cause).toContain(`It names ${name}.`);
    expect(fix).toContain(`az login --tenant ${domain} --allow-no-subscriptions`);
  });

  test('a link to the image that no token covers: which tenant the input means', () => {
    const fault = arm(
      'LinkedAuthorizationFailed',
      `The client '${clientId}' has permission to perform action 'Microsoft.Compute/galleries/images/versions/read' on scope '${groupId}', however the current tenant '${vmTenant}' is not authorized to access linked subscription '${imageSubscription}'.`,
      403,
    );
    const { cause } = explained(fault, signedIn);
    expect(cause).toContain(`which the VM's tenant (${vmTenant}) does not own`);
    expect(cause).toContain(`\`image-tenant-id\` is images.example (${imageTenant}).`);
  });

  test('one tenant, named by its domain and by its GUID, is called neither', () => {
    const { who } = explained(entra('AADSTS700016', 'x', imageTenant), {
      ...signedIn,
      tenantId: imageTenant,
    });
    expect(who).toBe(`an administrator of tenant ${imageTenant}`);
  });

  test('before the sign-in no more is known than the names', () => {
    expect(explained(entra('AADSTS700016', 'x', 'images.example'), byDomain).who).toBe(
      'an administrator of the image tenant (images.example)',
    );
    expect(explained(wrongIssuer(imageTenant), byDomain).cause).toContain(
      `The token is of tenant ${imageTenant},`,
    );
  });
});

describe('federated credentials', () => {
  const claims = {
    issuer: 'https://token.actions.githubusercontent.com',
    audience: 'api://AzureADTokenExchange',
  };

  /** The subjects of the commands, read back as a shell and JSON would. */
  function registered(oidc: NonNullable<ErrorContext['oidc']>): { subject: string; name: string }[] {
    const { fix } = explained(entra('AADSTS700213', "No match for presented assertion subject 'other'."), {
      ...situation,
      oidc,
    });
    return fix
      .filter((line) =>
        line.startsWith(`az ad app federated-credential create --id ${clientId} --parameters '`),
      )
      .map((line) => {
        const word = line.slice(line.indexOf("'") + 1, -1).replaceAll(String.raw`'\''`, "'");
        const parameters = JSON.parse(word) as {
          name: string;
          issuer: string;
          subject: string;
          audiences: string[];
        };
        expect(parameters).toMatchObject({ issuer: claims.issuer, audiences: [claims.audience] });
        expect(parameters.name).toMatch(/^[A-Za-z0-9][\w-]{2,119}$/);
        return parameters;
      });
  }

  test.each([
    [
      'classic, IDs known',
      { subject: 'repo:octo/ship:environment:prod', ownerId: '1', repositoryId: '2' },
      ['repo:octo/ship:environment:prod', 'repo:octo@1/ship@2:environment:prod'],
    ],
    [
      'classic, IDs unknown',
      { subject: 'repo:octo/ship:pull_request' },
      ['repo:octo/ship:pull_request', 'repo:octo@<owner-id>/ship@<repository-id>:pull_request'],
    ],
    [
      'immutable',
      { subject: 'repo:octo@1/ship@2:ref:refs/heads/main' },
      ['repo:octo@1/ship@2:ref:refs/heads/main', 'repo:octo/ship:ref:refs/heads/main'],
    ],
    [
      'customised',
      { subject: 'repository_owner:octo:job_workflow_ref:x@y' },
      ['repository_owner:octo:job_workflow_ref:x@y'],
    ],
    [
      'with a quote',
      { subject: "repo:octo/ship:environment:it's" },
      ["repo:octo/ship:environment:it's", "repo:octo@<owner-id>/ship@<repository-id>:environment:it's"],
    ],
    [
      'long',
      { subject: `repo:octo/ship:ref:refs/heads/${'x'.repeat(200)}` },
      [
        `repo:octo/ship:ref:refs/heads/${'x'.repeat(200)}`,
        `repo:octo@<owner-id>/ship@<repository-id>:ref:refs/heads/${'x'.repeat(200)}`,
      ],
    ],
  ])('%s', (_, oidc, subjects) => {
    expect(registered({ ...claims, ...oidc }).map(({ subject }) => subject)).toEqual(subjects);
  });

  test('GitHub Enterprise Server has no immutable subjects', () => {
    const issuer = 'https://github.example/_services/token';
    const { fix } = explained(entra('AADSTS700211', 'x'), {
      ...situation,
      oidc: { issuer, subject: 'repo:octo/ship:pull_request', audience: claims.audience },
    });
    expect(fix.filter((line) => line.includes('federated-credential create'))).toHaveLength(1);
    expect(fix.join()).toContain(`"issuer":"${issuer}"`);
  });

  test('where the IDs come from is told only where they are missing', () => {
    const lookup = (oidc: object) =>
      explained(entra('AADSTS700213', 'x'), {
        ...situation,
        oidc: { ...claims, subject: 'repo:octo/ship:pull_request', ...oidc },
      }).fix.filter((line) => line.startsWith('gh api'));
    expect(lookup({})).toEqual(["gh api repos/octo/ship --jq '.owner.id, .id'"]);
    expect(lookup({ ownerId: '1', repositoryId: '2' })).toEqual([]);
  });
});

describe('roles', () => {
  const subnet = `${groupId}/providers/Microsoft.Network/virtualNetworks/v/subnets/s`;
  const registry = `${groupId}/providers/Microsoft.ContainerRegistry/registries/r`;

  test.each([
    [
      'Microsoft.Compute/galleries/images/versions/read',
      imageId,
      'Compute Gallery Image Reader',
      definitionId,
      imageTenant,
    ],
    [
      'Microsoft.Compute/galleries/images/read',
      definitionId,
      'Compute Gallery Image Reader',
      definitionId,
      imageTenant,
    ],
    [
      'Microsoft.Compute/virtualMachines/write',
      `${groupId}/providers/Microsoft.Compute/virtualMachines/v`,
      'Virtual Machine Contributor',
      groupId,
      vmTenant,
    ],
    [
      'Microsoft.Network/virtualNetworks/subnets/join/action',
      subnet,
      'Virtual Machine Contributor',
      subnet,
      vmTenant,
    ],
    [
      'Microsoft.Network/virtualNetworks/write',
      `${groupId}/providers/Microsoft.Network/virtualNetworks/v`,
      'Network Contributor',
      groupId,
      vmTenant,
    ],
    [
      'Microsoft.Network/natGateways/join/action',
      `${groupId}/providers/Microsoft.Network/natGateways/n`,
      'Network Contributor',
      `${groupId}/providers/Microsoft.Network/natGateways/n`,
      vmTenant,
    ],
    [
      'Microsoft.Resources/subscriptions/resourcegroups/write',
      groupId,
      'Contributor',
      `/subscriptions/${subscription}`,
      vmTenant,
    ],
    ['Microsoft.Resources/subscriptions/resourceGroups/read', groupId, 'Contributor', groupId, vmTenant],
    [
      'Microsoft.Compute/register/action',
      `/subscriptions/${subscription}`,
      'Contributor',
      `/subscriptions/${subscription}`,
      vmTenant,
    ],
    [
      'Microsoft.Compute/skus/read',
      `/subscriptions/${subscription}`,
      'Reader',
      `/subscriptions/${subscription}`,
      vmTenant,
    ],
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
  ])('%s', (action, scope, role, on, tenant) => {
    const message = `The client '${clientId}' with object id 'o' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`;
    const fault = arm('AuthorizationFailed', message, 403);
    expect(idsOf(fault)).toHaveLength(1);
    const { fix, who } = explained(fault);
    expect(fix).toContain(`az role assignment create --assignee ${clientId} --role "${role}" --scope ${on}`);
    expect(who).toContain(tenant);
  });

  test('on several linked scopes at once, and of a subscription that nobody named', () => {
    const foreign =
      '/subscriptions/55555555-0000-4000-8000-000000000005/resourceGroups/n/providers/Microsoft.Network';
    const message = `The client 'x' with object id 'y' has permission to perform action 'Microsoft.Network/networkInterfaces/write' on scope '${groupId}'; however, it does not have permission to perform action(s) 'Microsoft.Network/networkSecurityGroups/join/action' on the '2' linked scope(s) '${foreign}/networkSecurityGroups/a,${foreign}/networkSecurityGroups/b' or the linked scope(s) are invalid and is blocked by deny assignments`;
    const { fix, who, cause } = explained(arm('LinkedAuthorizationFailed', message, 403));
    expect(fix.filter((line) => line.startsWith('az role'))).toEqual(
      ['a', 'b'].map(
        (name) =>
          `az role assignment create --assignee ${clientId} --role "Virtual Machine Contributor" --scope ${foreign}/networkSecurityGroups/${name}`,
      ),
    );
    expect(who).toContain('the tenant that owns subscription 55555555-0000-4000-8000-000000000005');
    expect(cause).toContain('A deny assignment blocks it.');
  });

  test('the linked image: its tenant, its role', () => {
    const message = `The client 'x' with object id 'y' has permission to perform action 'Microsoft.Compute/virtualMachines/write' on scope '${groupId}'; however, it does not have permission to perform action 'Microsoft.Compute/galleries/images/versions/read' on the linked scope(s) '${imageId}' or the linked scope(s) are invalid.`;
    const { fix, who } = explained(arm('LinkedAuthorizationFailed', message, 403));
    expect(fix).toContain(
      `az role assignment create --assignee ${clientId} --role "Compute Gallery Image Reader" --scope ${definitionId}`,
    );
    expect(who).toContain(`the image tenant (${imageTenant})`);
  });
});

test('what a message quotes stays one word of a command', () => {
  const { fix } = explained(
    arm('ResourceGroupNotFound', "Resource group 'a b;rm -rf $(HOME)' could not be found.", 404),
  );
  expect(fix.join('\n')).toContain("-n 'a b;rm -rf $(HOME)' -l westeurope");
});

test('policies are named out of details that are text, too', () => {
  const inner = {
    error: {
      code: 'RequestDisallowedByPolicy',
      message: "Resource 'x' was disallowed by policy.",
      additionalInfo: [
        { type: 'PolicyViolation', info: { policyAssignmentDisplayName: 'Allowed locations' } },
      ],
    },
  };
  const body = {
    error: {
      code: 'DeploymentFailed',
      message: 'x',
      details: [{ code: 'Forbidden', message: JSON.stringify(inner) }],
    },
  };
  const { cause, fix } = explained(faultOf(body, 403));
  expect(cause).toBe('Policy "Allowed locations" denies x.');
  expect(fix[0]).toContain('another `location`');
});

test('waiting times come from the header', () => {
  const { fix } = explained(faultOf(null, 429, vmUrl, { 'retry-after': '17' }));
  expect(fix.join()).toContain('17 s');
});

describe('the catalogue', () => {
  test('each entry has an ID of its own and is reached by a test', () => {
    const ids = catalogue.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const denials = ['image-denied', 'role-grant-denied', 'group-denied'];
    const tested = [...expected.map(([, id]) => id), ...further.map(([, id]) => id), ...denials];
    expect(ids.filter((id) => !tested.includes(id))).toEqual([]);
  });

  test('for the documentation: every entry, with placeholders and no holes', () => {
    const groups = documentedErrors();
    expect(groups).toHaveLength(8);
    const entries = groups.flatMap(({ entries }) => entries);
    expect(entries.map(({ title }) => title)).toEqual(catalogue.map(({ title }) => title));
    for (const { title, says, cause, who, fix } of entries) {
      for (const text of [title, says, cause, who, ...fix]) {
        expect(text).not.toBe('');
        expect(text.trim()).toBe(text);
      }
      expect(fix.length).toBeGreaterThan(0);
    }
    expect(JSON.stringify(entries)).not.toMatch(/undefined|\[object/);
    expect(entries.flatMap(({ fix }) => fix)).toContain('az ad sp create --id <client-id>');
  });
});
