import { describe, expect, test } from '@jest/globals';
import { knownClouds, discoverCloud, resourceManagerScope } from '../../../src/azure/clouds.ts';
import { ActionError } from '../../../src/errors/errors.ts';

const stamp = 'https://management.local.example';

type Answers = Readonly<Record<string, { status: number; body: string } | Error>>;

/** Answers by api-version; what is not listed is 404. */
function http(answers: Answers): { asked: string[]; get: Parameters<typeof discoverCloud>[1] } {
  const asked: string[] = [];
  return {
    asked,
    get: async (url) => {
      asked.push(url);
      const answer = answers[new URL(url).searchParams.get('api-version') ?? ''] ?? { status: 404, body: '' };
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
}

function json(document: unknown): { status: number; body: string } {
  return { status: 200, body: JSON.stringify(document) };
}

const discovered = (resourceManager: string) => ({ kind: 'discovered', resourceManager }) as const;

const oldest = {
  galleryEndpoint: 'https://providers.local.example:30016/',
  graphEndpoint: 'https://graph.windows.net/',
  portalEndpoint: 'https://portal.local.example/',
  authentication: {
    loginEndpoint: 'https://login.microsoftonline.com/',
    audiences: ['https://management.example.onmicrosoft.com/5a4ad0ae-5d8c-4a8b-b6f3-2d8d8e3f2c11'],
  },
};

const newest = {
  portal: 'https://portal.azure.us',
  authentication: {
    loginEndpoint: 'https://login.microsoftonline.us',
    audiences: ['https://management.core.usgovcloudapi.net', 'https://management.usgovcloudapi.net'],
    tenant: 'common',
    identityProvider: 'AAD',
  },
  name: 'AzureUSGovernment',
  resourceManager: 'https://management.usgovcloudapi.net',
};

const publicCloud = {
  portal: 'https://portal.azure.com',
  authentication: {
    loginEndpoint: 'https://login.microsoftonline.com',
    audiences: ['https://management.core.windows.net/', 'https://management.azure.com/'],
    tenant: 'common',
    identityProvider: 'AAD',
  },
  name: 'AzureCloud',
  resourceManager: 'https://management.azure.com/',
};

describe('known clouds', () => {
  test.each(['azurecloud', 'azureusgovernment', 'azurechinacloud'] as const)('%s asks nobody', async (name) => {
    const { asked, get } = http({});
    const cloud = await discoverCloud({ kind: 'known', name }, get);
    expect(cloud).toEqual(knownClouds[name]);
    expect(asked).toEqual([]);
    for (const url of [cloud.resourceManager, cloud.loginEndpoint]) expect(new URL(url).origin).toBe(url);
    expect(new URL(cloud.resourceManager).protocol).toBe('https:');
    expect(resourceManagerScope(cloud)).toBe(`${cloud.resourceManager}/.default`);
  });

  test('each has the audience that its Entra expects of federated tokens', () => {
    expect(Object.values(knownClouds).map(({ oidcAudience }) => oidcAudience)).toEqual([
      'api://AzureADTokenExchange',
      'api://AzureADTokenExchangeUSGov',
      'api://AzureADTokenExchangeChina',
    ]);
  });
});

describe('published shapes', () => {
  test('2022-09-01: the cloud itself; the audience that is the endpoint wins over the older one', async () => {
    const { asked, get } = http({ '2022-09-01': json(newest) });
    expect(await discoverCloud(discovered('https://management.usgovcloudapi.net/'), get)).toEqual({
      name: 'AzureUSGovernment',
      resourceManager: 'https://management.usgovcloudapi.net',
      loginEndpoint: 'https://login.microsoftonline.us',
      audience: 'https://management.usgovcloudapi.net',
      oidcAudience: 'api://AzureADTokenExchangeUSGov',
      portal: 'https://portal.azure.us',
    });
    expect(asked).toEqual(['https://management.usgovcloudapi.net/metadata/endpoints?api-version=2022-09-01']);
  });

  test('2019-05-01: a list, matched by the endpoint', async () => {
    const { get } = http({ '2019-05-01': json([newest, publicCloud]) });
    const cloud = await discoverCloud(discovered('https://management.azure.com'), get);
    expect(cloud).toMatchObject({ name: 'AzureCloud', loginEndpoint: 'https://login.microsoftonline.com' });
    // Its App ID URI ends in a slash, which the scope keeps.
    expect(resourceManagerScope(cloud)).toBe('https://management.azure.com//.default');
  });

  test('2022-09-01 as a list', async () => {
    const { get } = http({ '2022-09-01': json([publicCloud, newest]) });
    const cloud = await discoverCloud(discovered('https://management.usgovcloudapi.net'), get);
    expect(cloud.name).toBe('AzureUSGovernment');
  });

  test('2015-01-01: Azure Stack Hub, which refuses the newer versions', async () => {
    const { asked, get } = http({
      '2022-09-01': { status: 400, body: '{"error":{"code":"InvalidApiVersionParameter"}}' },
      '2015-01-01': json(oldest),
    });
    expect(await discoverCloud(discovered(stamp), get)).toEqual({
      name: 'management.local.example',
      resourceManager: stamp,
      loginEndpoint: 'https://login.microsoftonline.com',
      audience: 'https://management.example.onmicrosoft.com/5a4ad0ae-5d8c-4a8b-b6f3-2d8d8e3f2c11',
      oidcAudience: 'api://AzureADTokenExchange',
      portal: 'https://portal.local.example',
    });
    expect(asked).toHaveLength(3);
  });

  test('a newer version may be answered in the oldest shape', async () => {
    const { asked, get } = http({ '2022-09-01': json(oldest) });
    expect(await discoverCloud(discovered(stamp), get)).toMatchObject({ resourceManager: stamp });
    expect(asked).toHaveLength(1);
  });

  test.each([
    ['an object', publicCloud],
    ['a list of one', [publicCloud]],
  ])('the endpoint that was named is used, also where %s names another', async (_what, document) => {
    const { get } = http({ '2022-09-01': json(document) });
    const cloud = await discoverCloud(discovered('https://westeurope.management.azure.com'), get);
    expect(cloud.resourceManager).toBe('https://westeurope.management.azure.com');
    expect(cloud.audience).toBe('https://management.core.windows.net/');
  });

  test.each([
    ['https://login.partner.microsoftonline.cn', 'api://AzureADTokenExchangeChina'],
    ['https://login.chinacloudapi.cn/', 'api://AzureADTokenExchangeChina'],
    ['https://login.local.example:8443', 'api://AzureADTokenExchange'],
  ])('%s expects %s of federated tokens', async (loginEndpoint, audience) => {
    const document = { ...oldest, authentication: { ...oldest.authentication, loginEndpoint } };
    const { get } = http({ '2022-09-01': json(document) });
    expect((await discoverCloud(discovered(stamp), get)).oidcAudience).toBe(audience);
  });

  test('a portal that is not https is left out: it is only shown', async () => {
    const { get } = http({
      '2022-09-01': json({ ...oldest, portalEndpoint: 'http://portal.local.example' }),
    });
    expect((await discoverCloud(discovered(stamp), get)).portal).toBeUndefined();
  });
});

describe('what cannot be used', () => {
  const signsInAt = (authentication: object) =>
    json({ ...oldest, authentication: { ...oldest.authentication, ...authentication } });

  test.each<[string, string, Answers, RegExp]>([
    ['http', 'http://management.local.example', {}, /http:\/\/management\.local\.example: .*must be https/],
    ['no URL at all', 'management.local.example', {}, /must be https/],
    ['no answer', stamp, { '2022-09-01': new Error('getaddrinfo ENOTFOUND') }, /no answer: getaddrinfo ENOTFOUND/],
    ['not a Resource Manager', stamp, {}, /api-version=2015-01-01: the answer was HTTP 404/],
    ['a door', stamp, { '2022-09-01': { status: 403, body: '' } }, /api-version=2022-09-01: the answer was HTTP 403/],
    ['a redirect', stamp, { '2022-09-01': { status: 302, body: '' } }, /HTTP 302/],
    ['a page', stamp, { '2022-09-01': { status: 200, body: '<html>' } }, /not JSON/],
    ['null', stamp, { '2022-09-01': json(null) }, /authentication\.loginEndpoint is missing/],
    ['no sign-in', stamp, { '2022-09-01': json({}) }, /authentication\.loginEndpoint is missing/],
    [
      'sign-in by http',
      stamp,
      { '2022-09-01': signsInAt({ loginEndpoint: 'http://login.local.example' }) },
      /loginEndpoint is not an https URL: http:/,
    ],
    [
      'no audience',
      stamp,
      { '2022-09-01': signsInAt({ audiences: [] }) },
      /authentication\.audiences is missing or empty/,
    ],
    [
      'audiences of another type',
      stamp,
      { '2022-09-01': signsInAt({ audiences: 'https://a.example' }) },
      /audiences is missing/,
    ],
    [
      'AD FS by its path',
      stamp,
      { '2022-09-01': signsInAt({ loginEndpoint: 'https://adfs.local.example/adfs' }) },
      /AD FS .*adfs\.local\.example\/adfs.*no tenants/,
    ],
    ['AD FS by its name', stamp, { '2022-09-01': signsInAt({ identityProvider: 'ADFS' }) }, /AD FS/],
    [
      'sign-in under a path',
      stamp,
      { '2022-09-01': signsInAt({ loginEndpoint: 'https://login.local.example/one' }) },
      /has a path/,
    ],
    [
      'a list of others',
      stamp,
      { '2022-09-01': json([publicCloud, newest]) },
      /not among the clouds listed there \(https:\/\/management\.azure\.com\/, \S+\)/,
    ],
    ['an empty list', stamp, { '2022-09-01': json([]) }, /none/],
    ['a list of nothing', stamp, { '2022-09-01': json([null]) }, /authentication\.loginEndpoint is missing/],
  ])('%s', async (_what, url, answers, message) => {
    const failure = await discoverCloud(discovered(url), http(answers).get).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ActionError);
    expect(String(failure)).toMatch(message);
    expect(String(failure)).toContain(url);
    expect((failure as ActionError).explanation?.fix.join(' ')).toMatch(/\/metadata\/endpoints/);
  });
});
