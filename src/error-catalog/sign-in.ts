import { sameTenant } from '../azure/resource-id.ts';
import { shellCommand } from '../lib/escape.ts';
import { areTenantsSwapped } from './authorization.ts';
import {
  type Entries,
  type Failure,
  appOwner,
  areSameTenant,
  hasCode,
  idSegment,
  isAuxiliary,
  isInImageSubscription,
  isInSubscription,
  messagesOf,
  messageText,
  runnerOwner,
  tenantName,
  workflowAuthor,
} from './entry.ts';

/** Whether it answers a token request. */
const isFromEntra = ({ tenant }: Failure) => tenant !== undefined;

const requestedTenant = ({ tenant = '<tenant-id>' }: Failure) => tenant;

const requestedTenantAdmin = (failure: Failure) =>
  `an administrator of ${tenantName(requestedTenant(failure), failure)}`;

function tenantInput(id: string, known: Failure): string {
  if (areSameTenant(id, known.tenantId, known)) return '`tenant-id`';
  if (areSameTenant(id, known.imageTenantId, known)) return '`image-tenant-id`';
  return isAuxiliary(id, known) ? '`auxiliary-tenant-ids`' : '`tenant-id`';
}

/** The three ways to create the app's service principal in a tenant. */
function consent(tenant: string, clientId: string, failure: Failure): string[] {
  const [path, id] = [tenant, clientId].map((text) => encodeURIComponent(text.toWellFormed()));
  return [
    `As an administrator of ${tenantName(tenant, failure)}, open one of these URLs and accept. (AADSTS50011 or AADSTS500113 means that the app lacks the redirect URI https://www.microsoft.com/.)`,
    `${failure.loginEndpoint}/${path}/adminconsent?client_id=${id}`,
    `${failure.loginEndpoint}/${path}/oauth2/authorize?client_id=${id}&response_type=code&redirect_uri=https%3A%2F%2Fwww.microsoft.com%2F`,
    'Or on the command line:',
    loginCommand(tenant),
    shellCommand`az ad sp create --id ${clientId}`,
  ];
}

const loginCommand = (tenant: string) => shellCommand`az login --tenant ${tenant} --allow-no-subscriptions`;

const ownTenantCommand = 'az account show --query tenantId -o tsv';

const newSecret = (clientId: string) => [
  'Create a new secret, and store its value (not its ID) in the secret that `client-secret` reads:',
  shellCommand`az ad app credential reset --id ${clientId} --append --years 1`,
  'Or remove `client-secret` and use GitHub OIDC (`permissions: id-token: write`), which has no secret that expires.',
];

const namedClient = (failure: Failure) =>
  messageText(failure, /(?:app|identifier|Application) '([^']+)'|client application (\S+)/, failure.clientId);

/** By its code or, where Entra sends none, by its text. */
const isEntraError = (failure: Failure, code: string, text: RegExp) =>
  isFromEntra(failure) && (hasCode(failure, code) || text.test(messagesOf(failure)));

const namedTenant = (failure: Failure) =>
  messageText(failure, /in the tenant ([0-9a-f-]{36})/i, requestedTenant(failure));

const unknownTenant = (failure: Failure) =>
  messageText(failure, /(?:Tenant|identifier) '([^']+)'/, requestedTenant(failure));

const issuingTenant = (failure: Failure) =>
  messageText(failure, /wrong issuer 'https:\/\/[^/]+\/([^/']+)/, failure.tenantId);

const owningTenant = (failure: Failure) =>
  messageText(failure, /match the tenant 'https:\/\/[^/]+\/([^/']+)/, '<owning-tenant-id>');

const assertionTimes = (failure: Failure) =>
  `${messageText(failure, /expiry time of assertion (\S+?)\.?(?:\s|$)/, '<expiry>')}, and Entra received it at ${messageText(failure, /Current time: (\S+?),/, '<now>')}`;

/** The tenant that a 401 names. The VM's comes last, because the message may name it in addition to the refused one. */
function refusedTenant(failure: Failure): string | undefined {
  const messages = messagesOf(failure).toLowerCase();
  const { imageTenantId, auxiliaryTenantIds, tenantId, tenantGuids } = failure;
  const isNamed = (tenant: string): boolean =>
    [tenant, tenantGuids.get(tenant.toLowerCase()) ?? tenant].some((name) => messages.includes(name.toLowerCase()));
  return (
    [imageTenantId, ...auxiliaryTenantIds, tenantId].find(isNamed) ??
    // A tenant that an input names by its domain is unknown before its sign-in.
    /\btenant\W+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/.exec(messages)?.[1]
  );
}

/** Whether the request carried the image tenant's token. */
const isImageRequest = (failure: Failure) =>
  isInImageSubscription(failure) && !isInSubscription(failure.imageId, failure.subscriptionId);

const tokenTenant = (failure: Failure): string => (isImageRequest(failure) ? failure.imageTenantId : failure.tenantId);

/** To see which tenant owns the subscription of the request. */
const showOwner = (failure: Failure) => [
  shellCommand`az account list --all --query ${`[?id=='${idSegment(failure.url, 'subscriptions') ?? failure.subscriptionId}'].tenantId`} -o tsv`,
  'If the subscription was just transferred to another tenant, wait up to an hour.',
];

/** `subscription-id` is the image's own, or the inputs for tenants are swapped. */
function explainSwappedInputs(failure: Failure) {
  const { tenantId, imageTenantId } = failure;
  const subscription = idSegment(failure.url, 'subscriptions') ?? '';
  const owner = owningTenant(failure);
  if (areTenantsSwapped(failure) && areSameTenant(owner, imageTenantId, failure)) {
    return {
      cause: `\`subscription-id\` is the subscription of the image. ${subscription} belongs to ${tenantName(owner, failure)}; the VM is to be created in ${tenantName(tenantId, failure)}.`,
      fix: [
        'Set `subscription-id` to the subscription in which the VM is created. To list those of its tenant:',
        shellCommand`az account list --all --query ${`[?tenantId=='${tenantId}'].{name:name, id:id}`} -o table`,
      ],
    };
  }
  const other = isImageRequest(failure) ? tenantId : imageTenantId;
  if (!areSameTenant(owner, other, failure) || areSameTenant(tenantId, imageTenantId, failure)) return undefined;
  return {
    cause: `\`tenant-id\` and \`image-tenant-id\` are swapped. The subscription ${subscription} belongs to tenant ${owner}.`,
    fix: [
      `Swap them: \`tenant-id\` is the tenant of the VM (${imageTenantId}), \`image-tenant-id\` that of the gallery (${tenantId}). To see which tenant owns the subscription:`,
      ...showOwner(failure),
    ],
  };
}

/** The input with the wrong tenant: the request decides, because both inputs may have the same value. */
const wrongTenantInput = (failure: Failure) =>
  isImageRequest(failure) ? '`image-tenant-id`' : tenantInput(issuingTenant(failure), failure);

export const signInEntries: Entries = {
  'The client secret is wrong': (failure) => ({
    says: 'AADSTS7000215: Invalid client secret provided',
    cause: `\`client-secret\` is not a valid secret of app ${namedClient(failure)}. It is mistyped, belongs to another app, or is the secret's ID instead of its value.`,
    who: appOwner(failure),
    fix: newSecret(failure.clientId),
  }),
  'The client secret has expired': (failure) => ({
    says: 'AADSTS7000222: The provided client secret keys for app … are expired',
    cause: `The client secret of app ${namedClient(failure)} has expired.`,
    who: appOwner(failure),
    fix: newSecret(failure.clientId),
  }),
  'The app is not in that tenant': (failure) => ({
    says: 'AADSTS700016: Application with identifier … was not found in the directory',
    cause: `App ${namedClient(failure)} has no service principal in ${tenantName(requestedTenant(failure), failure)}. No administrator has consented to it there, the app is single-tenant, or an ID is mistyped.`,
    who: requestedTenantAdmin(failure),
    fix: [
      ...consent(requestedTenant(failure), namedClient(failure), failure),
      'If Entra refuses that as well, the app is single-tenant. Its owner changes this in its home tenant:',
      shellCommand`az ad app update --id ${namedClient(failure)} --sign-in-audience AzureADMultipleOrgs`,
      `Also compare \`client-id\` and ${tenantInput(requestedTenant(failure), failure)} with the portal.`,
    ],
  }),
  'The app has no service principal in that tenant': (failure) => ({
    says: 'AADSTS7000229: The client application … is missing service principal in the tenant',
    cause: `App ${namedClient(failure)} has no service principal in ${tenantName(namedTenant(failure), failure)}.`,
    who: `an administrator of ${tenantName(namedTenant(failure), failure)}`,
    fix: consent(namedTenant(failure), namedClient(failure), failure),
  }),
  'The app is disabled in that tenant': (failure) => ({
    says: 'AADSTS7000112: Application … is disabled',
    codes: [],
    when: isEntraError(failure, 'AADSTS7000112', /^Application '[^']*' ?\([^)]*\) is disabled/),
    cause: `The service principal of app ${namedClient(failure)} is disabled in ${tenantName(requestedTenant(failure), failure)}.`,
    who: requestedTenantAdmin(failure),
    fix: [
      'Find out why it was disabled. To enable it again:',
      loginCommand(requestedTenant(failure)),
      shellCommand`az ad sp update --id ${namedClient(failure)} --set accountEnabled=true`,
    ],
  }),
  'Conditional Access blocks the app': (failure) => ({
    says: 'AADSTS53003: Access has been blocked by Conditional Access policies',
    cause: `A Conditional Access policy in ${tenantName(requestedTenant(failure), failure)} denies tokens to app ${failure.clientId}. Policies for workload identities usually block by the IP address of the runner.`,
    who: requestedTenantAdmin(failure),
    fix: [
      `The sign-in log names the policy: Entra admin center, Sign-in logs, Service principal sign-ins, application ID ${failure.clientId}.`,
      'Use a runner with a fixed IP address that the policy allows, or exclude this service principal from the policy.',
    ],
  }),
  'The tenant belongs to another cloud': (failure) => ({
    says: 'AADSTS900382: Confidential Client is not supported in Cross Cloud request',
    codes: [],
    when: isEntraError(failure, 'AADSTS900382', /not supported in Cross Cloud request/i),
    cause: `${tenantName(requestedTenant(failure), failure).replace(/^t/, 'T')} is not in the cloud of ${failure.loginEndpoint}. App, tenants and \`environment\` must all belong to the same cloud.`,
    fix: [
      `Set \`environment\` to the cloud of the tenants, for example \`azureusgovernment\` or \`azurechinacloud\`; otherwise correct ${tenantInput(requestedTenant(failure), failure)}.`,
      'An app registration exists in one cloud only: use one that was registered in that cloud.',
    ],
  }),
  'The tenant does not exist': (failure) => ({
    says: 'AADSTS90002: Tenant … not found',
    cause: `Tenant ${unknownTenant(failure)} does not exist in the cloud of ${failure.loginEndpoint}.${sameTenant(unknownTenant(failure), failure.subscriptionId) ? ' It is the ID of the subscription.' : ''}`,
    fix: [
      `Correct ${tenantInput(unknownTenant(failure), failure)}; a common mistake is the ID of a subscription. Signed in to the right tenant, this prints its ID:`,
      ownTenantCommand,
      'If the tenant belongs to another cloud, set `environment`.',
    ],
  }),
  'The tenant is neither a GUID nor a domain': (failure) => ({
    says: 'AADSTS900023: Specified tenant identifier … is neither a valid DNS name, nor a valid external domain',
    cause: `"${unknownTenant(failure)}" is neither a tenant ID nor a verified domain.`,
    fix: [
      `Set ${tenantInput(unknownTenant(failure), failure)} to the GUID of the tenant. Signed in to it, this prints the GUID:`,
      ownTenantCommand,
    ],
  }),
  "GitHub's ID token expired before Entra received it": (failure) => ({
    says: 'AADSTS700024: Client assertion is not within its valid time range (sign-in with GitHub OIDC)',
    when: failure.oidc !== undefined,
    cause: `GitHub's ID token had expired when Entra received it. GitHub issued it for the time until ${assertionTimes(failure)}. Both times come from servers; the runner's clock plays no part.`,
    fix: [
      'Run the job again: the action requests a new ID token, valid for about 5 minutes, for each sign-in.',
      'If it happens again, something between the runner and Entra delays requests for minutes, such as a proxy.',
    ],
  }),
  'The signed assertion has expired or is not valid yet': (failure) => ({
    says: 'AADSTS700024: Client assertion is not within its valid time range',
    when: failure.oidc === undefined,
    cause: `The clock of the runner is wrong. The assertion that it signed with \`client-certificate\` was valid until ${assertionTimes(failure)}.`,
    who: runnerOwner,
    fix: ['Synchronize the clock of the self-hosted runner (NTP), and run the job again.'],
  }),
  'The certificate is not registered on the app': (failure) => ({
    says: 'AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application',
    cause: `The certificate in \`client-certificate\` is not registered on app ${failure.clientId}. It was removed or never added, or \`client-id\` names another app.`,
    who: appOwner(failure),
    fix: [
      'Compare the thumbprints, then register the certificate:',
      shellCommand`az ad app credential list --id ${failure.clientId} --cert`,
      shellCommand`az ad app credential reset --id ${failure.clientId} --cert @cert.pem --append`,
    ],
  }),
  'A user was signed in instead of an app': ({ clientId }) => ({
    says: 'AADSTS50034: The user account … does not exist in the … directory',
    cause: 'The credential belongs to a user, not to an app. Entra looked for a user account.',
    fix: [
      'Use the credential of an app registration: OIDC, `client-secret` or `client-certificate`. To show the app:',
      shellCommand`az ad app show --id ${clientId} --query "{name:displayName, audience:signInAudience}"`,
    ],
  }),
  'The subscription belongs to another tenant': (failure) => ({
    says: 'InvalidAuthenticationTokenTenant: The access token is from the wrong issuer',
    cause: `${wrongTenantInput(failure)} is the wrong tenant: the subscription belongs to tenant ${owningTenant(failure)}. The token is from ${tenantName(issuingTenant(failure), failure)}.`,
    fix: [
      `Set ${wrongTenantInput(failure)} to ${owningTenant(failure)}, or use a subscription of the intended tenant. To see which tenant owns it:`,
      ...showOwner(failure),
    ],
    ...explainSwappedInputs(failure),
  }),
  'The access token has expired': (failure) => ({
    says: 'ExpiredAuthenticationToken: The access token expiry UTC time … is earlier than current UTC time',
    cause: `The access token has expired. It was valid until ${messageText(failure, /expiry UTC time '([^']+)'/, '<expiry>')}, and Azure received it at ${messageText(failure, /current UTC time '([^']+)'/, '<now>')}.`,
    who: runnerOwner,
    fix: [
      'By the clock of the runner the token was still valid: the clock is wrong, or was changed during the run. Synchronize it (NTP), and run the job again.',
    ],
  }),
  'The token has no service principal': (failure) => ({
    says: "InvalidAuthenticationToken: at least one of the claims 'puid' or 'altsecid' or 'oid' should be present",
    message: /'oid' should be present/i,
    cause: `App ${failure.clientId} has no service principal in ${tenantName(tokenTenant(failure), failure)} yet. Its token has no oid claim.`,
    who: `an administrator of ${tenantName(tokenTenant(failure), failure)}`,
    fix: [...consent(tokenTenant(failure), failure.clientId, failure), 'Then wait a minute and run the job again.'],
  }),
  'Resource Manager refused one of the tokens': (failure) => {
    const named = refusedTenant(failure);
    const suspect = named ?? failure.imageTenantId;
    const auxiliaries = [`image tenant ${failure.imageTenantId}`, ...failure.auxiliaryTenantIds].join(', ');
    return {
      // Which text comes is not documented, only that it names the client and the tenant of the invalid token.
      says: '401 on the request that carries x-ms-authorization-auxiliary',
      when: hasCode(failure, 'InvalidAuthenticationToken')
        ? !/'oid' should be present/i.test(messagesOf(failure))
        : failure.status === 401 && failure.code === '' && !isFromEntra(failure),
      cause: named
        ? `Resource Manager refused the token of ${tenantName(named, failure)}. One invalid auxiliary token is enough to refuse the whole request.`
        : `Resource Manager refused one of the tokens of the request. It is the one of the VM's tenant (${failure.tenantId}) or an auxiliary one (${auxiliaries}); one invalid token is enough.`,
      who: `${workflowAuthor} first; then an administrator of ${tenantName(suspect, failure)}, where app ${failure.clientId} must have a service principal`,
      fix: [
        'Run the action with `operation: check`: it tests the token of each tenant separately.',
        'Check that the app is in that tenant:',
        loginCommand(suspect),
        shellCommand`az ad sp show --id ${failure.clientId}`,
      ],
    };
  },
};
