import { sameTenant } from '../azure/resource-id.ts';
import type { AzureErrorInfo } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  all,
  any,
  appOwner,
  areSameTenant,
  codeAndMessage,
  codeIs,
  fromEntra,
  idSegment,
  messageMatches,
  messagesOf,
  messageText,
  nobodyNeedsToAct,
  noCode,
  not,
  requestedTenant,
  requestedTenantAdmin,
  runnerOwner,
  statusIs,
  tenantInput,
  tenantName,
  workflowAuthor,
} from './entry.ts';

const errorCodes = 'https://learn.microsoft.com/entra/identity-platform/reference-error-codes';

/** The three ways to create the app's service principal in a tenant. */
function consent(tenant: string, clientId: string, known: FilledErrorContext): string[] {
  const [path, id] = [tenant, clientId].map(encodeURIComponent);
  return [
    `As an administrator of ${tenantName(tenant, known)}, open one of these URLs and accept. (AADSTS50011 or AADSTS500113 means that the app lacks the redirect URI https://www.microsoft.com/.)`,
    `${known.loginEndpoint}/${path}/adminconsent?client_id=${id}`,
    `${known.loginEndpoint}/${path}/oauth2/authorize?client_id=${id}&response_type=code&redirect_uri=https%3A%2F%2Fwww.microsoft.com%2F`,
    'Or on the command line:',
    loginCommand(tenant),
    shellCommand`az ad sp create --id ${clientId}`,
  ];
}

function loginCommand(tenant: string): string {
  return shellCommand`az login --tenant ${tenant} --allow-no-subscriptions`;
}

const ownTenantCommand = 'az account show --query tenantId -o tsv';

const newSecret = (clientId: string) => [
  'Create a new secret, and store its value (not its ID) in the secret that `client-secret` reads:',
  shellCommand`az ad app credential reset --id ${clientId} --append --years 1`,
  'Or remove `client-secret` and use GitHub OIDC (`permissions: id-token: write`), which has no secret that expires.',
];

const clientIn = (pattern: RegExp) => (fault: AzureErrorInfo, known: FilledErrorContext) =>
  messageText(fault, pattern, known.clientId);

const notFoundClient = clientIn(/identifier '([^']+)'/);

const unconsentedClient = clientIn(/client application (\S+)/);

const namedTenant = (fault: AzureErrorInfo) =>
  messageText(fault, /in the tenant ([0-9a-f-]{36})/i, requestedTenant(fault));

const unknownTenant = (fault: AzureErrorInfo) =>
  messageText(fault, /(?:Tenant|identifier) '([^']+)'/, requestedTenant(fault));

const issuingTenant = (fault: AzureErrorInfo, { tenantId }: FilledErrorContext) =>
  messageText(fault, /wrong issuer 'https:\/\/[^/]+\/([^/']+)/, tenantId);

const owningTenant = (fault: AzureErrorInfo) =>
  messageText(fault, /match the tenant 'https:\/\/[^/]+\/([^/']+)/, '<owning-tenant-id>');

/** The tenant that a 401 names. The VM's comes last, because the message may name it in addition to the refused one. */
function refusedTenant(fault: AzureErrorInfo, known: FilledErrorContext): string | undefined {
  const messages = messagesOf(fault).toLowerCase();
  const { imageTenantId, auxiliaryTenantIds, tenantId, tenantGuids } = known;
  const isNamed = (tenant: string): boolean =>
    [tenant, tenantGuids.get(tenant.toLowerCase()) ?? tenant].some((name) => messages.includes(name.toLowerCase()));
  return (
    [imageTenantId, ...auxiliaryTenantIds, tenantId].find(isNamed) ??
    // A tenant that an input names by its domain is unknown before its sign-in.
    /\btenant\W+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/.exec(messages)?.[1]
  );
}

/** Whether the request went to the image's subscription, and so carried the image tenant's token. */
function isImageRequest({ url }: AzureErrorInfo, { subscriptionId, imageId }: FilledErrorContext): boolean {
  const subscription = idSegment(url, 'subscriptions')?.toLowerCase();
  return (
    subscription !== undefined &&
    subscription === idSegment(imageId, 'subscriptions')?.toLowerCase() &&
    subscription !== subscriptionId.toLowerCase()
  );
}

const tokenTenant = (fault: AzureErrorInfo, known: FilledErrorContext): string =>
  isImageRequest(fault, known) ? known.imageTenantId : known.tenantId;

/** `tenant-id` where the input for images has the right value, and the other way round. */
function areInputsSwapped(fault: AzureErrorInfo, known: FilledErrorContext): boolean {
  const other = isImageRequest(fault, known) ? known.tenantId : known.imageTenantId;
  return areSameTenant(owningTenant(fault), other, known) && !areSameTenant(known.tenantId, known.imageTenantId, known);
}

/** `subscription-id` is the image's own, so `image-tenant-id` is right. */
function isImageSubscription(fault: AzureErrorInfo, known: FilledErrorContext): boolean {
  const image = idSegment(known.imageId, 'subscriptions')?.toLowerCase();
  return (
    image !== undefined &&
    image === idSegment(fault.url, 'subscriptions')?.toLowerCase() &&
    !isImageRequest(fault, known) &&
    areSameTenant(owningTenant(fault), known.imageTenantId, known) &&
    !areSameTenant(known.tenantId, known.imageTenantId, known)
  );
}

function wrongTenantCause(fault: AzureErrorInfo, known: FilledErrorContext): string {
  const subscription = idSegment(fault.url, 'subscriptions') ?? '';
  const owner = owningTenant(fault);
  if (isImageSubscription(fault, known))
    return `\`subscription-id\` is the subscription of the image. ${subscription} belongs to ${tenantName(owner, known)}; the VM is to be created in ${tenantName(known.tenantId, known)}.`;
  if (areInputsSwapped(fault, known))
    return `\`tenant-id\` and \`image-tenant-id\` are swapped. The subscription ${subscription} belongs to tenant ${owner}.`;
  return `${wrongTenantInput(fault, known)} is the wrong tenant: the subscription belongs to tenant ${owner}. The token is from ${tenantName(issuingTenant(fault, known), known)}.`;
}

function wrongTenantFix(fault: AzureErrorInfo, known: FilledErrorContext): readonly string[] {
  if (isImageSubscription(fault, known))
    return [
      'Set `subscription-id` to the subscription in which the VM is created. To list those of its tenant:',
      shellCommand`az account list --all --query ${`[?tenantId=='${known.tenantId}'].{name:name, id:id}`} -o table`,
    ];
  return [
    areInputsSwapped(fault, known)
      ? `Swap them: \`tenant-id\` is the tenant of the VM (${known.imageTenantId}), \`image-tenant-id\` that of the gallery (${known.tenantId}).`
      : `Set ${wrongTenantInput(fault, known)} to ${owningTenant(fault)}, or use a subscription of the intended tenant. To see which tenant owns it:`,
    shellCommand`az account list --all --query ${`[?id=='${idSegment(fault.url, 'subscriptions') ?? known.subscriptionId}'].tenantId`} -o tsv`,
    'If the subscription was just transferred to another tenant, wait up to an hour.',
  ];
}

/** The input with the wrong tenant: the request decides, because both inputs may have the same value. */
function wrongTenantInput(fault: AzureErrorInfo, known: FilledErrorContext): string {
  if (isImageRequest(fault, known)) return '`image-tenant-id`';
  return tenantInput(issuingTenant(fault, known), known);
}

export const signInEntries: readonly Entry[] = [
  {
    id: 'secret-wrong',
    title: 'The client secret is wrong',
    says: 'AADSTS7000215: Invalid client secret provided',
    source: 'https://github.com/OfficeDev/microsoft-365-agents-toolkit/issues/8621',
    cause: (fault, known) =>
      `\`client-secret\` is not a valid secret of app ${clientIn(/app '([^']+)'/)(fault, known)}. It is mistyped, belongs to another app, or is the secret's ID instead of its value.`,
    who: appOwner,
    fix: (_, { clientId }) => newSecret(clientId),
  },
  {
    id: 'secret-expired',
    title: 'The client secret has expired',
    says: 'AADSTS7000222: The provided client secret keys for app … are expired',
    source: errorCodes,
    cause: (fault, known) => `The client secret of app ${clientIn(/app '([^']+)'/)(fault, known)} has expired.`,
    who: appOwner,
    fix: (_, { clientId }) => newSecret(clientId),
  },
  {
    id: 'app-not-in-tenant',
    title: 'The app is not in that tenant',
    says: 'AADSTS700016: Application with identifier … was not found in the directory',
    source: errorCodes,
    cause: (fault, known) =>
      `App ${notFoundClient(fault, known)} has no service principal in ${tenantName(requestedTenant(fault), known)}. No administrator has consented to it there, the app is single-tenant, or an ID is mistyped.`,
    who: requestedTenantAdmin,
    fix: (fault, known) => [
      ...consent(requestedTenant(fault), notFoundClient(fault, known), known),
      'If Entra refuses that as well, the app is single-tenant. Its owner changes this in its home tenant:',
      shellCommand`az ad app update --id ${notFoundClient(fault, known)} --sign-in-audience AzureADMultipleOrgs`,
      `Also compare \`client-id\` and ${tenantInput(requestedTenant(fault), known)} with the portal.`,
    ],
  },
  {
    id: 'no-service-principal',
    title: 'The app has no service principal in that tenant',
    says: 'AADSTS7000229: The client application … is missing service principal in the tenant',
    source: errorCodes,
    cause: (fault, known) =>
      `App ${unconsentedClient(fault, known)} has no service principal in ${tenantName(namedTenant(fault), known)}.`,
    who: (fault, known) => `an administrator of ${tenantName(namedTenant(fault), known)}`,
    fix: (fault, known) => consent(namedTenant(fault), unconsentedClient(fault, known), known),
  },
  {
    id: 'app-disabled',
    title: 'The app is disabled in that tenant',
    says: 'AADSTS7000112: Application … is disabled',
    source:
      'https://learn.microsoft.com/troubleshoot/entra/entra-id/app-integration/error-code-aadsts7000112-application-is-disabled',
    match: all(fromEntra, any(codeIs('AADSTS7000112'), messageMatches(/^Application '[^']*' ?\([^)]*\) is disabled/))),
    cause: (fault, known) =>
      `The service principal of app ${clientIn(/Application '([^']+)'/)(fault, known)} is disabled in ${tenantName(requestedTenant(fault), known)}.`,
    who: requestedTenantAdmin,
    fix: (fault, known) => [
      'Find out why it was disabled. To enable it again:',
      loginCommand(requestedTenant(fault)),
      shellCommand`az ad sp update --id ${clientIn(/Application '([^']+)'/)(fault, known)} --set accountEnabled=true`,
    ],
  },
  {
    id: 'conditional-access',
    title: 'Conditional Access blocks the app',
    says: 'AADSTS53003: Access has been blocked by Conditional Access policies',
    source: errorCodes,
    cause: (fault, known) =>
      `A Conditional Access policy in ${tenantName(requestedTenant(fault), known)} denies tokens to app ${known.clientId}. Policies for workload identities usually block by the IP address of the runner.`,
    who: requestedTenantAdmin,
    fix: (_, { clientId }) => [
      `The sign-in log names the policy: Entra admin center, Sign-in logs, Service principal sign-ins, application ID ${clientId}.`,
      'Use a runner with a fixed IP address that the policy allows, or exclude this service principal from the policy.',
    ],
  },
  {
    id: 'other-cloud',
    title: 'The tenant belongs to another cloud',
    says: 'AADSTS900382: Confidential Client is not supported in Cross Cloud request',
    source: 'https://github.com/MicrosoftDocs/azure-docs/issues/35616',
    match: all(fromEntra, any(codeIs('AADSTS900382'), messageMatches(/not supported in Cross Cloud request/i))),
    cause: (fault, known) =>
      `${tenantName(requestedTenant(fault), known).replace(/^t/, 'T')} is not in the cloud of ${known.loginEndpoint}. App, tenants and \`environment\` must all belong to the same cloud.`,
    fix: (fault, known) => [
      `Set \`environment\` to the cloud of the tenants, for example \`azureusgovernment\` or \`azurechinacloud\`; otherwise correct ${tenantInput(requestedTenant(fault), known)}.`,
      'An app registration exists in one cloud only: use one that was registered in that cloud.',
    ],
  },
  {
    id: 'tenant-not-found',
    title: 'The tenant does not exist',
    says: 'AADSTS90002: Tenant … not found',
    source: errorCodes,
    cause: (fault, known) => {
      const isSubscription = sameTenant(unknownTenant(fault), known.subscriptionId);
      return `Tenant ${unknownTenant(fault)} does not exist in the cloud of ${known.loginEndpoint}.${isSubscription ? ' It is the ID of the subscription.' : ''}`;
    },
    fix: (fault, known) => [
      `Correct ${tenantInput(unknownTenant(fault), known)}; a common mistake is the ID of a subscription. Signed in to the right tenant, this prints its ID:`,
      ownTenantCommand,
      'If the tenant belongs to another cloud, set `environment`.',
    ],
  },
  {
    id: 'tenant-malformed',
    title: 'The tenant is neither a GUID nor a domain',
    says: 'AADSTS900023: Specified tenant identifier … is neither a valid DNS name, nor a valid external domain',
    source: errorCodes,
    cause: (fault) => `"${unknownTenant(fault)}" is neither a tenant ID nor a verified domain.`,
    fix: (fault, known) => [
      `Set ${tenantInput(unknownTenant(fault), known)} to the GUID of the tenant. Signed in to it, this prints the GUID:`,
      ownTenantCommand,
    ],
  },
  {
    id: 'id-token-expired',
    title: "GitHub's ID token expired before Entra received it",
    says: 'AADSTS700024: Client assertion is not within its valid time range (sign-in with GitHub OIDC)',
    source: errorCodes,
    match: (fault, known) => codeIs('AADSTS700024')(fault, known) && known.oidc !== undefined,
    cause: (fault) =>
      `GitHub's ID token had expired when Entra received it. GitHub issued it for the time until ${assertionExpiry(fault)}, and Entra received it at ${entraTime(fault)}. Both times come from servers; the runner's clock plays no part.`,
    fix: [
      'Run the job again: the action requests a new ID token, valid for about 5 minutes, for each sign-in.',
      'If it happens again, something between the runner and Entra delays requests for minutes, such as a proxy.',
    ],
  },
  {
    id: 'assertion-expired',
    title: 'The signed assertion has expired or is not valid yet',
    says: 'AADSTS700024: Client assertion is not within its valid time range',
    source: errorCodes,
    match: (fault, known) => codeIs('AADSTS700024')(fault, known) && known.oidc === undefined,
    cause: (fault) =>
      `The clock of the runner is wrong. The assertion that it signed with \`client-certificate\` was valid until ${assertionExpiry(fault)}, and Entra received it at ${entraTime(fault)}.`,
    who: runnerOwner,
    fix: ['Synchronize the clock of the self-hosted runner (NTP), and run the job again.'],
  },
  {
    id: 'certificate-unknown',
    title: 'The certificate is not registered on the app',
    says: 'AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application',
    source: errorCodes,
    cause: (_, { clientId }) =>
      `The certificate in \`client-certificate\` is not registered on app ${clientId}. It was removed or never added, or \`client-id\` names another app.`,
    who: appOwner,
    fix: (_, { clientId }) => [
      'Compare the thumbprints, then register the certificate:',
      shellCommand`az ad app credential list --id ${clientId} --cert`,
      shellCommand`az ad app credential reset --id ${clientId} --cert @cert.pem --append`,
    ],
  },
  {
    id: 'user-sign-in',
    title: 'A user was signed in instead of an app',
    says: 'AADSTS50034: The user account … does not exist in the … directory',
    source: errorCodes,
    cause: 'The credential belongs to a user, not to an app. Entra looked for a user account.',
    fix: (_, { clientId }) => [
      'Use the credential of an app registration: OIDC, `client-secret` or `client-certificate`. To show the app:',
      shellCommand`az ad app show --id ${clientId} --query "{name:displayName, audience:signInAudience}"`,
    ],
  },
  {
    id: 'token-of-wrong-tenant',
    title: 'The subscription belongs to another tenant',
    says: 'InvalidAuthenticationTokenTenant: The access token is from the wrong issuer',
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/management/authenticate-multi-tenant',
    cause: wrongTenantCause,
    fix: wrongTenantFix,
  },
  {
    id: 'token-expired',
    title: 'The access token has expired',
    says: 'ExpiredAuthenticationToken: The access token expiry UTC time … is earlier than current UTC time',
    source: 'https://github.com/hashicorp/terraform-provider-azurerm/issues/20867',
    cause: (fault) =>
      `The access token has expired. It was valid until ${messageText(fault, /expiry UTC time '([^']+)'/, '<expiry>')}, and Azure received it at ${messageText(fault, /current UTC time '([^']+)'/, '<now>')}.`,
    who: nobodyNeedsToAct,
    fix: [
      'The action requests a new token and repeats the request. If it gave up, the clock of the runner is wrong: synchronize it (NTP), and run the job again.',
    ],
  },
  {
    id: 'token-without-principal',
    title: 'The token has no service principal',
    says: "InvalidAuthenticationToken: at least one of the claims 'puid' or 'altsecid' or 'oid' should be present",
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors',
    match: codeAndMessage('InvalidAuthenticationToken', /'oid' should be present/i),
    cause: (fault, known) =>
      `App ${known.clientId} has no service principal in ${tenantName(tokenTenant(fault, known), known)} yet. Its token has no oid claim.`,
    who: (fault, known) => `an administrator of ${tenantName(tokenTenant(fault, known), known)}`,
    fix: (fault, known) => [
      ...consent(tokenTenant(fault, known), known.clientId, known),
      'Then wait a minute and run the job again.',
    ],
  },
  {
    // Which text comes is not documented, only that it names the client and the tenant of the invalid token.
    id: 'token-refused',
    title: 'Resource Manager refused one of the tokens',
    says: '401 on the request that carries x-ms-authorization-auxiliary',
    source: 'https://learn.microsoft.com/azure/azure-resource-manager/management/authenticate-multi-tenant',
    match: any(
      all(codeIs('InvalidAuthenticationToken'), not(messageMatches(/'oid' should be present/i))),
      all(statusIs(401), noCode, not(fromEntra)),
    ),
    cause: (fault, known) => {
      const named = refusedTenant(fault, known);
      if (named) {
        return `Resource Manager refused the token of ${tenantName(named, known)}. One invalid auxiliary token is enough to refuse the whole request.`;
      }
      const auxiliaries = [`image tenant ${known.imageTenantId}`, ...known.auxiliaryTenantIds].join(', ');
      return `Resource Manager refused one of the tokens of the request. It is the one of the VM's tenant (${known.tenantId}) or an auxiliary one (${auxiliaries}); one invalid token is enough.`;
    },
    who: (fault, known) =>
      `${workflowAuthor} first; then an administrator of ${tenantName(refusedTenant(fault, known) ?? known.imageTenantId, known)}, where app ${known.clientId} must have a service principal`,
    fix: (fault, known) => [
      'Run the action with `operation: check`: it tests the token of each tenant separately.',
      'Check that the app is in that tenant:',
      loginCommand(refusedTenant(fault, known) ?? known.imageTenantId),
      shellCommand`az ad sp show --id ${known.clientId}`,
    ],
  },
];

function assertionExpiry(fault: AzureErrorInfo): string {
  return messageText(fault, /expiry time of assertion (\S+?)\.?(?:\s|$)/, '<expiry>');
}

function entraTime(fault: AzureErrorInfo): string {
  return messageText(fault, /Current time: (\S+?),/, '<now>');
}
