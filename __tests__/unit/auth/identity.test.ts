import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parseOidcClaims, parseTokenClaims } from '../../../src/auth/identity.ts';
import { setTimeScale } from '../../../src/lib/clock.ts';
import { tenantId, clientId, timeScale, jwt } from '../../support/sign-in.ts';

beforeAll(() => setTimeScale(timeScale));

afterAll(() => setTimeScale(undefined));

afterEach(() => {
  jest.useRealTimers();
});

describe('what tokens say', () => {
  const access = { tid: tenantId, appid: clientId, oid: 'oid-1', exp: 1_790_000_000 };
  const all = { tenantId, appId: clientId, objectId: 'oid-1' };
  test.each<[string, string, object]>([
    ['version 1', jwt(access), all],
    ['version 2', jwt({ ...access, appid: undefined, azp: clientId }), all],
    ['umlauts', jwt({ ...access, app_displayname: 'Bücher ✓' }), all],
    ['without an end', jwt({ ...access, exp: undefined }), all],
    ['without principal', jwt({ ...access, oid: undefined }), { tenantId, appId: clientId }],
    ['without tenant', jwt({ ...access, tid: undefined }), { appId: clientId, objectId: 'oid-1' }],
    ['without app', jwt({ ...access, appid: undefined }), { tenantId, objectId: 'oid-1' }],
    ['claims of other types', jwt({ tid: 1, appid: [clientId], oid: null }), {}],
    ['opaque', 'abcdef', {}],
    ['encrypted', 'eyJlbmMiOiJBMjU2R0NNIn0.a.b.c.d', {}],
    ['not JSON', 'a.b.c', {}],
    ['null', jwt([null]), {}],
  ])('access token: %s', (_what, text, claims) => {
    expect(parseTokenClaims(text)).toEqual(claims);
  });

  const id = {
    iss: 'https://token.actions.githubusercontent.com',
    aud: 'api://AzureADTokenExchange',
    repository: 'octo-org/octo.repo',
    repository_owner_id: '65',
    repository_id: '74',
  };
  const facts = { issuer: id.iss, audience: id.aud };
  const ids = { ownerId: '65', repositoryId: '74' };
  test.each<[string, object, object | undefined]>([
    [
      'classic',
      { ...id, sub: 'repo:octo-org/octo.repo:ref:refs/heads/main' },
      { ...facts, ...ids, subject: 'repo:octo-org/octo.repo:ref:refs/heads/main' },
    ],
    [
      'immutable',
      { ...id, sub: 'repo:octo-org@65/octo.repo@74:environment:production' },
      { ...facts, ...ids, subject: 'repo:octo-org@65/octo.repo@74:environment:production' },
    ],
    [
      'without one of the IDs',
      { ...id, sub: 'repo:octo-org/octo.repo:pull_request', repository_id: undefined },
      { ...facts, ownerId: '65', subject: 'repo:octo-org/octo.repo:pull_request' },
    ],
    [
      'two audiences',
      { ...id, sub: 'repository_owner:octo-org', aud: ['a', 'b'] },
      { ...facts, ...ids, subject: 'repository_owner:octo-org', audience: 'a, b' },
    ],
    ['nothing', {}, undefined],
    ['no audience', { ...id, sub: 'x', aud: undefined }, undefined],
  ])('ID token: %s', (_what, claims, expected) => {
    expect(parseOidcClaims(jwt(claims))).toEqual(expected);
  });
});
