import { describe, expect, test } from '@jest/globals';
import type { ResolvedImage } from '../../../src/image/image.ts';
import type { MergePatch } from '../../../src/lib/json.ts';
import {
  capabilitiesFromName,
  incompatibilities,
  overridesAffectSize,
  retirementDate,
  securityTypeIncompatibility,
} from '../../../src/vm/sizes.ts';
import { linuxImage } from '../../support/values.ts';

const image: ResolvedImage = {
  ...linuxImage,
  generation: 'V2',
  securityType: 'TrustedLaunch',
  securityFeature: 'TrustedLaunchSupported',
};

test.each<[string, MergePatch, boolean]>([
  ['the size', { properties: { hardwareProfile: { vmSize: 'X' } } }, true],
  ['the size in another case', { Properties: { HardwareProfile: { VmSize: 'X' } } }, true],
  ['the priority', { properties: { Priority: 'Spot' } }, true],
  ['something else', { properties: { licenseType: 'RHEL_BYOS' } }, false],
])('an override of %s decides whether sizes can be checked', (_, vm, expected) => {
  expect(overridesAffectSize({ overrides: { vm } })).toBe(expected);
});

describe('sizes by name', () => {
  test.each<[string, object]>([
    ['Standard_D2s_v5', { architecture: 'x64' }],
    ['Standard_D2ps_v5', { architecture: 'Arm64', generations: ['V2'] }],
    ['standard_b2pts_v2', { architecture: 'Arm64', generations: ['V2'] }],
    ['Standard_D1_v2', { architecture: 'x64', generations: ['V1'] }],
    ['Standard_A1_v2', { architecture: 'x64', generations: ['V1'] }],
    ['Standard_DS1_v2', { architecture: 'x64' }],
    ['Standard_D4ds_v6', { architecture: 'x64', generations: ['V2'], diskControllers: ['NVMe'] }],
    ['Standard_E4-2s_v7', { architecture: 'x64', generations: ['V2'], diskControllers: ['NVMe'] }],
  ])('%s', (size, abilities) => {
    expect(capabilitiesFromName(size)).toMatchObject(abilities);
    if (!('generations' in abilities)) expect(capabilitiesFromName(size)).not.toHaveProperty('generations');
  });

  test.each([
    'Standard_NC24ads_A100_v4',
    'Standard_ND128isr_NDR_GB200_v6',
    'Standard_NP10s',
    'Standard_DC2as_v5',
    'huge',
  ])('nothing is certain of %s', (size) => {
    expect(capabilitiesFromName(size)).toEqual({});
  });

  test.each([
    ['Standard_D1_v2', '2028-05-01'],
    ['Standard_DS2_v2', '2028-05-01'],
    ['Standard_D2', '2028-05-01'],
    ['Standard_L8s', '2028-05-01'],
    ['Standard_L8s_v2', '2028-11-15'],
    ['Standard_F2s_v2', '2028-11-15'],
    ['Standard_A2m_v2', '2028-11-15'],
    ['Standard_B2ms', '2028-11-15'],
    ['Standard_B2s_v2', undefined],
    ['Standard_D2s_v3', undefined],
    ['Standard_D2s_v5', undefined],
    ['Standard_L8s_v3', undefined],
  ])('%s is retired: %s', (size, end) => {
    expect(retirementDate(size)).toBe(end);
  });

  const plain = {
    securityType: 'Standard',
    trustedLaunchOptional: false,
    acceleratedNetworking: false,
    premiumDisks: false,
    spot: false,
    encryptionAtHost: false,
    dataDisks: 0,
  } as const;
  test('a definition that was not read says nothing of the image', () => {
    const { generation: _, ...unread } = image;
    expect(incompatibilities(capabilitiesFromName('Standard_D2ps_v5'), unread, plain)).toEqual([]);
    expect(securityTypeIncompatibility(unread, 'TrustedLaunch')).toBeUndefined();
  });

  test.each<[string | undefined, 'V1' | 'V2', ResolvedImage['securityType'], RegExp | undefined]>([
    [undefined, 'V2', 'Standard', undefined],
    [undefined, 'V2', 'TrustedLaunch', /does not allow TrustedLaunch/],
    [undefined, 'V1', 'TrustedLaunch', /generation 1/],
    ['TrustedLaunchSupported', 'V2', 'Standard', undefined],
    ['TrustedLaunchSupported', 'V2', 'TrustedLaunch', undefined],
    ['TrustedLaunchSupported', 'V2', 'ConfidentialVM', /does not allow ConfidentialVM/],
    ['TrustedLaunch', 'V2', 'Standard', /does not allow standard VMs/],
    ['ConfidentialVM', 'V2', 'Standard', /does not allow standard VMs/],
    ['ConfidentialVmSupported', 'V2', 'ConfidentialVM', undefined],
    ['TrustedLaunchAndConfidentialVmSupported', 'V2', 'ConfidentialVM', undefined],
    ['TrustedLaunchAndConfidentialVmSupported', 'V2', 'TrustedLaunch', undefined],
  ])('feature %s, generation %s, asked for %s', (feature, generation, securityType, answer) => {
    const { securityFeature: _, ...rest } = image;
    const misfit = securityTypeIncompatibility(
      { ...rest, generation, ...(feature ? { securityFeature: feature } : {}) },
      securityType,
    );
    if (answer) expect(misfit).toMatch(answer);
    else expect(misfit).toBeUndefined();
  });
});
