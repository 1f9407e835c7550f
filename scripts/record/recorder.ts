/** A proxy that opens TLS and keeps every exchange, sanitized, in the format of the recordings. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CompletedRequest, type CompletedResponse, generateCACertificate, getLocal } from 'mockttp';
import { type RecordedExchange, resourceManagerHost } from './recording.ts';
import { type PrivateValues, Sanitizer } from './sanitize.ts';

export interface RecorderOptions {
  /** PEM of certificates that the servers may have, in addition to public ones. */
  readonly trust?: string;
  /** Public names of servers, by origin: a simulator's ports stand for the hosts of Azure. */
  readonly publicHosts?: Readonly<Record<string, string>>;
  readonly privateValues?: PrivateValues;
}

export interface Recorder {
  readonly proxyUrl: string;
  /** For NODE_EXTRA_CA_CERTS of the client. */
  readonly certificateFile: string;
  /** Sanitized exchanges in the order of their requests, without those that have no response. */
  exchanges(): Promise<readonly RecordedExchange[]>;
  close(): Promise<void>;
}

const keptHeaders =
  /^(content-type|location|azure-async\w+|retry-after|etag|www-authenticate|x-ms-(?!ests-server$)[\w-]+)$/i;
const keptRequestHeaders = /^(if-match|if-none-match|x-ms-authorization-auxiliary|x-ms-policy-[\w-]+)$/i;
const maxListLength = 20;

export const note = `Lists are cut to ${maxListLength} elements.`;

export async function startRecorder(options: RecorderOptions = {}): Promise<Recorder> {
  const authority = await generateCACertificate({ bits: 2048 });
  const folder = mkdtempSync(join(tmpdir(), 'recorder-'));
  const certificateFile = join(folder, 'certificate.pem');
  writeFileSync(certificateFile, authority.cert);

  const proxy = getLocal({ https: authority, http2: false, recordTraffic: false });
  const requests: CompletedRequest[] = [];
  const responses = new Map<string, CompletedResponse>();
  await proxy.start();
  await proxy
    .forAnyRequest()
    .thenPassThrough(options.trust === undefined ? {} : { additionalTrustedCAs: [{ cert: options.trust }] });
  await proxy.on('request', (request) => void requests.push(request));
  await proxy.on('response', (response) => void responses.set(response.id, response));

  return {
    proxyUrl: `http://127.0.0.1:${proxy.port}`,
    certificateFile,
    exchanges: async () => {
      const raw = await Promise.all(
        requests.map(async (request) => {
          const response = responses.get(request.id);
          return response && createExchange(request, response, options.publicHosts ?? {});
        }),
      );
      const complete = raw.filter((exchange) => exchange !== undefined);
      return new Sanitizer(options.privateValues).sanitize(complete);
    },
    close: async () => {
      await proxy.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function createExchange(
  request: CompletedRequest,
  response: CompletedResponse,
  publicHosts: Readonly<Record<string, string>>,
): Promise<RecordedExchange> {
  const url = new URL(request.url);
  // The host and the path of the ID-token endpoint identify the account and the job.
  const isIdToken = /\/idtoken(\/|$)/i.test(url.pathname);
  const host = isIdToken ? 'pipelines.actions.githubusercontent.com' : (publicHosts[url.origin] ?? url.host);
  const path = `${isIdToken ? '/idtoken' : url.pathname}${url.search}`;
  const requestHeaders = pickHeaders(request.rawHeaders, keptRequestHeaders);
  for (const name of Object.keys(requestHeaders)) if (!/^if-/i.test(name)) requestHeaders[name] = 'Bearer REDACTED';
  const responseText = (await response.body.getText()) ?? '';
  const requestText = (await request.body.getText()) ?? '';
  const rename = (text: string) =>
    Object.entries(publicHosts).reduce(
      (renamed, [origin, name]) => renamed.replaceAll(origin, `https://${name}`),
      text,
    );
  const headers = pickHeaders(response.rawHeaders, keptHeaders);
  return {
    method: request.method,
    ...(host === resourceManagerHost ? {} : { host }),
    path,
    apiVersion: url.searchParams.get('api-version'),
    ...(Object.keys(requestHeaders).length === 0 ? {} : { requestHeaders }),
    ...(requestText === '' ? {} : { requestBody: parseBody(rename(requestText), request.headers['content-type']) }),
    status: response.statusCode,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, rename(value)])),
    // The boot log of a VM.
    body: isBlob(url) ? 'REDACTED' : parseBody(rename(responseText), response.headers['content-type']),
    date: [response.headers['date'] ?? null].flat()[0] ?? null,
  };
}

const isBlob = ({ hostname, pathname }: URL) => /\.blob\./.test(hostname) || pathname.startsWith('/blobs/');

function pickHeaders(raw: readonly [string, string][], kept: RegExp): Record<string, string> {
  return Object.fromEntries(raw.filter(([name]) => kept.test(name)));
}

function parseBody(text: string, contentType = ''): unknown {
  if (text === '') return null;
  if (contentType.includes('x-www-form-urlencoded')) return Object.fromEntries(new URLSearchParams(text));
  try {
    return JSON.parse(text, (_name, value: unknown) => (Array.isArray(value) ? value.slice(0, maxListLength) : value));
  } catch {
    return text;
  }
}
