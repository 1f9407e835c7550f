import type { AzureErrorInfo, OidcClaims } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import { type Entry, type FilledErrorContext, appOwner, messageText } from './entry.ts';

/** https://learn.microsoft.com/entra/workload-id/workload-identities-github-immutable-subjects */
const immutableSubject = /^repo:([^/:@]+)@(\d+)\/([^/:@]+)@(\d+):(.+)$/;

const classicSubject = /^repo:([^/:@]+)\/([^/:@]+):(.+)$/;

/** GitHub Enterprise Server has no immutable subjects. Its issuer: `https://host/_services/token`. */
const enterpriseServer = /\/_services\/token$/;

/** The subject in the other form; undefined for customised subjects, which have only one. */
function otherSubjectForm({ issuer, subject, ownerId, repositoryId }: OidcClaims): string | undefined {
  if (enterpriseServer.test(issuer)) return undefined;
  const [, owner, , repository, , rest] = immutableSubject.exec(subject) ?? [];
  if (owner) return `repo:${owner}/${repository}:${rest}`;
  const [, name, repo, context] = classicSubject.exec(subject) ?? [];
  if (!name) return undefined;
  return `repo:${name}@${ownerId ?? '<owner-id>'}/${repo}@${repositoryId ?? '<repository-id>'}:${context}`;
}

/** The claims of the token, else as Entra quotes them. Entra adds a slash to the issuer that the token does not have. */
function oidcClaims(fault: AzureErrorInfo, { oidc }: FilledErrorContext): OidcClaims {
  return {
    issuer: messageText(fault, /issuer:? '([^']+?)\/?'/i, 'https://token.actions.githubusercontent.com'),
    subject: messageText(fault, /subject:? '([^']+)'/i, '<subject>'),
    audience: messageText(fault, /audience:? '([^']+)'/i, 'api://AzureADTokenExchange'),
    ...oidc,
  };
}

function credentialCommand({ issuer, audience }: OidcClaims, subject: string, clientId: string): string {
  // Letters, digits, - and _; at most 120 characters.
  const name = subject
    .replaceAll(/[^a-zA-Z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
    .slice(0, 100);
  const parameters = JSON.stringify({ name: `github-${name}`, issuer, subject, audiences: [audience] });
  return shellCommand`az ad app federated-credential create --id ${clientId} --parameters ${parameters}`;
}

/** Commands for the subject of the token, and for the other form that GitHub may send. */
function federatedCredentialFix(fault: AzureErrorInfo, known: FilledErrorContext): string[] {
  const claims = oidcClaims(fault, known);
  const { issuer, subject, audience } = claims;
  const other = otherSubjectForm(claims);
  const [, owner = '', repository = ''] = classicSubject.exec(subject) ?? [];
  return [
    `This job's token has issuer ${issuer}, subject ${subject} and audience ${audience}. In the app's home tenant, add a federated credential with exactly these values (case-sensitive):`,
    credentialCommand(claims, subject, known.clientId),
    ...(other
      ? [
          immutableSubject.test(subject)
            ? 'For repositories that still send the classic subject:'
            : 'For repositories created or renamed since 2026-07-15, and those that opted in, which send the immutable subject:',
          credentialCommand(claims, other, known.clientId),
        ]
      : []),
    ...(other?.includes('<owner-id>')
      ? ['To get the two IDs in it:', shellCommand`gh api ${`repos/${owner}/${repository}`} --jq '.owner.id, .id'`]
      : []),
    'One credential serves every tenant that has the app. It takes a few minutes to take effect; an app can have at most 20.',
  ];
}

export const federatedCredentialEntries: readonly Entry[] = [
  {
    id: 'federated-subject',
    title: 'No federated credential for this subject',
    says: 'AADSTS700213: No matching federated identity record found for presented assertion subject',
    source: 'https://github.com/Azure/login/issues/453',
    cause: (fault, known) =>
      `The app has no federated credential for subject ${oidcClaims(fault, known).subject}. Its credentials are for another branch, tag, event or environment, or for the other form of the subject (with or without the IDs of owner and repository).`,
    who: appOwner,
    fix: federatedCredentialFix,
  },
  {
    id: 'federated-subject-case',
    title: 'The subject differs in letter case',
    says: 'AADSTS7002138: … The subject matches with case-insensitive comparison, but not with case-sensitive comparison',
    source: 'https://github.com/Azure/login/issues/517',
    cause: (fault, known) =>
      `The app's federated credential differs from subject ${oidcClaims(fault, known).subject} in letter case only. Entra compares owner, repository, branch and environment case-sensitively.`,
    who: appOwner,
    fix: federatedCredentialFix,
  },
  {
    id: 'federated-issuer',
    title: 'No federated credential for this issuer',
    says: 'AADSTS700211: No matching federated identity record found for presented assertion issuer',
    source: 'https://github.com/Azure/login/issues/360',
    cause: (fault, known) =>
      `No federated credential of app ${known.clientId} has issuer ${oidcClaims(fault, known).issuer}. The credential has another issuer (a trailing slash counts; GitHub Enterprise has its own), or \`client-id\` names another app.`,
    who: appOwner,
    fix: (fault, known) => [
      'List the credentials of the app:',
      shellCommand`az ad app federated-credential list --id ${known.clientId} -o table`,
      ...federatedCredentialFix(fault, known),
    ],
  },
  {
    id: 'federated-audience',
    title: 'No federated credential for this audience',
    says: 'AADSTS700212: No matching federated identity record found for presented assertion audience',
    source: 'https://learn.microsoft.com/entra/identity-platform/reference-error-codes',
    cause: (fault, known) =>
      `No federated credential of app ${known.clientId} has audience ${oidcClaims(fault, known).audience}.`,
    fix: (fault, known) => [
      'Remove the `audience` input: the default is the audience of the cloud, `api://AzureADTokenExchange` in the public cloud. Or register this audience:',
      ...federatedCredentialFix(fault, known),
    ],
  },
  {
    id: 'federated-none-matching',
    title: 'No federated credential matches the token',
    says: 'AADSTS70021: No matching federated identity record found for presented assertion',
    source: 'https://github.com/Azure/azure-saas/issues/239',
    cause: (fault, known) =>
      `No federated credential of app ${known.clientId} matches subject ${oidcClaims(fault, known).subject}. Issuer, subject and audience must all be equal. A credential that was added minutes ago may not be effective yet.`,
    who: appOwner,
    fix: (fault, known) => [
      'If such a credential was just added, run the job again in a few minutes.',
      ...federatedCredentialFix(fault, known),
    ],
  },
  {
    id: 'federated-none-configured',
    title: 'The app has no federated credential',
    says: 'AADSTS70025: The client … has no configured federated identity credentials',
    source: 'https://github.com/microsoft/AL-Go/issues/1147',
    cause: (_, { clientId }) => `App ${clientId} has no federated credential. GitHub's tokens cannot sign it in.`,
    who: appOwner,
    fix: (fault, known) => [
      ...federatedCredentialFix(fault, known),
      'To sign in without OIDC, set `client-secret` or `client-certificate`.',
    ],
  },
];
