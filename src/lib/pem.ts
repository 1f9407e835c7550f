import { type KeyObject, X509Certificate, createPrivateKey } from 'node:crypto';

/**
 * What is wrong with the PEM text of `client-certificate`, each a sentence without any of the text. Entra would answer a
 * bad one with "client assertion failed" at best, so it is looked at before anything is sent.
 */
export function validateClientCertificate(pem: string, now: Date): readonly string[] {
  if (!pem.includes('-----BEGIN ')) {
    return [
      'is not PEM text: it needs the lines from -----BEGIN PRIVATE KEY----- on and those from -----BEGIN CERTIFICATE----- on. ' +
        'A .pfx file is turned into that by: openssl pkcs12 -in file.pfx -nodes -out file.pem',
    ];
  }
  const key = readKey(pem);
  const certificate = readCertificate(pem);
  const faults = [key, certificate].filter((part) => typeof part === 'string');
  if (typeof certificate !== 'string') {
    const { validFromDate: from, validToDate: to } = certificate;
    if (to < now) {
      faults.push(`holds a certificate that expired on ${to.toISOString()}: upload a new one to the app registration`);
    } else if (from > now) faults.push(`holds a certificate that is not valid before ${from.toISOString()}`);
    if (typeof key !== 'string' && !certificate.checkPrivateKey(key)) {
      faults.push('holds a private key that does not belong to its (first) certificate');
    }
  }
  return faults;
}

/** When the (first) certificate of a PEM text that has passed `validateClientCertificate` expires. */
export function certificateExpiry(pem: string): Date {
  const certificate = readCertificate(pem);
  return typeof certificate === 'string' ? new Date(Number.NaN) : certificate.validToDate;
}

/**
 * The same key and (first) certificate, written anew: @azure/identity finds the certificate by a pattern that a blank at
 * the end of a line defeats. Undefined when they cannot be read.
 */
export function normalizePem(pem: string): string | undefined {
  const key = readKey(pem);
  const certificate = readCertificate(pem);
  if (typeof key === 'string' || typeof certificate === 'string') return undefined;
  return `${key.export({ type: 'pkcs8', format: 'pem' }).toString()}${certificate.toString()}`;
}

/** What to say of a certificate that is valid now: until when, and whether it is time to replace it. */
export function certificateExpiryNotice(expiry: Date, now: Date): { readonly soon: boolean; readonly text: string } {
  const days = Math.floor((expiry.getTime() - now.getTime()) / 86_400_000);
  const text = `The client certificate is valid until ${expiry.toISOString()} (${days} ${days === 1 ? 'day' : 'days'}).`;
  return days >= 30
    ? { soon: false, text }
    : { soon: true, text: `${text} Register a new one on the app before that, and store it as the secret.` };
}

function readKey(pem: string): KeyObject | string {
  return readBlock(pem, '[A-Z0-9 ]*', 'PRIVATE KEY', (block) => {
    if (/^-----BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED/.test(block)) {
      return 'holds an encrypted private key: decrypt it first (openssl pkey -in file.pem), the secret store protects it';
    }
    const key = createPrivateKey(block);
    if (key.asymmetricKeyType === 'rsa') return key;
    return `holds a private key of type ${key.asymmetricKeyType}: Entra takes RSA keys here`;
  });
}

function readCertificate(pem: string): X509Certificate | string {
  return readBlock(pem, '', 'CERTIFICATE', (block) => new X509Certificate(block));
}

/** @param prefix pattern of what may come before the label, such as the algorithm of a key */
function readBlock<T>(pem: string, prefix: string, label: string, read: (block: string) => T): T | string {
  const pattern = new RegExp(`-----BEGIN (${prefix}${label})-----[^]*?-----END \\1-----`);
  // Secret stores that hold one line often keep line breaks as a literal `\n`.
  const [block] = pattern.exec(pem.replaceAll('\\r', '').replaceAll('\\n', '\n')) ?? [];
  const what = label.toLowerCase();
  if (block === undefined) {
    return `holds no whole ${what} (the lines from -----BEGIN ${label}----- to -----END ${label}-----, line breaks kept)`;
  }
  try {
    return read(block);
  } catch {
    // The reason that OpenSSL gives is a stack of library routines.
    return `holds a ${what} that cannot be read: the text between its BEGIN and END lines is damaged`;
  }
}
