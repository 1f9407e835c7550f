import { ComputeManagementClient } from '@azure/arm-compute';
import { createHttpHeaders, type HttpClient } from '@azure/core-rest-pipeline';
import { describe, expect, test } from '@jest/globals';
import { AzureError } from '../../../src/errors/errors.ts';
import { parseErrorResponse } from '../../../src/errors/parse-error-response.ts';
import type { GalleryClients } from '../../../src/image/gallery.ts';
import { inspectImage, resolveImage } from '../../../src/image/image.ts';
import type { ImageReference } from '../../../src/azure/resource-id.ts';

const definitionId =
  '/subscriptions/1a2f6c2e-5d0e-4c1b-9a53-6f0f0c9f1e01/resourceGroups/gallery-rg/providers/Microsoft.Compute/galleries/images/images/linux';
const region = Promise.resolve('westeurope');

/** Responses by the end of the request path: a body, or the status of an error. */
type Responses = Readonly<Record<string, object | 403 | 404>>;

/** The SDK's own client over fixed responses, so that missing and null values pass through its deserializers. */
function galleryClients(responses: Responses): GalleryClients {
  const httpClient: HttpClient = {
    async sendRequest(request) {
      const { pathname } = new URL(request.url);
      const found = Object.entries(responses).find(([end]) => pathname.toLowerCase().endsWith(end.toLowerCase()));
      const answer = found?.[1] ?? 404;
      if (typeof answer === 'number') {
        const bodyText = JSON.stringify({
          error: { code: answer === 403 ? 'AuthorizationFailed' : 'NotFound', message: 'No.' },
        });
        throw new AzureError(
          parseErrorResponse({
            method: 'GET',
            url: pathname,
            status: answer,
            headers: () => undefined,
            bodyText,
          }),
        );
      }
      return { request, status: 200, headers: createHttpHeaders(), bodyAsText: JSON.stringify(answer) };
    },
  };
  const credential = {
    getToken: async () => ({ token: 'token', expiresOnTimestamp: Date.now() + 3_600_000 }),
  };
  const compute = new ComputeManagementClient(credential, 'sub', {
    httpClient,
    endpoint: 'https://arm.example',
  });
  return {
    imageCompute: () => compute,
    compute,
    signal: new AbortController().signal,
    onWaiting: () => undefined,
  };
}

const own = {
  subscriptionId: 'image-sub',
  resourceGroup: 'gallery-rg',
  gallery: 'images',
  definition: 'linux',
};
const version: ImageReference = {
  kind: 'version',
  id: `${definitionId}/versions/1.0.0`,
  ...own,
  version: '1.0.0',
};
const community: ImageReference = {
  kind: 'community',
  id: '/communityGalleries/pub/images/linux/versions/1.0.0',
  gallery: 'pub',
  definition: 'linux',
  version: '1.0.0',
};
const wanted = { image: version, imageWaitMinutes: 0 };

const definition = { name: 'linux', properties: { osType: 'Linux', osState: 'Generalized', identifier: {} } };
const of = (properties: object) => ({ name: '1.0.0', properties: { storageProfile: {}, ...properties } });
const targets = (...names: string[]) => ({
  publishingProfile: { targetRegions: names.map((name) => ({ name })) },
});

describe('a version without a replication report', () => {
  const look = async (properties: object) => {
    const { unusable } = await inspectImage(
      galleryClients({ '/images/linux': definition, '/versions/1.0.0': of(properties) }),
      wanted,
      region,
    );
    return unusable && [String(unusable.refusal), unusable.temporary];
  };
  const succeeded = { provisioningState: 'Succeeded' };

  test.each<[string, object]>([
    ['no report', { ...succeeded, ...targets('West Europe', 'North Europe') }],
    ['null', { ...succeeded, ...targets('West Europe'), replicationStatus: null }],
    ['no summary', { ...succeeded, ...targets('westeurope'), replicationStatus: { aggregatedState: 'Unknown' } }],
    ['a summary of null', { ...succeeded, ...targets('westeurope'), replicationStatus: { summary: null } }],
    ['no provisioning state', targets('West Europe')],
    ['no target regions', succeeded],
    ['target regions of null', { ...succeeded, publishingProfile: { targetRegions: null } }],
    ['no target regions, Updating', { provisioningState: 'Updating' }],
    ['no properties', {}],
  ])('is usable: %s', async (_what, properties) => {
    expect(await look(properties)).toBeUndefined();
  });

  test.each<[string, object, RegExp, boolean]>([
    [
      'the region is no target',
      { ...succeeded, ...targets('North Europe', 'UK South') },
      /1\.0\.0 is not replicated to westeurope \(its target regions: northeurope, uksouth\)/,
      false,
    ],
    [
      'Updating',
      { provisioningState: 'Updating', ...targets('West Europe') },
      /1\.0\.0 is Updating, and Azure does not report which regions are complete/,
      true,
    ],
    ['Creating', { provisioningState: 'Creating' }, /is still being built/, true],
    ['Failed', { provisioningState: 'Failed', ...targets('West Europe') }, /is Failed/, false],
    ['Deleting', { provisioningState: 'Deleting', ...targets('West Europe') }, /is being deleted/, false],
    [
      'an empty report',
      { ...succeeded, ...targets('West Europe'), replicationStatus: { summary: [] } },
      /is not replicated to westeurope \(it is in: no region yet\)/,
      false,
    ],
  ])('is unusable: %s', async (_what, properties, reason, temporary) => {
    expect(await look(properties)).toEqual([expect.stringMatching(reason), temporary]);
  });
});

describe('a definition that cannot be read', () => {
  const pinned = { '/versions': { value: [of({})] }, '/versions/1.0.0': of({}) };
  const byDefinition: ImageReference = { kind: 'definition', id: definitionId, ...own };

  test.each<[string, ImageReference, 403 | 404]>([
    ['of a version', version, 403],
    ['of a definition', byDefinition, 403],
    ['of a community gallery', community, 403],
    ['of a community gallery that answers 404', community, 404],
  ])('uses os-type and leaves the rest unknown: %s', async (_what, image, refused) => {
    const answers = { ...pinned, '/images/linux': refused };
    const look = await inspectImage(galleryClients(answers), { ...wanted, image, osType: 'Windows' }, region);
    expect(look.facts).toMatchObject({ version: '1.0.0', osType: 'Windows', osState: 'Generalized' });
    expect(look.facts.generation).toBeUndefined();
    expect(look.unread).toMatchObject({ fault: { status: refused } });
    const facts = await resolveImage(galleryClients(answers), { ...wanted, image, osType: 'Windows' }, region);
    expect(facts).toEqual(look.facts);
  });

  test.each<[string, 403 | 404, 'Linux' | undefined]>([
    ['os-type is missing', 403, undefined],
    ['there is no such definition', 404, 'Linux'],
  ])('rethrows the error of Azure when %s', async (_what, refused, osType) => {
    const asked = { ...wanted, ...(osType ? { osType } : {}) };
    const reading = resolveImage(galleryClients({ ...pinned, '/images/linux': refused }), asked, region);
    await expect(reading).rejects.toMatchObject({ fault: { status: refused } });
  });
});

describe('responses without optional values, or with null', () => {
  const shared: ImageReference = {
    ...community,
    kind: 'shared',
    id: community.id.replace('community', 'shared'),
  };
  const bare = {
    version: '1.0.0',
    osType: 'Linux',
    osState: 'Generalized',
    architecture: 'x64',
    securityType: 'Standard',
    dataDiskLuns: [],
    notices: [],
    warnings: [],
  };
  const nothing = { properties: { identifier: {} } };
  const nulls = {
    properties: {
      identifier: {},
      osState: null,
      architecture: null,
      hyperVGeneration: null,
      features: null,
      purchasePlan: null,
      endOfLifeDate: null,
      recommended: null,
      disallowed: null,
    },
  };
  const nullProfile = {
    targetRegions: null,
    excludeFromLatest: null,
    endOfLifeDate: null,
    publishedDate: null,
  };
  const nullStorage = { osDiskImage: null, dataDiskImages: null };

  test.each<[string, ImageReference, object, object]>([
    ['gallery: nothing', version, nothing, of({})],
    ['gallery: no properties', version, { name: 'linux' }, { name: '1.0.0' }],
    [
      'gallery: nulls',
      version,
      nulls,
      of({ publishingProfile: nullProfile, storageProfile: nullStorage, replicationStatus: null }),
    ],
    ['gallery: a publishing profile of null', version, nothing, of({ publishingProfile: null })],
    [
      'gallery: a region without a name',
      version,
      nothing,
      of({ publishingProfile: { targetRegions: [{ excludeFromLatest: true }, { name: 'West Europe' }] } }),
    ],
    [
      'gallery: a feature without a name, a plan without a product',
      version,
      { properties: { identifier: {}, features: [{}], purchasePlan: { name: 'a', publisher: 'b' } } },
      of({}),
    ],
    ['community: nothing', community, nothing, { properties: {} }],
    ['community: nulls', community, nulls, { properties: { storageProfile: nullStorage, endOfLifeDate: null } }],
    ['community: no properties', community, {}, {}],
    ['shared: nothing', shared, nothing, { properties: { storageProfile: {} } }],
    ['shared: nulls', shared, nulls, { properties: { storageProfile: null, excludeFromLatest: null } }],
  ])('resolves to defaults: %s', async (_what, image, theDefinition, theVersion) => {
    const facts = await resolveImage(
      galleryClients({ '/images/linux': theDefinition, '/versions/1.0.0': { name: '1.0.0', ...theVersion } }),
      { ...wanted, image },
      region,
    );
    expect(facts).toMatchObject(bare);
    const { generation, securityFeature, diskControllers, plan } = facts;
    expect([generation, securityFeature, diskControllers, plan]).toEqual(Array(4).fill(undefined));
  });

  test('warns about the end of life when only one of two dates is set', async () => {
    const { warnings } = await resolveImage(
      galleryClients({
        '/images/linux': { properties: { identifier: {}, endOfLifeDate: null } },
        '/versions/1.0.0': of({ publishingProfile: { endOfLifeDate: '2020-01-31T00:00:00Z' } }),
      }),
      wanted,
      region,
    );
    expect(warnings).toEqual([expect.stringMatching(/2020-01-31\. The owner of the gallery .* can set a later date/)]);
  });

  test('describes a replication that has no progress, details or region', async () => {
    const { unusable } = await inspectImage(
      galleryClients({
        '/images/linux': nothing,
        '/versions/1.0.0': of({
          replicationStatus: {
            summary: [{ state: 'Completed' }, { region: 'West Europe', state: null, progress: null, details: null }],
          },
        }),
      }),
      wanted,
      region,
    );
    expect(String(unusable?.refusal)).toMatch(/1\.0\.0 is Unknown in westeurope\.$/);
  });

  test('resolves a definition when listed versions have no properties', async () => {
    const image: ImageReference = { kind: 'definition', id: definitionId, ...own };
    const value = [
      {},
      { name: '1.0.0' },
      { name: '0.9.0', properties: { storageProfile: {}, publishingProfile: null } },
    ];
    const facts = await resolveImage(
      galleryClients({ '/images/linux': nothing, '/versions': { value }, '/versions/1.0.0': of({}) }),
      { ...wanted, image },
      region,
    );
    expect(facts.version).toBe('1.0.0');
  });
});

test('gives the reason for each version when none is usable', async () => {
  const image: ImageReference = { kind: 'definition', id: definitionId, ...own };
  const versionOf = (name: string, properties: object) => ({ ...of(properties), name });
  const versions = [
    versionOf('1.0.0', { provisioningState: 'Succeeded', ...targets('North Europe') }),
    versionOf('1.1.0', {
      provisioningState: 'Failed',
      replicationStatus: { summary: [{ region: 'West Europe', state: 'Failed', details: 'No space.' }] },
    }),
    versionOf('2.0.0', { publishingProfile: { excludeFromLatest: true } }),
  ];
  const responses = {
    '/images/linux': definition,
    '/versions': { value: versions },
    ...Object.fromEntries(versions.map((one) => [`/versions/${one.name}`, one])),
  };
  await expect(resolveImage(galleryClients(responses), { ...wanted, image }, region)).rejects.toThrow(
    /: version 1\.1\.0 is Failed \(No space\.\); version 1\.0\.0 is not replicated to westeurope/,
  );
});

test('names `image-wait-minutes` when the version is still replicating', async () => {
  const replicationStatus = { summary: [{ region: 'West Europe', state: 'Replicating', progress: 30 }] };
  const responses = { '/images/linux': definition, '/versions/1.0.0': of({ replicationStatus }) };
  await expect(resolveImage(galleryClients(responses), wanted, region)).rejects.toMatchObject({
    message: expect.stringContaining('version 1.0.0 is Replicating in westeurope, 30 %'),
    explanation: { fix: expect.arrayContaining([expect.stringContaining('set `image-wait-minutes`')]) },
  });
});

test('says that `os-type` is missing when the definition of a community gallery cannot be read', async () => {
  const responses = { '/images/linux': 403, '/versions/1.0.0': of({}) } as const;
  const reading = resolveImage(galleryClients(responses), { ...wanted, image: community }, region);
  await expect(reading).rejects.toMatchObject({
    explanation: { fix: ['Set `os-type: Linux` or `os-type: Windows`.'] },
  });
});

test.each([
  [undefined, 'Standard'],
  ['None', 'Standard'],
  ['TrustedLaunch', 'TrustedLaunch'],
  ['TrustedLaunchSupported', 'TrustedLaunch'],
  ['TrustedLaunchAndConfidentialVmSupported', 'TrustedLaunch'],
  ['ConfidentialVmSupported', 'Standard'],
  ['ConfidentialVM', 'ConfidentialVM'],
])('reads the security type of the VM from the feature %s: %s', async (value, securityType) => {
  const features = value === undefined ? [] : [{ name: 'SecurityType', value }];
  const properties = { ...definition.properties, features };
  const responses = { '/images/linux': { properties }, '/versions/1.0.0': of({}) };
  expect(await resolveImage(galleryClients(responses), wanted, region)).toMatchObject({ securityType });
});

describe('a soft-deleted version', () => {
  const softDeleted = { imageState: 'SoftDeleted', consumptionEndTime: '2027-01-31T00:00:00Z' };
  const versionOf = (name: string, properties: object = {}) => ({ ...of(properties), name });
  const responses = {
    '/images/linux': definition,
    '/versions': { value: [versionOf('2.0.0', softDeleted), versionOf('1.0.0')] },
    '/versions/1.0.0': versionOf('1.0.0'),
    '/versions/2.0.0': versionOf('2.0.0', softDeleted),
  };

  test('is skipped when the newest version is resolved', async () => {
    const image: ImageReference = { kind: 'definition', id: definitionId, ...own };
    const facts = await resolveImage(galleryClients(responses), { ...wanted, image }, region);
    expect(facts).toMatchObject({ version: '1.0.0', warnings: [] });
  });

  test('draws a warning with its end and the restore command when it is named', async () => {
    const image = { ...version, id: `${definitionId}/versions/2.0.0`, version: '2.0.0' };
    const facts = await resolveImage(galleryClients(responses), { ...wanted, image }, region);
    const { warnings } = facts;
    expect(facts.version).toBe('2.0.0');
    expect(warnings).toEqual([expect.stringMatching(/soft-deleted .* until 2027-01-31\..*properties\.restore=true/)]);
  });
});
