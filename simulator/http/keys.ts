/**
 * Keys and certificates, created once per process because key generation is slow. Private keys stay in memory; only
 * the TLS certificate is written, for NODE_EXTRA_CA_CERTS.
 */
// Must be loaded before the certificate library, which uses it for dependency injection.
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import * as x509 from '@peculiar/x509';
import { exportJWK, type JWK, SignJWT } from 'jose';

const generateKeyPairAsync = promisify(generateKeyPair);

export interface TlsIdentity {
  readonly key: string;
  readonly certificate: string;
}

let tlsIdentityPromise: Promise<TlsIdentity> | undefined;

/** Host names of the clouds, which a test may redirect to the listeners with a proxy. */
const wellKnownNames = [
  'management.azure.com',
  'login.microsoftonline.com',
  'management.usgovcloudapi.net',
  'login.microsoftonline.us',
  'management.chinacloudapi.cn',
  'login.chinacloudapi.cn',
  '*.blob.core.windows.net',
  '*.blob.core.usgovcloudapi.net',
  '*.blob.core.chinacloudapi.cn',
  'api.github.com',
  '*.actions.githubusercontent.com',
];

/** The self-signed certificate of all listeners. P-256, because it is generated in a millisecond. */
export function tlsIdentity(): Promise<TlsIdentity> {
  tlsIdentityPromise ??= createTlsIdentity();
  return tlsIdentityPromise;
}

async function createTlsIdentity(): Promise<TlsIdentity> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=localhost',
    notBefore: new Date(Date.now() - 3600_000),
    notAfter: new Date(Date.now() + 7 * 86400_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.SubjectAlternativeNameExtension([
        ...['localhost', ...wellKnownNames].map((value) => ({ type: 'dns' as const, value })),
        { type: 'ip', value: '127.0.0.1' },
        { type: 'ip', value: '::1' },
      ]),
    ],
  });
  const exported = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    key: x509.PemConverter.encode(exported, 'PRIVATE KEY'),
    certificate: certificate.toString('pem'),
  };
}

/** Removes leftover folders at exit; one exit handler serves all simulators of the process. */
const removals = new Set<() => void>();
let listening = false;

/** Writes the certificate to trust to a new temporary folder; `remove` deletes it. */
export async function createTrustFile(): Promise<{ readonly path: string; remove(): void }> {
  const { certificate } = await tlsIdentity();
  const folder = mkdtempSync(path.join(tmpdir(), 'azure-simulator-'));
  const file = path.join(folder, 'certificate.pem');
  writeFileSync(file, `${certificate}\n`);
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true });
    removals.delete(remove);
  };
  if (!listening) {
    listening = true;
    process.once('exit', () => removals.forEach((remove) => remove()));
  }
  removals.add(remove);
  return { path: file, remove };
}

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The public key as in a JWKS document. */
  readonly jwk: JWK;
}

const signingKeys = new Map<string, Promise<SigningKey>>();

/** The RS256 key of an issuer (`entra`, `github`); the same until the process ends. */
export function signingKey(issuer: string): Promise<SigningKey> {
  let key = signingKeys.get(issuer);
  if (!key) {
    key = createSigningKey(issuer);
    signingKeys.set(issuer, key);
  }
  return key;
}

/** Private keys by issuer, as PEM in a JSON object: test files of one run share them, since each takes about 0.1 s to generate. */
export const sharedKeysVariable = 'SIMULATOR_SIGNING_KEYS';

function sharedPrivateKey(issuer: string): KeyObject | undefined {
  const shared = JSON.parse(process.env[sharedKeysVariable] ?? '{}') as Record<string, string>;
  return shared[issuer] === undefined ? undefined : createPrivateKey(shared[issuer]);
}

async function createPrivateRsaKey(): Promise<KeyObject> {
  return (await generateKeyPairAsync('rsa', { modulusLength: 2048 })).privateKey;
}

async function createSigningKey(issuer: string): Promise<SigningKey> {
  const privateKey = sharedPrivateKey(issuer) ?? (await createPrivateRsaKey());
  const publicKey = createPublicKey(privateKey);
  const kid = `simulator-${issuer}`;
  return {
    kid,
    privateKey,
    publicKey,
    jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' },
  };
}

/** Signs a JWT with that issuer's key. The payload is not checked. */
export async function signToken(issuer: string, payload: Record<string, unknown>): Promise<string> {
  const key = await signingKey(issuer);
  return new SignJWT(payload)
    .setProtectedHeader({ typ: 'JWT', alg: 'RS256', kid: key.kid, x5t: key.kid })
    .sign(key.privateKey);
}

/** A self-signed RSA certificate with its key, as a client credential. */
export async function makeClientCertificate(
  options: { subject?: string; notBefore?: Date; notAfter?: Date } = {},
): Promise<{ readonly certificate: string; readonly privateKey: string; readonly thumbprint: string }> {
  const algorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: Buffer.from(webcrypto.getRandomValues(new Uint8Array(8)))
      .toString('hex')
      .replace(/^[89a-f]/, '1'),
    name: options.subject ?? 'CN=client',
    // The library does not accept the Date class of Jest's sandbox.
    notBefore: new Date(options.notBefore ?? Date.now() - 3600_000),
    notAfter: new Date(options.notAfter ?? Date.now() + 365 * 86400_000),
    signingAlgorithm: algorithm,
    keys,
  });
  const exported = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certificate: certificate.toString('pem'),
    privateKey: x509.PemConverter.encode(exported, 'PRIVATE KEY'),
    thumbprint: Buffer.from(await certificate.getThumbprint('SHA-1'))
      .toString('hex')
      .toUpperCase(),
  };
}
