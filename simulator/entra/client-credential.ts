import { X509Certificate } from 'node:crypto';
import { compactVerify, decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose';
import { signingKey } from '../http/keys.ts';
import type { App, Tenant } from '../model/entities.ts';
import type { World } from '../world/world.ts';
import { EntraError } from './entra-error.ts';

const federationDocs =
  'https://docs.microsoft.com/en-us/azure/active-directory/develop/workload-identity-federation';
const certificateDocs =
  'https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials';

/** Checks the credential that the client presents, and says which kind it was. */
export async function authenticateClient(
  world: World,
  origin: string,
  tenant: Tenant,
  app: App,
  form: URLSearchParams,
): Promise<'secret' | 'certificate' | 'federated'> {
  const secret = form.get('client_secret');
  const assertion = form.get('client_assertion');
  if (assertion !== null) {
    const claims = decodeAssertion(assertion);
    if (claims.iss === app.clientId && claims.sub === app.clientId) {
      await verifyCertificateAssertion(origin, tenant, app, assertion, claims);
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
  const known = app.secrets.find((one) => one.value === secret);
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
  // Entra grants five minutes of skew to a start in the future, none to an end in the past.
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
  origin: string,
  tenant: Tenant,
  app: App,
  assertion: string,
  claims: JWTPayload,
): Promise<void> {
  const head = decodeProtectedHeader(assertion);
  const certificate = app.certificates
    .map((pem) => new X509Certificate(pem))
    .find((one) => {
      const sha1 = Buffer.from(one.fingerprint.replaceAll(':', ''), 'hex').toString('base64url');
      const sha256 = Buffer.from(one.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
      return head.x5t === sha1 || head['x5t#S256'] === sha256;
    });
  const refused = (reason: string): EntraError =>
    new EntraError(
      401,
      'invalid_client',
      700027,
      `The certificate with identifier used to sign the client assertion is not registered on application. [Reason - ${reason}]`,
    );
  if (!certificate) throw refused('The key was not found.');
  if (Date.parse(certificate.validTo) < Date.now()) throw refused('The key used is expired.');
  try {
    await compactVerify(assertion, certificate.publicKey, { algorithms: ['RS256', 'PS256'] });
  } catch {
    throw refused('The key was not found.');
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

async function verifyFederatedAssertion(
  world: World,
  app: App,
  assertion: string,
  claims: JWTPayload,
): Promise<void> {
  const issuer = claims.iss ?? '';
  const subject = claims.sub ?? '';
  const presented = Array.isArray(claims.aud) ? claims.aud : [claims.aud ?? ''];
  const refused = (code: number, what: string, value: string): EntraError =>
    new EntraError(
      401,
      'invalid_client',
      code,
      `No matching federated identity record found for presented assertion ${what} '${value}'. Please check your federated identity credential Subject, Audience and Issuer against the presented assertion. ${federationDocs}`,
    );
  if (world.tokens.federation === 'legacy' && !hasMatchingCredential(app, issuer, subject, presented)) {
    throw new EntraError(
      400,
      'invalid_request',
      70021,
      `No matching federated identity record found for presented assertion. Assertion Issuer: '${issuer}'. Assertion Subject: '${subject}'. Assertion Audience: '${presented[0] ?? ''}'. ${federationDocs}`,
    );
  }
  const ofIssuer = app.federatedCredentials.filter((one) => one.issuer === issuer);
  if (ofIssuer.length === 0) throw refused(700211, 'issuer', issuer);
  // Subjects are compared with case: a repository renamed in case only is not found either.
  const ofSubject = ofIssuer.filter((one) => one.subject === subject);
  if (ofSubject.length === 0) throw refused(700213, 'subject', subject);
  if (!ofSubject.some((one) => one.audiences.some((audience) => presented.includes(audience)))) {
    throw refused(700212, 'audience', presented[0] ?? '');
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

function hasMatchingCredential(
  app: App,
  issuer: string,
  subject: string,
  presented: readonly string[],
): boolean {
  return app.federatedCredentials.some(
    (one) =>
      one.issuer === issuer &&
      one.subject === subject &&
      one.audiences.some((audience) => presented.includes(audience)),
  );
}
