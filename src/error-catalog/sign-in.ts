import type { AzureErrorInfo } from '../errors/azure-error.ts';
import type { OidcClaims } from '../errors/action-error.ts';
import { quoteForShell } from '../lib/escape.ts';
import {
  type Entry,
  type FilledErrorContext,
  all,
  any,
  appOwner,
  codeIs,
  isSameTenant,
  messageMatches,
  messageText,
  noCode,
  nobodyNeedsToAct,
  not,
  requestedTenant,
  requestedTenantAdmin,
  runnerOwner,
  statusIs,
  tenantInput,
  tenantName,
  wordsOf,
  workflowAuthor,
} from './entry.ts';
import { idSegment } from './role-commands.ts';

/** The three ways to give an app a service principal in a tenant, for the very tenant that lacks it. */
function consent(tenant: string, clientId: string, known: FilledErrorContext): string[] {
  const { loginEndpoint } = known;
  return [
    `As an administrator of ${tenantName(tenant, known)}, open one of these and accept (AADSTS50011 or AADSTS500113 instead of the question says that the app lacks https://www.microsoft.com/ as a redirect URI):`,
    `${loginEndpoint}/${tenant}/adminconsent?client_id=${clientId}`,
    `${loginEndpoint}/${tenant}/oauth2/authorize?client_id=${clientId}&response_type=code&redirect_uri=https%3A%2F%2Fwww.microsoft.com%2F`,
    'Or, on the command line:',
    `az login --tenant ${tenant} --allow-no-subscriptions`,
    `az ad sp create --id ${clientId}`,
  ];
}

/** https://learn.microsoft.com/entra/workload-id/workload-identities-github-immutable-subjects */
const immutableSubject = /^repo:([^/:@]+)@(\d+)\/([^/:@]+)@(\d+):(.+)$/;

const classicSubject = /^repo:([^/:@]+)\/([^/:@]+):(.+)$/;

/** GitHub Enterprise Server, which has no immutable subjects: `https://host/_services/token`. */
const enterpriseServer = /\/_services\/token$/;

/** The subject in the form that the token does not have; undefined where there is none, as for customised subjects. */
function otherSubjectForm({ issuer, subject, ownerId, repositoryId }: OidcClaims): string | undefined {
  if (enterpriseServer.test(issuer)) return undefined;
  const [, owner, , repository, , rest] = immutableSubject.exec(subject) ?? [];
  if (owner) return `repo:${owner}/${repository}:${rest}`;
  const [, name, repo, context] = classicSubject.exec(subject) ?? [];
  if (!name) return undefined;
  return `repo:${name}@${ownerId ?? '<owner-id>'}/${repo}@${repositoryId ?? '<repository-id>'}:${context}`;
}

/** The claims as known, else as Entra quotes them. It quotes the issuer with a slash that the token does not have. */
function oidcClaimLines(fault: AzureErrorInfo, { oidc }: FilledErrorContext): OidcClaims {
  return {
    issuer: messageText(fault, /issuer:? '([^']+?)\/?'/i, 'https://token.actions.githubusercontent.com'),
    subject: messageText(fault, /subject:? '([^']+)'/i, '<subject>'),
    audience: messageText(fault, /audience:? '([^']+)'/i, 'api://AzureADTokenExchange'),
    ...oidc,
  };
}

function credentialCommand({ issuer, audience }: OidcClaims, subject: string, clientId: string): string {
  // Names take letters, digits, - and _, and 120 characters at most.
  const name = subject
    .replaceAll(/[^a-zA-Z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
    .slice(0, 100);
  const parameters = JSON.stringify({ name: `github-${name}`, issuer, subject, audiences: [audience] });
  return `az ad app federated-credential create --id ${quoteForShell(clientId)} --parameters '${parameters.replaceAll("'", String.raw`'\''`)}'`;
}

/** How to make the app trust this job's token: for the subject as it is, and in the other form that GitHub gives. */
function federatedCredentialFix(fault: AzureErrorInfo, known: FilledErrorContext): string[] {
  const claims = oidcClaimLines(fault, known);
  const { issuer, subject, audience } = claims;
  const other = otherSubjectForm(claims);
  const isImmutable = immutableSubject.test(subject);
  const [, owner, repository] = classicSubject.exec(subject) ?? [];
  return [
    `This job's token says: issuer ${issuer}, subject ${subject}, audience ${audience}. Add a federated credential with exactly these (letter case counts), signed in to the app's home tenant:`,
    credentialCommand(claims, subject, known.clientId),
    ...(other
      ? [
          isImmutable
            ? 'Repositories without immutable subjects send the classic form; for those:'
            : 'A repository created or renamed since 2026-07-15, or one that opted in, sends the immutable form; for those:',
          credentialCommand(claims, other, known.clientId),
        ]
      : []),
    ...(other?.includes('<owner-id>')
      ? ['The two IDs in it:', `gh api repos/${owner}/${repository} --jq '.owner.id, .id'`]
      : []),
    'The same credential serves every tenant that the app is in. It takes a few minutes to work; an app holds at most 20.',
  ];
}

const namedTenant = (fault: AzureErrorInfo) =>
  messageText(fault, /in the tenant ([0-9a-f-]{36})/i, requestedTenant(fault));

const issuingTenant = (fault: AzureErrorInfo, { tenantId }: FilledErrorContext) =>
  messageText(fault, /wrong issuer 'https:\/\/[^/]+\/([^/']+)/, tenantId);

const appHomeTenant = (fault: AzureErrorInfo) =>
  messageText(fault, /match the tenant 'https:\/\/[^/]+\/([^/']+)/, '<owning-tenant-id>');

/** The tenant that the refusal of a token names; the VM's own last, since it may be named besides the guilty one. */
function refusedTenant(fault: AzureErrorInfo, known: FilledErrorContext): string | undefined {
  const words = wordsOf(fault).toLowerCase();
  const { imageTenantId, auxiliaryTenantIds, tenantId, tenantGuids } = known;
  const isNamed = (one: string): boolean =>
    [one, tenantGuids.get(one.toLowerCase()) ?? one].some((name) => words.includes(name.toLowerCase()));
  return (
    [imageTenantId, ...auxiliaryTenantIds, tenantId].find(isNamed) ??
    // Given by a domain and not signed in to, it is not recognised.
    /\btenant\W+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/.exec(words)?.[1]
  );
}

/** The tenant whose token a request carries: what is asked of the image's subscription goes with the image tenant's. */
function carriedTenant(
  { url }: AzureErrorInfo,
  { subscriptionId, imageId, imageTenantId, tenantId }: FilledErrorContext,
): string {
  const subscription = idSegment(url, 'subscriptions')?.toLowerCase();
  const ofImage =
    subscription !== undefined &&
    subscription === idSegment(imageId, 'subscriptions')?.toLowerCase() &&
    subscription !== subscriptionId.toLowerCase();
  return ofImage ? imageTenantId : tenantId;
}

export const signInEntries: readonly Entry[] = [
  {
    id: 'secret-wrong',
    title: 'The client secret is wrong',
    says: 'AADSTS7000215: Invalid client secret provided',
    match: codeIs('AADSTS7000215'),
    cause: (fault, { clientId }) =>
      `The secret is wrong, its ID was pasted instead of its value, or it belongs to another app than ${messageText(fault, /app '([^']+)'/, clientId)}.`,
    who: appOwner,
    fix: (_, { clientId }) => [
      'Make a new secret and store its value (not its ID) as the secret that `client-secret` reads:',
      `az ad app credential reset --id ${clientId} --append --years 1`,
      'Or leave `client-secret` out and use GitHub OIDC (`permissions: id-token: write`): nothing to store, nothing to expire.',
    ],
  },
  {
    id: 'secret-expired',
    title: 'The client secret has expired',
    says: 'AADSTS7000222: The provided client secret keys for app … are expired',
    match: codeIs('AADSTS7000222'),
    cause: (fault, { clientId }) =>
      `The client secret of app ${messageText(fault, /app '([^']+)'/, clientId)} has expired.`,
    who: appOwner,
    fix: (_, { clientId }) => [
      'Make a new one and store its value as the secret that `client-secret` reads:',
      `az ad app credential reset --id ${clientId} --append --years 1`,
      'Or leave `client-secret` out and use GitHub OIDC (`permissions: id-token: write`), which does not expire.',
    ],
  },
  {
    id: 'app-not-in-tenant',
    title: 'The app is not in that tenant',
    says: 'AADSTS700016: Application with identifier … was not found in the directory',
    match: codeIs('AADSTS700016'),
    cause: (fault, known) =>
      `App ${messageText(fault, /identifier '([^']+)'/, known.clientId)} has no service principal in ${tenantName(requestedTenant(fault), known)}: nobody has consented to it there, the app is single-tenant, or an ID is mistyped.`,
    who: requestedTenantAdmin,
    fix: (fault, known) => {
      const clientId = messageText(fault, /identifier '([^']+)'/, known.clientId);
      return [
        ...consent(requestedTenant(fault), clientId, known),
        'If that is refused too, the app is single-tenant; its owner changes that in its home tenant:',
        `az ad app update --id ${clientId} --sign-in-audience AzureADMultipleOrgs`,
        `Compare \`client-id\` and ${tenantInput(requestedTenant(fault), known)} with the portal, too.`,
      ];
    },
  },
  {
    id: 'no-service-principal',
    title: 'The app has no service principal in that tenant',
    says: 'AADSTS7000229: The client application … is missing service principal in the tenant',
    match: codeIs('AADSTS7000229'),
    cause: (fault, known) =>
      `App ${messageText(fault, /client application (\S+)/, known.clientId)} is registered but has no service principal in ${tenantName(namedTenant(fault), known)}.`,
    who: (fault, known) => `an administrator of ${tenantName(namedTenant(fault), known)}`,
    fix: (fault, known) =>
      consent(namedTenant(fault), messageText(fault, /client application (\S+)/, known.clientId), known),
  },
  {
    // https://learn.microsoft.com/troubleshoot/entra/entra-id/app-integration/error-code-aadsts7000112-application-is-disabled
    id: 'app-disabled',
    title: 'The app is switched off in that tenant',
    says: 'AADSTS7000112: Application … is disabled',
    match: codeIs('AADSTS7000112'),
    cause: (fault, known) =>
      `The service principal of app ${messageText(fault, /Application '([^']+)'/, known.clientId)} is disabled in ${tenantName(requestedTenant(fault), known)}.`,
    who: requestedTenantAdmin,
    fix: (fault, { clientId }) => [
      'Find out why it was disabled; to enable it again:',
      `az login --tenant ${requestedTenant(fault)} --allow-no-subscriptions`,
      `az ad sp update --id ${clientId} --set accountEnabled=true`,
    ],
  },
  {
    // https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    id: 'conditional-access',
    title: 'Conditional Access blocks the app',
    says: 'AADSTS53003: Access has been blocked by Conditional Access policies',
    match: codeIs('AADSTS53003'),
    cause: (fault, known) =>
      `A Conditional Access policy for workload identities in ${tenantName(requestedTenant(fault), known)} refuses tokens to app ${known.clientId}, most often because of the address that the runner comes from.`,
    who: requestedTenantAdmin,
    fix: (_, { clientId }) => [
      `The sign-in log of the service principal names the policy: Entra admin centre, Sign-in logs, Service principal sign-ins, application ID ${clientId}.`,
      'Use a runner with a fixed address that the policy allows, or have the policy exclude this service principal.',
    ],
  },
  {
    id: 'tenant-not-found',
    title: 'There is no such tenant',
    says: 'AADSTS90002: Tenant … not found',
    match: codeIs('AADSTS90002'),
    cause: (fault, known) => {
      const tenant = messageText(fault, /Tenant '([^']+)'/, requestedTenant(fault));
      const mixedUp = isSameTenant(tenant, known.subscriptionId) ? ' It is the ID of the subscription.' : '';
      return `Tenant ${tenant} does not exist in the cloud of ${known.loginEndpoint}.${mixedUp}`;
    },
    who: workflowAuthor,
    fix: (fault, known) => [
      `Correct ${tenantInput(messageText(fault, /Tenant '([^']+)'/, requestedTenant(fault)), known)} (a subscription's ID is often taken for it). Signed in to the right tenant, this prints its ID:`,
      'az account show --query tenantId -o tsv',
      'If the tenant belongs to another cloud, set `environment`.',
    ],
  },
  {
    id: 'tenant-malformed',
    title: 'The tenant is neither a GUID nor a domain',
    says: 'AADSTS900023: Specified tenant identifier … is neither a valid DNS name, nor a valid external domain',
    match: codeIs('AADSTS900023'),
    cause: (fault) =>
      `"${messageText(fault, /identifier '([^']+)'/, requestedTenant(fault))}" is neither a tenant ID nor a verified domain.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      `Give ${tenantInput(messageText(fault, /identifier '([^']+)'/, requestedTenant(fault)), known)} as GUID. Signed in to the tenant, this prints it:`,
      'az account show --query tenantId -o tsv',
    ],
  },
  {
    id: 'federated-subject',
    title: 'No federated credential for this subject',
    says: 'AADSTS700213: No matching federated identity record found for presented assertion subject',
    match: codeIs('AADSTS700213'),
    cause: (fault, known) =>
      `The app has no federated credential for the subject ${oidcClaimLines(fault, known).subject}: it is for another branch, tag, event or environment, or for the other form of the subject (with or without the IDs of owner and repository).`,
    who: appOwner,
    fix: federatedCredentialFix,
  },
  {
    // https://github.com/Azure/login/issues/517 and
    // https://learn.microsoft.com/entra/identity-platform/reference-breaking-changes
    id: 'federated-subject-case',
    title: 'The subject differs in letter case',
    says: 'AADSTS7002138: … The subject matches with case-insensitive comparison, but not with case-sensitive comparison',
    match: codeIs('AADSTS7002138'),
    cause: (fault, known) =>
      `The app's federated credential differs from the subject ${oidcClaimLines(fault, known).subject} in upper and lower case only; Entra compares the case of owner, repository, branch and environment.`,
    who: appOwner,
    fix: federatedCredentialFix,
  },
  {
    id: 'federated-issuer',
    title: 'No federated credential for this issuer',
    says: 'AADSTS700211: No matching federated identity record found for presented assertion issuer',
    match: codeIs('AADSTS700211'),
    cause: (fault, known) =>
      `No federated credential of app ${known.clientId} has the issuer ${oidcClaimLines(fault, known).issuer} (without a slash at the end): it is written otherwise, GitHub Enterprise has an issuer of its own, or \`client-id\` names another app.`,
    who: appOwner,
    fix: (fault, known) => [
      'See what is registered:',
      `az ad app federated-credential list --id ${known.clientId} -o table`,
      ...federatedCredentialFix(fault, known),
    ],
  },
  {
    id: 'federated-audience',
    title: 'No federated credential for this audience',
    says: 'AADSTS700212: No matching federated identity record found for presented assertion audience',
    match: codeIs('AADSTS700212'),
    cause: (fault, known) =>
      `The token was asked for the audience ${oidcClaimLines(fault, known).audience}, and no federated credential of app ${known.clientId} has it.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      'Leave the `audience` input out: by default it is the one of the cloud, `api://AzureADTokenExchange` in the public one. Or register the other:',
      ...federatedCredentialFix(fault, known),
    ],
  },
  {
    id: 'federated-none-matching',
    title: 'No federated credential matches the token',
    says: 'AADSTS70021: No matching federated identity record found for presented assertion',
    match: codeIs('AADSTS70021'),
    cause: (fault, known) =>
      `No federated credential of app ${known.clientId} matches the token of subject ${oidcClaimLines(fault, known).subject} (issuer, subject and audience must all be equal), or one that does was added only minutes ago.`,
    who: appOwner,
    fix: (fault, known) => [
      'If such a credential was just added, run the job again in a few minutes.',
      ...federatedCredentialFix(fault, known),
    ],
  },
  {
    // https://github.com/microsoft/AL-Go/issues/1147
    id: 'federated-none-configured',
    title: 'The app has no federated credential at all',
    says: 'AADSTS70025: The client … has no configured federated identity credentials',
    match: codeIs('AADSTS70025'),
    cause: (_, { clientId }) =>
      `App ${clientId} has no federated credential, so no token of GitHub can sign it in.`,
    who: appOwner,
    fix: (fault, known) => [
      ...federatedCredentialFix(fault, known),
      'Without OIDC, give `client-secret` or `client-certificate`.',
    ],
  },
  {
    id: 'assertion-expired',
    title: 'The signed assertion is too old or not valid yet',
    says: 'AADSTS700024: Client assertion is not within its valid time range',
    match: codeIs('AADSTS700024'),
    cause: (fault) =>
      `Entra's clock said ${messageText(fault, /Current time: (\S+?),/, '<now>')} and the assertion was valid until ${messageText(fault, /expiry time of assertion (\S+?)\.?(?:\s|$)/, '<expiry>')}. GitHub's tokens live 5 minutes and this action takes a new one each time, so the runner's clock is wrong or the request was held up.`,
    who: runnerOwner,
    fix: ['Set the clock of the self-hosted runner (NTP) and run the job again.'],
  },
  {
    id: 'certificate-unknown',
    title: 'The certificate is not registered on the app',
    says: 'AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application',
    match: codeIs('AADSTS700027'),
    cause: (_, { clientId }) =>
      `The certificate in \`client-certificate\` is not, or no longer, registered on app ${clientId}, or \`client-id\` names another app.`,
    who: appOwner,
    fix: (_, { clientId }) => [
      'Compare the thumbprints, then register the certificate:',
      `az ad app credential list --id ${clientId} --cert`,
      `az ad app credential reset --id ${clientId} --cert @cert.pem --append`,
    ],
  },
  {
    id: 'user-sign-in',
    title: 'A user was signed in instead of an app',
    says: 'AADSTS50034: The user account … does not exist in the … directory',
    match: codeIs('AADSTS50034'),
    cause:
      'Entra looked for a user. Apps never get this answer: what was sent is not the credential of an app.',
    who: workflowAuthor,
    fix: (_, { clientId }) => [
      'Use the credential of an app registration: OIDC, `client-secret` or `client-certificate`. This shows the app:',
      `az ad app show --id ${clientId} --query "{name:displayName, audience:signInAudience}"`,
    ],
  },
  {
    id: 'token-of-wrong-tenant',
    title: 'The subscription belongs to another tenant',
    says: 'InvalidAuthenticationTokenTenant: The access token is from the wrong issuer',
    match: codeIs('InvalidAuthenticationTokenTenant'),
    cause: (fault, known) =>
      `The token is of ${tenantName(issuingTenant(fault, known), known)}, but the subscription belongs to tenant ${appHomeTenant(fault)}.`,
    who: workflowAuthor,
    fix: (fault, known) => [
      `Set ${tenantInput(issuingTenant(fault, known), known)} to ${appHomeTenant(fault)}, or give a subscription of the tenant that was meant (\`tenant-id\` and \`image-tenant-id\` may be swapped). This shows which tenant owns it:`,
      `az account list --all --query "[?id=='${idSegment(fault.url, 'subscriptions') ?? known.subscriptionId}'].tenantId" -o tsv`,
      'If the subscription has just moved to another tenant, wait up to an hour.',
    ],
  },
  {
    id: 'token-expired',
    title: 'The access token has expired',
    says: 'ExpiredAuthenticationToken: The access token expiry UTC time … is earlier than current UTC time',
    match: codeIs('ExpiredAuthenticationToken'),
    cause: (fault) =>
      `The token was valid until ${messageText(fault, /expiry UTC time '([^']+)'/, '<expiry>')}, and by Azure's clock it was ${messageText(fault, /current UTC time '([^']+)'/, '<now>')}.`,
    who: nobodyNeedsToAct,
    fix: [
      "The action takes a new token and repeats the request. If it was the last word nevertheless, the runner's clock is wrong: set it (NTP) and run the job again.",
    ],
  },
  {
    id: 'token-without-principal',
    title: 'The token names no service principal',
    says: "InvalidAuthenticationToken: at least one of the claims 'puid' or 'altsecid' or 'oid' should be present",
    match: all(codeIs('InvalidAuthenticationToken'), messageMatches(/'oid' should be present/i)),
    cause: (fault, known) =>
      `The token of app ${known.clientId} has no oid claim: the app has no service principal in ${tenantName(carriedTenant(fault, known), known)} yet.`,
    who: (fault, known) => `an administrator of ${tenantName(carriedTenant(fault, known), known)}`,
    fix: (fault, known) => [
      ...consent(carriedTenant(fault, known), known.clientId, known),
      'Then wait a minute and run the job again.',
    ],
  },
  {
    // The text is not documented, only that it names the client and the tenant of the bad token:
    // https://learn.microsoft.com/azure/azure-resource-manager/management/authenticate-multi-tenant
    id: 'token-refused',
    title: 'One of the tokens was refused',
    says: '401 on the request that carries x-ms-authorization-auxiliary',
    match: any(
      all(codeIs('InvalidAuthenticationToken'), not(messageMatches(/'oid' should be present/i))),
      all(statusIs(401), noCode, (fault) => fault.tenant === undefined),
    ),
    cause: (fault, known) => {
      const named = refusedTenant(fault, known);
      const auxiliaries = [`image tenant ${known.imageTenantId}`, ...known.auxiliaryTenantIds].join(', ');
      const whose = named
        ? `It names ${tenantName(named, known)}.`
        : `It may be the one of the VM's tenant (${known.tenantId}) or an auxiliary one (${auxiliaries}).`;
      return `Resource Manager refused a token. One bad auxiliary token is enough to have the whole request refused. ${whose}`;
    },
    who: (fault, known) =>
      `${workflowAuthor} first; then an administrator of ${tenantName(refusedTenant(fault, known) ?? known.imageTenantId, known)}, where app ${known.clientId} must have a service principal`,
    fix: (fault, known) => [
      'Run the action with `operation: check`: it tries the token of each tenant by itself.',
      'See whether the app is in that tenant:',
      `az login --tenant ${refusedTenant(fault, known) ?? known.imageTenantId} --allow-no-subscriptions`,
      `az ad sp show --id ${known.clientId}`,
    ],
  },
];
