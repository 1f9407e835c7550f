import { ComputeManagementClient } from '@azure/arm-compute';
import { createHttpHeaders, type HttpClient } from '@azure/core-rest-pipeline';
import { describe, expect, test } from '@jest/globals';
import { AzureError } from '../../../src/errors/azure-error.ts';
import { parseErrorResponse } from '../../../src/errors/parse-error-response.ts';
import type { GalleryClients } from '../../../src/image/gallery.ts';
import { inspectImage, resolveImage } from '../../../src/image/resolve-image.ts';
import type { ImageReference } from '../../../src/azure/resource-id.ts';

const definitionId =
  '/subscriptions/1a2f6c2e-5d0e-4c1b-9a53-6f0f0c9f1e01/resourceGroups/gallery-rg/providers/Microsoft.Compute/galleries/images/images/linux';
const region = Promise.resolve('westeurope');

/** What Azure answers to a GET whose path ends so: a body, or the status of a refusal. */
type GalleryResponses = Readonly<Record<string, object | 403 | 404>>;

/** The SDK's own client over an answering machine: what is missing in an answer goes through its deserializers. */
function galleryWith(responses: GalleryResponses): GalleryClients {
  const httpClient: HttpClient = {
    async sendRequest(request) {
      const { pathname } = new URL(request.url);
      const found = Object.entries(responses).find(([end]) =>
        pathname.toLowerCase().endsWith(end.toLowerCase()),
      );
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

describe('a version that says nothing of its replication', () => {
  const look = async (properties: object) => {
    const { unusable } = await inspectImage(
      galleryWith({ '/images/linux': definition, '/versions/1.0.0': of(properties) }),
      wanted,
      region,
    );
    return unusable && [String(unusable.refusal), unusable.passing];
  };
  const succeeded = { provisioningState: 'Succeeded' };

  test.each<[string, object]>([
    ['no status', { ...succeeded, ...targets('West Europe', 'North Europe') }],
    ['null', { ...succeeded, ...targets('West Europe'), replicationStatus: null }],
    [
      'no summary',
      { ...succeeded, ...targets('westeurope'), replicationStatus: { aggregatedState: 'Unknown' } },
    ],
    ['a summary of null', { ...succeeded, ...targets('westeurope'), replicationStatus: { summary: null } }],
    ['no state either', targets('West Europe')],
    ['no regions either', succeeded],
    ['regions of null', { ...succeeded, publishingProfile: { targetRegions: null } }],
    ['no region, being updated', { provisioningState: 'Updating' }],
    ['nothing at all', {}],
  ])('%s: it can be used', async (_what, properties) => {
    expect(await look(properties)).toBeUndefined();
  });

  test.each<[string, object, RegExp, boolean]>([
    [
      'not meant for the region',
      { ...succeeded, ...targets('North Europe', 'UK South') },
      /1\.0\.0 is not replicated to westeurope \(it is meant for: northeurope, uksouth\)/,
      false,
    ],
    [
      'being updated',
      { provisioningState: 'Updating', ...targets('West Europe') },
      /1\.0\.0 is Updating, and nothing is said of which regions have it already/,
      true,
    ],
    ['being built', { provisioningState: 'Creating' }, /is still being built/, true],
    ['failed', { provisioningState: 'Failed', ...targets('West Europe') }, /is Failed/, false],
    [
      'being deleted',
      { provisioningState: 'Deleting', ...targets('West Europe') },
      /is being deleted/,
      false,
    ],
    [
      'a status without any region is a status',
      { ...succeeded, ...targets('West Europe'), replicationStatus: { summary: [] } },
      /is not replicated to westeurope \(it is in: no region yet\)/,
      false,
    ],
  ])('%s: it cannot', async (_what, properties, why, passing) => {
    expect(await look(properties)).toEqual([expect.stringMatching(why), passing]);
  });
});

describe('a definition that may not be read', () => {
  const pinned = { '/versions': { value: [of({})] }, '/versions/1.0.0': of({}) };
  const byDefinition: ImageReference = { kind: 'definition', id: definitionId, ...own };

  test.each<[string, ImageReference, 403 | 404]>([
    ['of a version', version, 403],
    ['of a definition', byDefinition, 403],
    ['of a community gallery', community, 403],
    ['of a community gallery, which says that it is not there', community, 404],
  ])('%s: os-type stands in for it, and the rest is not known', async (_what, image, refused) => {
    const answers = { ...pinned, '/images/linux': refused };
    const look = await inspectImage(galleryWith(answers), { ...wanted, image, osType: 'Windows' }, region);
    expect(look.facts).toMatchObject({ version: '1.0.0', osType: 'Windows', osState: 'Generalized' });
    expect(look.facts).not.toHaveProperty('generation');
    expect(look.unread).toMatchObject({ fault: { status: refused } });
    const facts = await resolveImage(galleryWith(answers), { ...wanted, image, osType: 'Windows' }, region);
    expect(facts).toEqual(look.facts);
  });

  test.each<[string, 403 | 404, 'Linux' | undefined]>([
    ['without os-type', 403, undefined],
    ['that is not there', 404, 'Linux'],
  ])("%s: Azure's refusal is told", async (_what, refused, osType) => {
    const asked = { ...wanted, ...(osType ? { osType } : {}) };
    const reading = resolveImage(galleryWith({ ...pinned, '/images/linux': refused }), asked, region);
    await expect(reading).rejects.toMatchObject({ fault: { status: refused } });
  });
});

describe('answers that leave out or null what is optional', () => {
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
    ['of a gallery: nothing', version, nothing, of({})],
    ['of a gallery: no properties', version, { name: 'linux' }, { name: '1.0.0' }],
    [
      'of a gallery: nulls',
      version,
      nulls,
      of({ publishingProfile: nullProfile, storageProfile: nullStorage, replicationStatus: null }),
    ],
    ['of a gallery: a profile of null', version, nothing, of({ publishingProfile: null })],
    [
      'of a gallery: a region without a name',
      version,
      nothing,
      of({ publishingProfile: { targetRegions: [{ excludeFromLatest: true }, { name: 'West Europe' }] } }),
    ],
    [
      'of a gallery: a feature without a name, a plan without a product',
      version,
      { properties: { identifier: {}, features: [{}], purchasePlan: { name: 'a', publisher: 'b' } } },
      of({}),
    ],
    ['community: nothing', community, nothing, { properties: {} }],
    [
      'community: nulls',
      community,
      nulls,
      { properties: { storageProfile: nullStorage, endOfLifeDate: null } },
    ],
    ['community: no properties', community, {}, {}],
    ['shared: nothing', shared, nothing, { properties: { storageProfile: {} } }],
    ['shared: nulls', shared, nulls, { properties: { storageProfile: null, excludeFromLatest: null } }],
  ])('%s', async (_what, image, theDefinition, theVersion) => {
    const facts = await resolveImage(
      galleryWith({ '/images/linux': theDefinition, '/versions/1.0.0': { name: '1.0.0', ...theVersion } }),
      { ...wanted, image },
      region,
    );
    expect(facts).toMatchObject(bare);
    for (const absent of ['generation', 'securityFeature', 'diskControllers', 'plan']) {
      expect(facts).not.toHaveProperty(absent);
    }
  });

  test('one end of life of two', async () => {
    const { warnings } = await resolveImage(
      galleryWith({
        '/images/linux': { properties: { identifier: {}, endOfLifeDate: null } },
        '/versions/1.0.0': of({ publishingProfile: { endOfLifeDate: '2020-01-31T00:00:00Z' } }),
      }),
      wanted,
      region,
    );
    expect(warnings).toEqual([expect.stringContaining('2020-01-31')]);
  });

  test('replication without progress, details or region', async () => {
    const { unusable } = await inspectImage(
      galleryWith({
        '/images/linux': nothing,
        '/versions/1.0.0': of({
          replicationStatus: {
            summary: [
              { state: 'Completed' },
              { region: 'West Europe', state: null, progress: null, details: null },
            ],
          },
        }),
      }),
      wanted,
      region,
    );
    expect(String(unusable?.refusal)).toMatch(/1\.0\.0 is Unknown in westeurope\.$/);
  });

  test('versions in a list that say nothing', async () => {
    const image: ImageReference = { kind: 'definition', id: definitionId, ...own };
    const value = [
      {},
      { name: '1.0.0' },
      { name: '0.9.0', properties: { storageProfile: {}, publishingProfile: null } },
    ];
    const facts = await resolveImage(
      galleryWith({ '/images/linux': nothing, '/versions': { value }, '/versions/1.0.0': of({}) }),
      { ...wanted, image },
      region,
    );
    expect(facts.version).toBe('1.0.0');
  });
});
