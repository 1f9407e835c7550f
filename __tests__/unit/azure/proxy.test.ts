import { getProxyUrl } from '@actions/http-client/lib/proxy';
import { afterEach, expect, test } from '@jest/globals';
import { findProxy, proxySecrets } from '../../../src/azure/proxy.ts';

const names = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY', 'no_proxy', 'NO_PROXY'];
const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
afterEach(() => {
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

const host = 'management.azure.com';
const https = { HTTPS_PROXY: 'http://proxy.example:3128' };
const proxy = 'http://proxy.example:3128/';

test.each<[string, Record<string, string>, string | undefined, string?]>([
  ['no variable', {}, undefined],
  ['HTTPS_PROXY', https, proxy],
  ['https_proxy', { https_proxy: 'http://proxy.example:3128' }, proxy],
  ['both: lower case wins', { ...https, https_proxy: 'http://other.example:1' }, 'http://other.example:1/'],
  ['an empty lower-case name', { ...https, https_proxy: '' }, proxy],
  ['a host without a scheme', { HTTPS_PROXY: 'proxy.example:3128' }, proxy],
  ['an address without a scheme', { HTTPS_PROXY: '10.0.0.1:3128' }, 'http://10.0.0.1:3128/'],
  ['a proxy that speaks TLS', { HTTPS_PROXY: 'https://proxy.example' }, 'https://proxy.example/'],
  ['HTTP_PROXY alone', { HTTP_PROXY: 'http://proxy.example:3128' }, undefined],
  ['HTTP_PROXY for http', { HTTP_PROXY: 'http://proxy.example:3128' }, proxy, `http://${host}/`],
  ['HTTPS_PROXY for http', https, undefined, `http://${host}/`],
  ['NO_PROXY with the host', { ...https, NO_PROXY: host }, undefined],
  ['NO_PROXY in upper case', { ...https, NO_PROXY: host.toUpperCase() }, undefined],
  ['NO_PROXY with a domain', { ...https, NO_PROXY: 'example.org, azure.com' }, undefined],
  ['NO_PROXY with a domain after a period', { ...https, NO_PROXY: '.azure.com' }, undefined],
  ['NO_PROXY with the end of a name', { ...https, NO_PROXY: 'zure.com' }, proxy],
  ['NO_PROXY with a star', { ...https, NO_PROXY: '*' }, undefined],
  ['NO_PROXY with the port', { ...https, NO_PROXY: `${host}:443` }, undefined],
  ['NO_PROXY with another port', { ...https, NO_PROXY: `${host}:8443` }, proxy],
  ['NO_PROXY empty', { ...https, NO_PROXY: ',' }, proxy],
  ['no_proxy wins', { ...https, no_proxy: 'example.org', NO_PROXY: host }, proxy],
])('read the proxy settings as @actions/http-client does: %s', (_, env, expected, target = `https://${host}/`) => {
  expect(findProxy(target, env)?.url.href).toBe(expected);
  for (const name of names) delete process.env[name];
  Object.assign(process.env, env);
  const theirs = getProxyUrl(new URL(target));
  // It reads `proxy.example:3128` as a URL whose scheme is the host.
  if (theirs?.protocol !== 'proxy.example:') expect(theirs?.href).toBe(expected);
});

test('apply the proxy to loopback hosts, as curl does', () => {
  expect(findProxy('https://localhost:8443/', https)).toMatchObject({ variable: 'HTTPS_PROXY' });
  expect(findProxy('https://azure.com/', { ...https, NO_PROXY: '.azure.com' })).toBeUndefined();
});

test.each(['http://proxy example', 'socks5://proxy.example:1080', 'http://:3128'])('refuse %s as a proxy', (value) => {
  expect(() => findProxy(`https://${host}/`, { https_proxy: value })).toThrow(
    'https_proxy is not the URL of an HTTP proxy',
  );
});

test('find the password in a proxy variable, with and without a scheme', () => {
  for (const value of ['http://user:p%40ss-word@proxy.example:3128', 'user:p%40ss-word@proxy.example:3128']) {
    expect(proxySecrets({ HTTPS_PROXY: value })).toEqual(['p%40ss-word', 'p@ss-word', expect.any(String)]);
  }
  expect(proxySecrets(https)).toEqual([]);
});
