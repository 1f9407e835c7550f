import type { OidcClaims } from '../errors/errors.ts';
import { shellCommand } from '../lib/escape.ts';
import { type Entries, type Failure, appOwner, messageText } from './entry.ts';

/** https://learn.microsoft.com/entra/workload-id/workload-identities-github-immutable-subjects */
const immutableSubject = /^repo:([^/:@]+)@(\d+)\/([^/:@]+)@(\d+):(.+)$/;

const classicSubject = /^repo:([^/:@]+)\/([^/:@]+):(.+)$/;

/** The subject in the other form; undefined for customised subjects, which have only one. */
function otherSubjectForm({ issuer, subject, ownerId, repositoryId }: OidcClaims): string | undefined {
  // GitHub Enterprise Server (`https://host/_services/token`) has no immutable subjects.
  if (issuer.endsWith('/_services/token')) return undefined;
  const [, owner, , repository, , rest] = immutableSubject.exec(subject) ?? [];
  if (owner) return `repo:${owner}/${repository}:${rest}`;
  const [, name, repo, context] = classicSubject.exec(subject) ?? [];
  if (!name) return undefined;
  return `repo:${name}@${ownerId ?? '<owner-id>'}/${repo}@${repositoryId ?? '<repository-id>'}:${context}`;
}

/** The claims of the token, else as Entra quotes them. Entra adds a slash to the issuer that the token does not have. */
function oidcClaims(failure: Failure): OidcClaims {
  return {
    issuer: messageText(failure, /issuer:? '([^']+?)\/?'/i, 'https://token.actions.githubusercontent.com'),
    subject: messageText(failure, /subject:? '([^']+)'/i, '<subject>'),
    audience: messageText(failure, /audience:? '([^']+)'/i, 'api://AzureADTokenExchange'),
    ...failure.oidc,
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
function federatedCredentialFix(failure: Failure): string[] {
  const claims = oidcClaims(failure);
  const { issuer, subject, audience } = claims;
  const other = otherSubjectForm(claims);
  const [, owner = '', repository = ''] = classicSubject.exec(subject) ?? [];
  return [
    `This job's token has issuer ${issuer}, subject ${subject} and audience ${audience}. In the app's home tenant, add a federated credential with exactly these values (case-sensitive):`,
    credentialCommand(claims, subject, failure.clientId),
    ...(other
      ? [
          immutableSubject.test(subject)
            ? 'For repositories that still send the classic subject:'
            : 'For repositories created or renamed since 2026-07-15, and those that opted in, which send the immutable subject:',
          credentialCommand(claims, other, failure.clientId),
        ]
      : []),
    ...(other?.includes('<owner-id>')
      ? ['To get the two IDs in it:', shellCommand`gh api ${`repos/${owner}/${repository}`} --jq '.owner.id, .id'`]
      : []),
    'One credential serves every tenant that has the app. It takes a few minutes to take effect; an app can have at most 20.',
  ];
}

export const federatedCredentialEntries: Entries = {
  'No federated credential for this subject': (failure) => ({
    says: 'AADSTS700213: No matching federated identity record found for presented assertion subject',
    cause: `The app has no federated credential for subject ${oidcClaims(failure).subject}. Its credentials are for another branch, tag, event or environment, or for the other form of the subject (with or without the IDs of owner and repository).`,
    who: appOwner(failure),
    fix: federatedCredentialFix(failure),
  }),
  'The subject differs in letter case': (failure) => ({
    says: 'AADSTS7002138: … The subject matches with case-insensitive comparison, but not with case-sensitive comparison',
    cause: `The app's federated credential differs from subject ${oidcClaims(failure).subject} in letter case only. Entra compares owner, repository, branch and environment case-sensitively.`,
    who: appOwner(failure),
    fix: federatedCredentialFix(failure),
  }),
  'No federated credential for this issuer': (failure) => ({
    says: 'AADSTS700211: No matching federated identity record found for presented assertion issuer',
    cause: `No federated credential of app ${failure.clientId} has issuer ${oidcClaims(failure).issuer}. The credential has another issuer (a trailing slash counts; GitHub Enterprise has its own), or \`client-id\` names another app.`,
    who: appOwner(failure),
    fix: [
      'List the credentials of the app:',
      shellCommand`az ad app federated-credential list --id ${failure.clientId} -o table`,
      ...federatedCredentialFix(failure),
    ],
  }),
  'No federated credential for this audience': (failure) => ({
    says: 'AADSTS700212: No matching federated identity record found for presented assertion audience',
    cause: `No federated credential of app ${failure.clientId} has audience ${oidcClaims(failure).audience}.`,
    fix: [
      'Remove the `audience` input: the default is the audience of the cloud, `api://AzureADTokenExchange` in the public cloud. Or register this audience:',
      ...federatedCredentialFix(failure),
    ],
  }),
  'No federated credential matches the token': (failure) => ({
    says: 'AADSTS70021: No matching federated identity record found for presented assertion',
    cause: `No federated credential of app ${failure.clientId} matches subject ${oidcClaims(failure).subject}. Issuer, subject and audience must all be equal. A credential that was added minutes ago may not be effective yet.`,
    who: appOwner(failure),
    fix: [
      'If such a credential was just added, run the job again in a few minutes.',
      ...federatedCredentialFix(failure),
    ],
  }),
  'The app has no federated credential': (failure) => ({
    says: 'AADSTS70025: The client … has no configured federated identity credentials',
    cause: `App ${failure.clientId} has no federated credential. GitHub's tokens cannot sign it in.`,
    who: appOwner(failure),
    fix: [...federatedCredentialFix(failure), 'To sign in without OIDC, set `client-secret` or `client-certificate`.'],
  }),
};
