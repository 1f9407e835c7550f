import { X509Certificate } from 'node:crypto';
import { compactVerify, decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose';
import { signingKey } from '../http/keys.ts';
import type { App, Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';
import { EntraError } from './entra-error.ts';

const federationDocs = 'https://docs.microsoft.com/en-us/azure/active-directory/develop/workload-identity-federation';
const certificateDocs =
  'https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials';

/** The app that signs in, the tenant, and the origin of the token endpoint. */
export interface ClientContext {
  readonly world: World;
  readonly origin: string;
  readonly tenant: Tenant;
  readonly app: App;
}

/**
 * Verifies the client's credential and returns its kind.
 *
 * @throws EntraError when the credential is missing, wrong or expired.
 */
export async function authenticateClient(
  context: ClientContext,
  form: URLSearchParams,
): Promise<'secret' | 'certificate' | 'federated'> {
  const { world, app } = context;
  const secret = form.get('client_secret');
  const assertion = form.get('client_assertion');
  if (assertion !== null) {
    const claims = decodeAssertion(assertion);
    if (claims.iss === app.clientId && claims.sub === app.clientId) {
      await verifyCertificateAssertion(context, assertion, claims);
      return 'certificate';
    }
    await verifyFederatedAssertion(world, app, assertion, claims);
    return 'federated';
  }
  if (secret === null || secret === '') {
    throw new EntraError(
      401,
      'invalid_client',
      7000218,
      "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    );
  }
  const known = app.secrets.find(({ value }) => value === secret);
  if (!known) {
    throw new EntraError(
      401,
      'invalid_client',
      7000215,
      `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${app.clientId}'.`,
    );
  }
  if (known.expires !== undefined && known.expires < Date.now()) {
    throw new EntraError(
      401,
      'invalid_client',
      7000222,
      `The provided client secret keys for app '${app.clientId}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.`,
    );
  }
  return 'secret';
}

function decodeAssertion(assertion: string): JWTPayload {
  try {
    return decodeJwt(assertion);
  } catch {
    throw new EntraError(401, 'invalid_client', 50027, 'JWT token is invalid or malformed.');
  }
}

function checkValidity(claims: JWTPayload): void {
  const now = Date.now() / 1000;
  // Entra accepts a start up to five minutes in the future, but no expiry in the past.
  if ((claims.exp ?? 0) > now && (claims.nbf ?? claims.iat ?? 0) <= now + 300) return;
  const text = (seconds: number | undefined): string =>
    new Date((seconds ?? 0) * 1000).toISOString().replace(/\.\d+Z$/, '.0000000Z');
  throw new EntraError(
    401,
    'invalid_client',
    700024,
    `Client assertion is not within its valid time range. Current time: ${new Date().toISOString().replace('Z', '0000Z')}, assertion valid from ${text(claims.nbf ?? claims.iat)}, expiry time of assertion ${text(claims.exp)}. Review the documentation at ${certificateDocs} .`,
  );
}

async function verifyCertificateAssertion(
  { origin, tenant, app }: ClientContext,
  assertion: string,
  claims: JWTPayload,
): Promise<void> {
  const head = decodeProtectedHeader(assertion);
  const certificate = app.certificates
    .map((pem) => new X509Certificate(pem))
    .find(({ fingerprint, fingerprint256 }) => {
      const sha1 = Buffer.from(fingerprint.replaceAll(':', ''), 'hex').toString('base64url');
      const sha256 = Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
      return head.x5t === sha1 || head['x5t#S256'] === sha256;
    });
  const certificateError = (reason: string): EntraError =>
    new EntraError(
      401,
      'invalid_client',
      700027,
      `The certificate with identifier used to sign the client assertion is not registered on application. [Reason - ${reason}]`,
    );
  if (!certificate) throw certificateError('The key was not found.');
  if (Date.parse(certificate.validTo) < Date.now()) throw certificateError('The key used is expired.');
  try {
    await compactVerify(assertion, certificate.publicKey, { algorithms: ['RS256', 'PS256'] });
  } catch {
    throw certificateError('The key was not found.');
  }
  const audience = String(claims.aud ?? '');
  const names = [tenant.id, tenant.domain.toLowerCase()];
  const accepted = names.flatMap((name) => [
    `${origin}/${name}/oauth2/v2.0/token`,
    `${origin}/${name}/v2.0`,
    `${origin}/${name}/oauth2/token`,
  ]);
  if (!accepted.includes(audience.toLowerCase())) {
    throw new EntraError(
      401,
      'invalid_client',
      700023,
      `Client assertion audience claim does not match Realm issuer. Review the documentation at ${certificateDocs} .`,
    );
  }
  checkValidity(claims);
}

async function verifyFederatedAssertion(world: World, app: App, assertion: string, claims: JWTPayload): Promise<void> {
  const issuer = claims.iss ?? '';
  const subject = claims.sub ?? '';
  const presented = Array.isArray(claims.aud) ? claims.aud : [claims.aud ?? ''];
  const mismatch = (code: number, claim: string, value: string): EntraError =>
    new EntraError(
      401,
      'invalid_client',
      code,
      `No matching federated identity record found for presented assertion ${claim} '${value}'. Please check your federated identity credential Subject, Audience and Issuer against the presented assertion. ${federationDocs}`,
    );
  if (world.tokens.federation === 'legacy' && !hasMatchingCredential(app, issuer, subject, presented)) {
    throw new EntraError(
      400,
      'invalid_request',
      70021,
      `No matching federated identity record found for presented assertion. Assertion Issuer: '${issuer}'. Assertion Subject: '${subject}'. Assertion Audience: '${presented[0] ?? ''}'. ${federationDocs}`,
    );
  }
  const ofIssuer = app.federatedCredentials.filter((credential) => credential.issuer === issuer);
  if (ofIssuer.length === 0) throw mismatch(700211, 'issuer', issuer);
  // Subjects are case-sensitive: a repository renamed only in case no longer matches.
  const ofSubject = ofIssuer.filter((credential) => credential.subject === subject);
  if (ofSubject.length === 0) throw mismatch(700213, 'subject', subject);
  if (!ofSubject.some(({ audiences }) => audiences.some((audience) => presented.includes(audience)))) {
    throw mismatch(700212, 'audience', presented[0] ?? '');
  }
  checkValidity(claims);
  try {
    await compactVerify(assertion, (await signingKey('github')).publicKey, { algorithms: ['RS256'] });
  } catch {
    throw new EntraError(
      401,
      'invalid_client',
      50013,
      'Assertion failed signature validation. [Reason - The key was not found.]',
    );
  }
}

function hasMatchingCredential(app: App, issuer: string, subject: string, presented: readonly string[]): boolean {
  return app.federatedCredentials.some(
    (credential) =>
      credential.issuer === issuer &&
      credential.subject === subject &&
      credential.audiences.some((audience) => presented.includes(audience)),
  );
}
