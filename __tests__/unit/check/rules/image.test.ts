import { describe, test } from '@jest/globals';
import { denied, image, later, ok, expectFindings, type Case } from '../../../support/check-facts.ts';

describe('the image', () => {
  test.each<Case>([
    [
      'an unreadable image',
      { facts: { image: denied } },
      [
        ['image', 'fault'],
        ['size', 'unknown'],
      ],
    ],
    [
      'a version that is on its way',
      { facts: { image: ok({ facts: image, unusable: { refusal: later, temporary: true } }) } },
      [['image', 'fault', /later/]],
    ],
    [
      'a version that is on its way and waited for',
      {
        inputs: { imageWaitMinutes: 60 },
        facts: { image: ok({ facts: image, unusable: { refusal: later, temporary: true } }) },
      },
      [['image', 'warning', /later/]],
    ],
    ['the end of life', { image: { warnings: ['over since'] } }, [['image/end-of-life', 'warning', /over since/]]],
    [
      'an account that Windows refuses',
      { image: { osType: 'Windows' }, inputs: { adminUsername: 'a'.repeat(21) } },
      [['input/admin-username', 'fault']],
    ],
    [
      'an OS disk that is smaller than that of the image',
      { image: { osDiskSizeGb: 64 }, inputs: { osDiskSizeGb: 32 } },
      [['input/os-disk-size-gb', 'fault', /32 GB is smaller than the OS disk of the image, 64 GB/]],
    ],
    ['an OS disk as large as that of the image', { image: { osDiskSizeGb: 64 }, inputs: { osDiskSizeGb: 64 } }, []],
    [
      'the wrong security type',
      { inputs: { securityType: 'ConfidentialVM' } },
      [
        ['security-type', 'fault'],
        ['size/Standard_D2s_v5', 'fault'],
      ],
    ],
    [
      'overrides that only Azure can judge',
      { inputs: { overrides: { 'public-ip': { sku: { name: 'Basic' } } } } },
      [['overrides', 'unknown']],
    ],
    ['overrides of tags', { inputs: { overrides: { vm: { tags: { team: 'blue' } } } } }, []],
    [
      'terms that are not accepted',
      { image: { plan: { publisher: 'p', product: 'o', name: 'n' } }, facts: { terms: ok(false) } },
      [['terms', 'fault', /Not accepted/]],
    ],
    [
      'terms that may not be read',
      { image: { plan: { publisher: 'p', product: 'o', name: 'n' } }, facts: { terms: denied } },
      [['terms', 'unknown', /agreements\/read/]],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
