import { describe, expect, test } from '@jest/globals';
import sources from '../../../scripts/docs/error-sources.json' with { type: 'json' };
import { documentedErrors } from '../../../scripts/docs/documented-errors.ts';
import { explain } from '../../../src/error-catalog/explain.ts';
import type { AzureErrorInfo } from '../../../src/errors/errors.ts';
import {
  armError,
  catalogue,
  clientId,
  context,
  definitionId,
  entraUrl,
  errorOf,
  expectExplained,
  explained,
  groupId,
  titlesOf,
  imageId,
  imageTenant,
  quotedErrors,
  recordedErrors,
  subscription,
  vmTenant,
} from '../../support/azure-errors.ts';

type Row = readonly [name: string, id: string, ...quoted: readonly string[]];

/** In the order of errors.json: its code, the entry that explains it, and what the explanation must quote. */
const recorded: readonly Row[] = [
  ['AADSTS7000215', 'The client secret is wrong', 'a8fdfbd0-da97-42d9-8f1a-fd6a7cb650b4', `--id ${clientId}`],
  ['AADSTS7000222', 'The client secret has expired', 'xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx', `--id ${clientId}`],
  [
    'AADSTS700016',
    'The app is not in that tenant',
    `/${vmTenant}/adminconsent?client_id=22222222-f9fb-4b76-a853-222222222222`,
    'az ad sp create --id 22222222-f9fb-4b76-a853-222222222222',
  ],
  ['AADSTS90002', 'The tenant does not exist', '12345678-1234-1234-1234-123456789012'],
  ['AADSTS900023', 'The tenant is neither a GUID nor a domain', '"contoso"'],
  [
    'AADSTS700213',
    'No federated credential for this subject',
    '"subject":"repo:RMI-PACTA/workflow.transition.monitor:ref:refs/heads/update-scenario-es"',
    'repo:RMI-PACTA@<owner-id>/workflow.transition.monitor@<repository-id>:ref:refs/heads/update-scenario-es',
  ],
  ['AADSTS700211', 'No federated credential for this issuer', '"issuer":"https://token.actions.githubusercontent.com"'],
  ['AADSTS700212', 'No federated credential for this audience', 'https://github.com/contoso'],
  [
    'AADSTS70021',
    'No federated credential matches the token',
    '"subject":"repo:fbomb111/parallel:ref:refs/heads/main"',
    '"issuer":"https://token.actions.githubusercontent.com"',
  ],
  [
    'AADSTS700024',
    'The signed assertion has expired or is not valid yet',
    '2023-08-01T11:08:01.5274809Z',
    '2023-08-01T10:28:26.0000000Z',
  ],
  ['AADSTS700027', 'The certificate is not registered on the app', `--id ${clientId} --cert @cert.pem`],
  [
    'AADSTS7000229',
    'The app has no service principal in that tenant',
    '/11111111-1111-1111-1111-111111111111/adminconsent?client_id=632aab43-dad1-485c-80ff-636b9dfdc58e',
  ],
  ['AADSTS50034', 'A user was signed in instead of an app', clientId],
  [
    'InvalidAuthenticationTokenTenant',
    'The subscription belongs to another tenant',
    '54826b22-38d6-4fb2-bad9-b7b93a3e9c5a',
    '72f988bf-86f1-41af-91ab-2d7cd011db47',
  ],
  ['ExpiredAuthenticationToken', 'The access token has expired', '3/19/2023 8:55:46 AM', '3/19/2023 8:55:57 AM'],
  ['InvalidAuthenticationToken', 'The token has no service principal', `az ad sp create --id ${clientId}`],
  ['InvalidAuthenticationToken (auxiliary)', 'Resource Manager refused one of the tokens', imageTenant, vmTenant],
  [
    'LinkedAuthorizationFailed',
    'Another resource belongs to another tenant',
    '54826b22-38d6-4fb2-bad9-b7b93a3e9c5a',
    '1c638cf4-608f-4ee6-b680-c329e824c3a8',
    'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action',
  ],
  [
    'LinkedAuthorizationFailed',
    'No token of the tenant that owns the image',
    '77f54315-0000-0000-0000-000000000000',
    'e6b5053b-4c38-4475-a835-a025aeb3d8c7',
    imageTenant,
  ],
  [
    'LinkedAuthorizationFailed',
    'No permission on a resource that the VM refers to',
    "--role 'Managed Identity Operator' --scope /subscriptions/xxxx/resourcegroups/elephant/providers/Microsoft.ManagedIdentity/userAssignedIdentities/elephant",
  ],
  [
    'AuthorizationFailed',
    'The app lacks a permission',
    'Microsoft.Authorization/policyDefinitions/error_policy/read',
    '--scope /providers/Microsoft.Authorization/policyDefinitions/test',
  ],
  [
    'GalleryImageNotFound',
    'The image version is not replicated to the region',
    "'name=<region>'",
    "-r '<gallery>' -i '<definition>' -e '<version>'",
  ],
  [
    'NotFound / ResourceNotFound (image version)',
    'The image does not exist',
    'version <version> of <definition> in gallery <gallery>',
    "-g '<rg>' -r '<gallery>' -i '<definition>'",
  ],
  ['NotFound (no latest)', 'The image definition has no latest version', '<image definition id>'],
  ['image version being created', 'The image version is still being created', imageId],
  ['InvalidParameter (osProfile not allowed)', 'A specialized image does not accept a user', definitionId],
  ['InvalidParameter (osProfile missing)', 'A generalized image needs a user', definitionId],
  ['VMMarketplaceInvalidInput', 'The image needs a purchase plan', 'scott-NCv3-vm'],
  [
    'ResourcePurchaseValidationFailed',
    'The terms of the Marketplace plan are not accepted',
    '--publisher nvidia --offer pytorch_from_nvidia --plan ngc-pytorch-version-21-11-0 --subscription 9630d625-8e9f-445e-acd8-85b3083e766e',
  ],
  [
    'MarketplacePurchaseEligibilityFailed',
    'The subscription may not buy from the Marketplace',
    'AccountSetupError',
    'https://aka.ms/orgprofile',
  ],
  ['OSProvisioningTimedOut', 'The guest did not report in time', '-n dsvm'],
  ['OSProvisioningClientError', 'VMs from this image fail repeatedly', imageId],
  ['AllocationFailed', 'No capacity in the region', 'Standard_D2s_v5', 'westeurope'],
  ['ZonalAllocationFailed', 'No capacity in the zone', 'Standard_D2s_v5', '`zone`'],
  [
    'OverconstrainedAllocationRequest',
    'No host meets all constraints',
    'Networking Constraints (such as Accelerated Networking or IPv6); VM Size',
  ],
  [
    'SkuNotAvailable',
    'The size is not available in the region',
    'Standard_B2s is not available in westeurope',
    '-l westeurope --size Standard_B2s',
  ],
  [
    'QuotaExceeded',
    'The core quota is used up',
    'Total Regional Cores quota in westus is used up: 9 of 100 are in use and 101 more',
    'limit of 110',
    '-l westus',
  ],
  [
    'OperationNotAllowed (quota)',
    'The core quota is used up',
    'Total Regional Cores quota in CentralIndia is used up: 4 of 4 are in use and 2 more',
    'limit of 6',
  ],
  ['PropertyChangeNotAllowed', 'A VM with this name exists with different settings', 'imageReference', '-n vm-1'],
  ['BadRequest (security type)', 'The kind of image does not support the security type', 'TrustedLaunch'],
  ['BadRequest (TrustedLaunch, image)', 'The image does not support Trusted Launch', definitionId],
  ['BadRequest (Gen1 and UEFI)', 'A Generation 1 image has no UEFI settings', definitionId],
  [
    'BadRequest (size and security type)',
    'The size does not support the security type',
    'Standard_DC2as_v5',
    'none set',
  ],
  [
    'BadRequest (hypervisor generation)',
    'The size cannot boot the generation of the image',
    'Standard_D2_v2',
    'generation 2',
  ],
  ['InvalidParameter (adminUsername)', 'The user name is reserved', '`admin-username`'],
  ['InvalidParameter (adminPassword)', 'The password is too weak', '8-123 characters'],
  ['InvalidParameter (ssh key)', 'The SSH key is not a public key', '`ssh-public-key`'],
  ['LinkedInvalidPropertyId', 'A resource ID is incomplete', '"myIdentity"'],
  ['VMExtensionProvisioningError', 'A script or extension failed in the VM', 'AzureDiskEncryption', '-n vm-1'],
  ['PublicIPCountLimitReached', 'The public IP address quota is used up', 'all 10 of subscription'],
  ['IPv4BasicSkuPublicIpCountLimitReached', 'Basic public IP addresses are retired', '`public-ip`'],
  [
    'InUseNetworkSecurityGroupCannotBeDeleted',
    'Another resource still uses it',
    '/networkInterfaces/cli-test-vm000002VMNic ',
  ],
  ['PublicIPAddressCannotBeDeleted', 'Another resource still uses it', '/networkInterfaces/cli-test-vm000002VMNic '],
  ['InUseSubnetCannotBeDeleted', 'Another resource still uses it', '/networkInterfaces/cli-test-vm000002VMNic '],
  ['NicReservedForAnotherVm', 'The NIC is reserved after a failed create', '/virtualMachines/<vm>', '180 seconds'],
  [
    'RetryableError',
    'Another operation on the resource is in progress',
    '/virtualNetworkGateways/vnet-gateway-name',
    '12 s',
  ],
  [
    'AnotherOperationInProgress',
    'Another operation on the resource is in progress',
    '5d66a0e0-e08b-4ecf-aee5-0ff5a461962b',
  ],
  [
    'RequestDisallowedByPolicy',
    'An Azure Policy denies the resource',
    '"Network interfaces should not have public IPs" denies examplenic1207',
    '--name 1111aa2222bb3333cc4444dd',
    '`public-ip: false`',
  ],
  [
    'ScopeLocked',
    'A lock blocks the change',
    '/virtualNetworks/cli.lock.rsrc000002',
    '-g cli_test_readonly_resource_lock000001',
  ],
  ['ResourceGroupNotFound', 'The resource group does not exist', '-n my-rg'],
  [
    'MissingSubscriptionRegistration',
    'The resource provider is not registered',
    '--namespace Microsoft.RecoveryServices',
  ],
  ['RoleAssignmentExists', 'The role is already assigned', 'already has this role'],
  [
    'PrincipalNotFound',
    'A new identity has not replicated in Entra ID yet',
    'e92c765f7f4f4794afb92012f91f0fa3',
    '54826b22-38d6-4fb2-bad9-b7b93a3e9c5a',
  ],
  [
    'OperationNotAllowed / TooManyRequests (compute)',
    "Compute's request limit is reached",
    'HighCostGet30Min: 1238 requests, 800 allowed',
  ],
  ['429 (Resource Manager)', "Resource Manager's request limit is reached", clientId, subscription],
  ['BadGatewayConnection', 'A gateway failed', 'Microsoft.Compute'],
  ['InternalServerError', 'Azure had an internal error', '5336a00c-2d41-4e8d-a981-d13dccfbe3eb'],
  [
    'OperationNotAllowed (disk attached)',
    'The disk is attached to a VM',
    'cli-test-vm000002_disk1_639ab90f6aa7437f8b7e4075894fff70',
    '/virtualMachines/cli-test-vm000002 ',
  ],
];

/** In the order of texts.json: refusals whose message decides, because the code has several meanings or none. */
const quoted: readonly Row[] = [
  [
    'plan-not-needed',
    'The image has no purchase plan',
    'A purchase plan was sent for an image that has none',
    'Remove `plan`',
  ],
  ['undeployable', 'The Windows image is not generalized', 'sysprep', 'az vm delete'],
  [
    'agent-running',
    'The guest runs but was not prepared as an image',
    'with a working agent',
    'The image is not generalized',
  ],
  [
    'cloud-init-dhcp',
    'cloud-init or azure-init in the image reported a failure',
    'failure to obtain DHCP lease. Cloud-Init/24.1.3-0ubuntu1~22.04.4 in VM vm-acc',
    'https://aka.ms/linuxprovisioningerror',
  ],
  [
    'not-purchasable',
    'The Marketplace plan is not sold to this subscription',
    'Offer appliance of publisher contoso is not available in the billing country',
    'Accepting terms does not help',
  ],
  [
    'terms',
    'The terms of the Marketplace plan are not accepted',
    'az vm image terms accept --publisher contoso --offer appliance --plan byol',
  ],
  [
    'offer-not-found',
    "The image's Marketplace offer does not exist",
    'no offer appliance of publisher contoso',
    'purchasePlan',
  ],
  ['internal-provisioning', 'Azure failed to provision the OS', 'does not say that the image is at fault', 'again'],
  ['start-timed-out', 'The VM did not start in time', 'the image is not the likely reason', 'get-instance-view'],
  ['secure-boot', 'The guest did not report in time', 'Secure Boot refuses', 'secureBootEnabled: false'],
  [
    'by-azure',
    'Azure does not offer the region to this subscription',
    'westeurope',
    'No Azure Policy of the tenant is involved',
  ],
  ['subnet-full', 'The subnet is full', 'Subnet apps (10.9.1.0/29) has no free IP address'],
  ['no-zones', 'The region does not have the zone', 'eastus has no availability zones', 'Remove `zone`'],
  [
    'identity-operation',
    'The user-assigned identity does not exist',
    'Identity gone does not exist',
    'az identity show --ids /subscriptions/5a2b1c9d-0002-4e5f-8a6b-7c8d9e0f1a02/resourceGroups/myResourceGroup/providers/Microsoft.ManagedIdentity/userAssignedIdentities/gone',
  ],
  [
    'encryption-at-host',
    'Encryption at host is not enabled in the subscription',
    `az feature register --namespace Microsoft.Compute --name EncryptionAtHost --subscription ${subscription}`,
  ],
  [
    'ephemeral',
    'The OS disk does not fit on the local disk',
    'CacheDisk of Standard_D2s_v3, which holds at most 50 GB',
  ],
  [
    'own-data-disks',
    'The request redefines a disk of the image',
    'redefines a disk that the image defines',
    '`createOption`',
  ],
  ['cross-cloud', 'The tenant belongs to another cloud', '`environment`', 'login.microsoftonline.com'],
  [
    'app-disabled',
    'The app is disabled in that tenant',
    'az ad sp update --id c0ffee00-a11c-4b2d-9e3f-0123456789ab --set accountEnabled=true',
  ],
  [
    'accelerated',
    'The size does not support accelerated networking',
    'Standard_B1s does not support accelerated networking, which is enabled on network interface vm-acc-nic',
    '`accelerated-networking: false`',
  ],
  [
    'nvme',
    'The size needs NVMe, which the image does not support',
    'Standard_D2s_v6 cannot boot the image',
    'DiskControllerTypes=SCSI,NVMe',
  ],
  [
    'spot-quota',
    'The Spot quota is used up',
    'Spot quota in eastus is used up: 2 of 3 are in use and 2 more are needed',
    'Remove `spot`',
  ],
];

const evidence = [...recordedErrors, ...quotedErrors];

describe.each([
  { file: 'errors.json', errors: recordedErrors, rows: recorded },
  { file: 'texts.json', errors: quotedErrors, rows: quoted },
])('explain every error of $file', ({ errors, rows }) => {
  test('has a row for each, in their order', () => {
    expect(rows.map(([name]) => name)).toEqual(errors.map(({ name }) => name));
  });

  test.each(rows.map((row, index) => [index, ...row] as const))('%i %s as %s', (index, _, id, ...words) => {
    const error = errors[index]?.error;
    if (!error) throw new Error('no such row');
    expectExplained(error, id, words);
  });
});

describe('match the message and the place, not only the code', () => {
  test.each([
    ['OperationNotAllowed', 'Some other refusal.', 409],
    ['OperationNotAllowed', 'The disk is attached elsewhere.', 409],
    ['BadRequest', 'Something else is wrong.', 400],
    ['InvalidParameter', 'Required parameter is of the wrong kind.', 400],
    ['Conflict', 'Something else.', 409],
    ['NotFound', 'The entity was not found.', 404],
    ['NotSupported', 'Something else is not supported.', 400],
    ['VMMarketplaceInvalidInput', 'Something else about the plan.', 400],
    ['ResourcePurchaseValidationFailed', 'Something else about the purchase.', 400],
    ['OSProvisioningClientError', 'Something else happened in the guest.', 200],
    ['FailedIdentityOperation', "Status: 'BadRequest'. Bad request.", 400],
    ['SomethingNew', 'Nobody has seen this.', 400],
    ['', 'No code and no known status.', 418],
  ])('leave %s "%s" unexplained', (code, message, status) => {
    expect(explain(armError(code, message, status), context)).toBeUndefined();
  });

  test('leave a BadRequest of another service unexplained', () => {
    const message = 'Managed Images are not supported for virtual machines with security type TrustedLaunch.';
    const network = `${groupId}/providers/Microsoft.Network/virtualNetworks/v`;
    expect(titlesOf(armError('BadRequest', message))).toEqual(['The kind of image does not support the security type']);
    expect(titlesOf(armError('BadRequest', message, 400, network))).toEqual([]);
  });

  test('leave the text of a token request unexplained in an answer of Resource Manager', () => {
    expect(titlesOf(armError('BadRequest', "Application 'a'(b) is disabled."))).toEqual([]);
  });

  test('explain an empty 409 only where an image is involved', () => {
    expect(
      explain(errorOf(null, 409, `${groupId}/providers/Microsoft.Network/virtualNetworks/v`), context),
    ).toBeUndefined();
  });

  test('do not mistake a refusal of Entra without a code for a refused access token', () => {
    expect(explain(errorOf(null, 401, entraUrl(vmTenant)), context)).toBeUndefined();
  });

  test('find the code in nested details', () => {
    const inner = { error: { code: 'DnsRecordInUse', message: 'DNS record a.b is already used' } };
    const details = [{ code: 'BadRequest', message: JSON.stringify(inner) }];
    expect(titlesOf(errorOf({ error: { code: 'DeploymentFailed', message: 'x', details } }))).toEqual([
      'The DNS label is taken',
    ]);
  });

  test('explain an app whose name is cut in the middle of a character', () => {
    const name = '\uD83D';
    const error = armError('AADSTS700016', `Application with identifier '${name}' was not found in the directory`);
    expect(explained(error).fix.join()).toContain('adminconsent?client_id=%EF%BF%BD');
  });

  /** Values in a message do not make it another message. */
  const shapeOf = (message: string) =>
    message
      .replaceAll(/'[^']*'|"[^"]*"|\S*\/\S*|\S*\d\S*|Standard_\w+/g, '…')
      .replaceAll(/\s+/g, ' ')
      .slice(0, 80);

  const messagesByCode = new Map<string, { shapes: Set<string>; example: AzureErrorInfo }>();
  for (const { error } of evidence) {
    for (const { code, message } of [error, ...error.details]) {
      const known = messagesByCode.get(code) ?? { shapes: new Set<string>(), example: error };
      known.shapes.add(shapeOf(message));
      messagesByCode.set(code, known);
    }
  }
  const codesOfEntries = catalogue.flatMap(({ says }) => /^(\w+): /.exec(says)?.[1] ?? []);
  // Entries that differ by the sign-in, the subscription of the request and the requested token; and a code whose
  // last entry holds for every message: a permission is missing.
  const exempt = new Set(['AADSTS700024', 'ResourceGroupNotFound', 'RequestDisallowedByPolicy', 'AuthorizationFailed']);
  const ambiguous = [...messagesByCode].filter(
    ([code, { shapes }]) =>
      code !== '' &&
      !exempt.has(code) &&
      (shapes.size > 1 || codesOfEntries.filter((known) => known === code).length > 1),
  );

  test('know codes with several messages', () => {
    expect(ambiguous.map(([code]) => code)).toEqual(
      expect.arrayContaining([
        'BadRequest',
        'InvalidParameter',
        'LinkedAuthorizationFailed',
        'OperationNotAllowed',
        'OSProvisioningClientError',
        'ResourcePurchaseValidationFailed',
        'VMMarketplaceInvalidInput',
      ]),
    );
  });

  test.each(ambiguous)('explain %s by its message only, because several are known', (code, { example }) => {
    // Statuses such as 429 have a meaning of their own.
    const { status } = example;
    const neutral = status === 429 || status >= 500 ? 400 : status;
    const unknown = { ...example, status: neutral, code, message: 'Not seen before.', details: [] };
    expect(titlesOf({ ...unknown, body: '' })).toEqual([]);
  });
});

describe('the catalogue', () => {
  test('uses placeholders when a value of the run is undefined, as when it is absent', () => {
    const names = ['auxiliaryTenantIds', 'tenantGuids', 'loginEndpoint', 'subscriptionId', 'imageId'];
    const undefinedValues = Object.fromEntries(names.map((name) => [name, undefined]));
    for (const { error } of evidence) expect(explain(error, undefinedValues)).toEqual(explain(error, {}));
  });

  test('gives each entry a distinct heading and a source', () => {
    const titles = catalogue.map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
    expect(Object.keys(sources)).toEqual(titles);
    const isSource = (text: string) => /https:\/\/\S+\.\S+|recording \w+|record \w+/.test(text);
    expect(Object.values(sources).filter((source) => !isSource(source))).toEqual([]);
  });

  test('starts each cause with a sentence that fits a title', () => {
    const long = evidence.flatMap(({ error }) => {
      const cause = explain(error, context)?.cause ?? '';
      const title = cause.split(/[.:](?:\s|$)/)[0] ?? '';
      const short = title.replaceAll(/\/subscriptions\/\S+\//g, '');
      return short.length > 150 || short === '' ? [short] : [];
    });
    expect(long).toEqual([]);
  });

  test('has neither empty nor undefined parts in the documentation', () => {
    const entries = documentedErrors().flatMap(({ entries: documented }) => documented);
    expect(entries.map(({ title }) => title)).toEqual(catalogue.map(({ title }) => title));
    for (const { title, says, cause, who, fix } of entries) {
      for (const text of [title, says, cause, who, ...fix]) {
        expect(text).not.toBe('');
        expect(text.trim()).toBe(text);
      }
      expect(fix.length).toBeGreaterThan(0);
    }
    expect(JSON.stringify(entries)).not.toMatch(/undefined|\[object/);
    expect(entries.flatMap(({ fix }) => fix)).toContain("az ad sp create --id '<client-id>'");
  });
});
