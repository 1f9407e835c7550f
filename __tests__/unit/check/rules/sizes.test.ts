import { describe, expect, test } from '@jest/globals';
import {
  type Case,
  type Change,
  denied,
  expectFindings,
  findingsFor,
  ok,
  usage,
} from '../../../support/check-facts.ts';
import { newNetwork } from '../../../support/values.ts';

const spot = { maxPrice: 0.04, evictionPolicy: 'Delete' } as const;

describe('sizes', () => {
  test.each<Case>([
    ['no such size', { inputs: { sizes: ['Standard_Z9'] } }, [['size/Standard_Z9', 'fault', /no size/]]],
    ['Arm', { inputs: { sizes: ['Standard_D2ps_v5'] } }, [['size/Standard_D2ps_v5', 'fault', /Arm64 processors/]]],
    [
      'generation 1 only, and old',
      { inputs: { sizes: ['Standard_D1_v2'] } },
      [
        ['size/Standard_D1_v2', 'fault', /boots generation 1/],
        ['retirement/Standard_D1_v2', 'warning', /2028-05-01/],
      ],
    ],
    ['NVMe only', { inputs: { sizes: ['Standard_D2s_v6'] } }, [['size/Standard_D2s_v6', 'fault', /NVMe disks only/]]],
    [
      'NVMe that the image boots from',
      { inputs: { sizes: ['Standard_D2s_v6'] }, image: { diskControllers: 'SCSI, NVMe' } },
      [],
    ],
    [
      'confidential',
      { inputs: { sizes: ['Standard_DC2as_v5'] } },
      [['size/Standard_DC2as_v5', 'fault', /confidential VMs only/]],
    ],
    [
      'no Trusted Launch',
      { inputs: { sizes: ['Standard_A2_v2'], securityType: 'TrustedLaunch' } },
      [
        ['size/Standard_A2_v2', 'fault', /no Trusted Launch/],
        ['retirement/Standard_A2_v2', 'warning'],
      ],
    ],
    [
      'no Trusted Launch, which nobody insists on',
      { inputs: { sizes: ['Standard_A2_v2'] } },
      [['retirement/Standard_A2_v2', 'warning']],
    ],
    [
      'not available as Spot',
      { inputs: { sizes: ['Standard_B2s_v2'], spot: { maxPrice: -1, evictionPolicy: 'Delete' } } },
      [['size/Standard_B2s_v2', 'fault', /not available as Spot/]],
    ],
    [
      'neither premium disks nor accelerated networking',
      {
        image: { generation: 'V1', securityType: 'Standard' },
        inputs: {
          sizes: ['Standard_D1_v2'],
          osDiskType: 'Premium_LRS',
          network: { ...newNetwork, acceleratedNetworking: true },
        },
      },
      [
        ['size/Standard_D1_v2', 'fault', /accelerated networking.*premium disks/],
        ['retirement/Standard_D1_v2', 'warning'],
      ],
    ],
    ['a restricted size', { inputs: { sizes: ['Standard_D8s_v5'] } }, [['size/Standard_D8s_v5', 'fault', /QuotaId/]]],
    [
      'a restricted size, and one that can be had',
      { inputs: { sizes: ['Standard_D8s_v5', 'Standard_D2s_v5'] } },
      [['size/Standard_D8s_v5', 'warning']],
    ],
    [
      'a size that cannot boot, before one that can',
      { inputs: { sizes: ['Standard_D2ps_v5', 'Standard_D2s_v5'] } },
      [['size/Standard_D2ps_v5', 'fault']],
    ],
    [
      'a size that cannot boot, after one that can',
      { inputs: { sizes: ['Standard_D2s_v5', 'Standard_D2ps_v5'] } },
      [['size/Standard_D2ps_v5', 'warning']],
    ],
    [
      'a zone that is restricted',
      { inputs: { sizes: ['Standard_D16s_v5'], zones: ['1'] } },
      [['size/Standard_D16s_v5', 'fault', /zone 1/]],
    ],
    [
      'a zone that is restricted, and one that is not',
      { inputs: { sizes: ['Standard_D16s_v5'], zones: ['1', '2'] } },
      [['size/Standard_D16s_v5', 'warning', /zone 1/]],
    ],
    ['a zone restriction without a zone', { inputs: { sizes: ['Standard_D16s_v5'] } }, []],
    [
      'a size without zones',
      { inputs: { sizes: ['Standard_E2s_v5'], zones: ['3'] } },
      [['size/Standard_E2s_v5', 'fault', /no zone at all/]],
    ],
    [
      'a Spot price below `max-price`',
      { inputs: { spot }, facts: { spotPrices: ok([{ size: 'Standard_D2s_v5', price: 0.03 }]) } },
      [],
    ],
    [
      'a Spot price that Azure does not publish',
      { inputs: { spot }, facts: { spotPrices: ok([]) } },
      [['spot-price', 'unknown', /publishes no Spot price/]],
    ],
    [
      'Spot prices that may not be read',
      { inputs: { spot }, facts: { spotPrices: denied } },
      [['spot-price', 'unknown', /ResourceGraph/]],
    ],
    [
      'sizes that may not be listed',
      { facts: { skus: denied } },
      [['size', 'unknown', /Microsoft.Compute\/skus\/read/]],
    ],
    [
      'sizes that may not be listed, and one that cannot boot by its name',
      { inputs: { sizes: ['Standard_D2ps_v5'] }, facts: { skus: denied } },
      [
        ['size', 'unknown'],
        ['size/Standard_D2ps_v5', 'fault', /Arm64/],
      ],
    ],
    [
      'a security profile by override',
      {
        inputs: { overrides: { vm: { properties: { securityProfile: null } } }, sizes: ['Standard_D2ps_v5'] },
      },
      [['overrides', 'unknown']],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});

describe('the finding of an available size', () => {
  const answerOf = (change: Change): string =>
    findingsFor(change).find(({ id }) => id === 'size/Standard_D2s_v5')?.answer ?? '';

  test('says that the image boots when size and image were compared', () => {
    expect(answerOf({})).toMatch(/GiB\. The image boots on it\.$/);
  });

  test.each<[string, Change]>([
    ['the image could not be read', { inputs: { sizes: ['Standard_D2s_v5'] }, facts: { image: denied } }],
    ['its definition could not be read', { image: { generation: undefined } }],
    [
      '`overrides` change the size',
      { inputs: { overrides: { vm: { properties: { hardwareProfile: { vmSize: 'Standard_D2ps_v5' } } } } } },
    ],
  ])('does not say that the image boots when %s', (_, change) => {
    expect(answerOf(change)).toMatch(/GiB\. Not compared with the image\.$/);
  });
});

describe('core quota', () => {
  test.each<Case>([
    [
      'cores that are used up',
      { facts: { computeUsages: ok([usage('cores', 10, 9), usage('family of Standard_D2s_v5')]) } },
      [['quota/cores', 'fault', /9 of 10 are in use, and Standard_D2s_v5 needs 2/]],
    ],
    ['cores that just suffice', { facts: { computeUsages: ok([usage('cores', 10, 8)]) } }, []],
    [
      'a family that is used up, and another size',
      {
        inputs: { sizes: ['Standard_D2s_v5', 'Standard_D4s_v5'] },
        facts: { computeUsages: ok([usage('cores'), usage('family of Standard_D2s_v5', 0)]) },
      },
      [['quota/family of Standard_D2s_v5', 'warning']],
    ],
    [
      'Spot has a separate quota',
      {
        inputs: { spot: { maxPrice: -1, evictionPolicy: 'Delete' } },
        facts: { computeUsages: ok([usage('cores', 0), usage('lowPriorityCores', 3, 2)]) },
      },
      [['quota/lowPriorityCores', 'fault']],
    ],
    [
      'no Spot quota, although a regular VM would follow',
      {
        inputs: { spot: { maxPrice: -1, evictionPolicy: 'Delete', isOptional: true } },
        facts: { computeUsages: ok([usage('cores'), usage('lowPriorityCores', 0)]) },
      },
      [['quota/lowPriorityCores', 'warning']],
    ],
    [
      'no regular quota for the VM that follows a refused Spot VM',
      {
        inputs: { spot: { maxPrice: -1, evictionPolicy: 'Delete', isOptional: true } },
        facts: { computeUsages: ok([usage('cores', 10, 9), usage('lowPriorityCores')]) },
      },
      [['quota/cores', 'warning']],
    ],
    [
      'quotas that may not be read',
      { facts: { computeUsages: denied, networkUsages: denied } },
      [
        ['quota', 'unknown'],
        ['quota/public-ip', 'unknown'],
      ],
    ],
  ])('reports findings for %s', (_, change, expected) => {
    expectFindings(change, expected);
  });
});
