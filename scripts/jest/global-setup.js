import { generateKeyPairSync } from 'node:crypto';

/** Signing keys of the simulated issuers, for all workers: see `sharedKeysVariable` of simulator/http/keys.ts. */
export default function setUp() {
  const key = () =>
    generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey;
  process.env['SIMULATOR_SIGNING_KEYS'] = JSON.stringify({ entra: key(), github: key() });
}
