import { describe, expect, test } from '@jest/globals';
import {
  describeInvalidImageId,
  isScope,
  normaliseRegion,
  parseImageReference,
  parseResourceId,
  resourceId,
  sameId,
} from '../../../src/azure/resource-id.ts';

const subscriptionId = '11111111-1111-1111-1111-111111111111';
const group = `/subscriptions/${subscriptionId}/resourceGroups/images-rg`;
const gallery = `${group}/providers/Microsoft.Compute/galleries/images`;
const inGallery = { subscriptionId, resourceGroup: 'images-rg', gallery: 'images', definition: 'linux' };

describe('resource IDs', () => {
  test('a top-level resource', () => {
    const id = `${group}/providers/Microsoft.Network/networkInterfaces/vm-nic`;
    expect(parseResourceId(id)).toEqual({
      id,
      subscriptionId,
      resourceGroup: 'images-rg',
      type: 'microsoft.network/networkinterfaces',
      names: ['vm-nic'],
      name: 'vm-nic',
    });
  });

  test('a nested resource in any case, with a slash and blanks around it', () => {
    const id = `/SUBSCRIPTIONS/${subscriptionId}/resourcegroups/RG/Providers/microsoft.network/VIRTUALNETWORKS/V/Subnets/S`;
    expect(parseResourceId(`  ${id}/\n`)).toEqual({
      id,
      subscriptionId,
      resourceGroup: 'RG',
      type: 'microsoft.network/virtualnetworks/subnets',
      names: ['V', 'S'],
      name: 'S',
    });
  });

  test.each([
    ['nothing', ''],
    ['a name', 'vm-nic'],
    ['a URL', `https://management.azure.com${group}/providers/Microsoft.Network/networkInterfaces/n`],
    ['a subscription that is no GUID', '/subscriptions/s/resourceGroups/g/providers/A.B/c/d'],
    ['a resource group', group],
    ['a type without a name', `${group}/providers/Microsoft.Network/networkInterfaces`],
    ['a child type without a name', `${group}/providers/Microsoft.Network/virtualNetworks/v/subnets`],
    ['an extension resource', `${group}/providers/A.B/c/d/providers/E.F/g/h`],
    ['an empty segment', `${group}/providers//Microsoft.Network/networkInterfaces/n`],
    ['a way out of the path', `${group}/providers/Microsoft.Network/networkInterfaces/..`],
    ['a query', `${group}/providers/Microsoft.Network/networkInterfaces/n?x=1`],
    ['an escaped slash', `${group}/providers/Microsoft.Network/networkInterfaces/a%2Fb`],
  ])('not %s', (_, text) => {
    expect(parseResourceId(text)).toBeUndefined();
  });

  test('are formatted with one name for each part of the type', () => {
    const id = resourceId(subscriptionId, 'rg', 'Microsoft.Network/virtualNetworks/subnets', 'v', 's');
    expect(id).toBe(
      `/subscriptions/${subscriptionId}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/s`,
    );
    expect(parseResourceId(id)?.names).toEqual(['v', 's']);
    expect(() => resourceId(subscriptionId, 'rg', 'Microsoft.Network/virtualNetworks/subnets', 'v')).toThrow(
      RangeError,
    );
  });

  test('are compared without case and without a last slash', () => {
    expect(sameId(`${gallery}/`, gallery.toUpperCase())).toBe(true);
    expect(sameId(gallery, `${gallery}2`)).toBe(false);
  });
});

test.each([
  [`/subscriptions/${subscriptionId}`, true],
  [`${group}/`, true],
  [`${group}/providers/Microsoft.ContainerRegistry/registries/r`, true],
  ['/providers/Microsoft.Management/managementGroups/root', true],
  ['/', false],
  ['/subscriptions/mine', false],
  [`${group}/providers`, false],
  ['/providers/Microsoft.Authorization/roleDefinitions/x', false],
  ['myregistry', false],
])('scope %s: %s', (text, expected) => {
  expect(isScope(text)).toBe(expected);
});

test.each([
  ['South Central US', 'southcentralus'],
  ['westeurope', 'westeurope'],
  ['East US 2 EUAP', 'eastus2euap'],
])('region %s is %s', (name, expected) => {
  expect(normaliseRegion(name)).toBe(expected);
});

describe('image references', () => {
  const shared = '/sharedGalleries/11111111-aaaa-IMAGES/images/linux';
  const community = '/CommunityGalleries/contoso-0000/Images/linux';

  test.each([
    [
      `${gallery}/images/linux/versions/1.2.3`,
      { kind: 'version', id: `${gallery}/images/linux/versions/1.2.3`, ...inGallery, version: '1.2.3' },
    ],
    [`${gallery}/images/linux/`, { kind: 'definition', id: `${gallery}/images/linux`, ...inGallery }],
    [`${gallery}/images/linux/versions/Latest`, { kind: 'definition', id: `${gallery}/images/linux`, ...inGallery }],
    [shared, { kind: 'shared', id: shared, gallery: '11111111-aaaa-IMAGES', definition: 'linux' }],
    [
      `${shared}/versions/10.0.1`,
      {
        kind: 'shared',
        id: `${shared}/versions/10.0.1`,
        gallery: '11111111-aaaa-IMAGES',
        definition: 'linux',
        version: '10.0.1',
      },
    ],
    [
      `${community}/Versions/latest`,
      { kind: 'community', id: community, gallery: 'contoso-0000', definition: 'linux' },
    ],
  ])('%s', (text, expected) => {
    expect(parseImageReference(text)).toEqual(expected);
  });

  test.each([
    ['Canonical:ubuntu-24_04-lts:server:latest', /Marketplace/],
    [`${group}/providers/Microsoft.Compute/images/old`, /managed image/],
    [gallery, /is a gallery/],
    [`${gallery}/images/linux/versions/1.2`, /Major\.Minor\.Patch/],
    [`${gallery}/images/linux/versions/1.2.9999999999`, /Major\.Minor\.Patch/],
    [`${gallery}/applications/linux`, /is not the ID of an image version/],
    [`${shared}/versions`, /is not the ID of an image version/],
    [`${shared}/versions/1.0`, /is not the ID of an image version/],
    ['/otherGalleries/a/images/b', /is not the ID of an image version/],
    ['linux', /is not the ID of an image version/],
  ])('not %s', (text, reason) => {
    expect(parseImageReference(text)).toBeUndefined();
    expect(describeInvalidImageId(text)).toMatch(reason);
  });
});
