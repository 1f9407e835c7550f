/**
 * The refusals of a machine and its network, held against errors.json: status, code, and the words of the message with
 * names, IDs and numbers left out. An entry that is not provoked here is named at the end, with the reason.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { settings } from '../../simulator/providers/compute/settings.ts';
import { defaults } from '../../simulator/index.ts';
import { networkSettings } from '../../simulator/providers/network/usages.ts';
import { policyAssignments } from '../../simulator/world/policies.ts';
import type { Json } from '../../simulator/model/contract.ts';
import type { Reply } from '../support/simulator-client.ts';
import { type ComputeTestClient, createComputeTestClient } from '../support/compute-client.ts';

interface Entry {
  readonly code: string;
  readonly httpStatus: number;
  readonly body: Json | null;
  readonly when: string;
}

const entries = JSON.parse(
  readFileSync(new URL('../fixtures/errors.json', import.meta.url), 'utf8'),
) as readonly Entry[];

let client: ComputeTestClient;
beforeAll(async () => {
  client = await createComputeTestClient(0.002);
});
afterAll(() => client.sim.close());

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

// A new name for each VM: twelve PUTs of one VM empty its bucket.
let machines = 0;

async function putMachine(change: (body: Json) => void, nic?: string): Promise<Reply> {
  const name = `vm-${machines++}`;
  return client.send('PUT', client.vmId(name), client.vmBody(nic ?? client.addNic(`${name}-nic`), change));
}

function refusalIn({ status, body }: Reply): Refusal {
  const error: Json = body['error'] ?? {};
  return { status, code: error['code'], message: error['message'] };
}

async function ending(reply: Reply): Promise<Refusal> {
  expect(reply.status).toBe(201);
  const error: Json = (await client.finish(reply))['error'];
  return { status: 200, code: error['code'], message: error['message'] };
}

const image =
  (definition: string, version?: string) =>
  (body: Json): void => {
    body['properties'].storageProfile.imageReference.id = defaults.imageId(definition, version);
  };
const properties =
  (change: (properties: Json) => void) =>
  (body: Json): void =>
    change(body['properties']);
const refused = async (...changes: ((body: Json) => void)[]): Promise<Refusal> =>
  refusalIn(await putMachine((body) => changes.forEach((change) => change(body))));

const plan = { name: 'hardened', publisher: 'contoso', product: 'linux-images' };
const short = (
  code: 'SkuNotAvailable' | 'AllocationFailed' | 'ZonalAllocationFailed' | 'OverconstrainedAllocationRequest',
  at: 'put' | 'operation',
) => {
  settings(client.world).shortages.push({ code, at, times: 1 });
};
const ends = async (code: Parameters<typeof short>[0]): Promise<Refusal> => {
  short(code, 'operation');
  return ending(await putMachine(() => undefined));
};
const network = (type: string, name: string): string => `${client.group}/providers/Microsoft.Network/${type}/${name}`;
const putNetwork = (type: string, name: string, body: Json): Promise<Reply> =>
  client.send(
    'PUT',
    network(type, name),
    { location: defaults.location, ...body },
    { apiVersion: '2026-01-01', auxiliary: false },
  );
const boots = async (code: string, message: string): Promise<Refusal> => {
  settings(client.world).provisioning.push({ failure: { code, message }, afterSeconds: 30, times: 1 });
  return ending(await putMachine(() => undefined));
};

/** How an entry of errors.json, by its code, comes about in the simulator. */
const provoked: Readonly<Record<string, () => Promise<Refusal>>> = {
  GalleryImageNotFound: () => refused(image('linux', '1.11.0')),
  'NotFound (no latest)': () => refused(image('linux-replication-failed')),
  'InvalidParameter (osProfile not allowed)': () => refused(image('linux-specialized')),
  'InvalidParameter (osProfile missing)': () => refused(properties((all) => delete all['osProfile'])),
  VMMarketplaceInvalidInput: () => refused(image('linux-plan')),
  ResourcePurchaseValidationFailed: () => refused(image('linux-plan'), (body) => Object.assign(body, { plan })),
  OSProvisioningTimedOut: () => boots('OSProvisioningTimedOut', ''),
  AllocationFailed: () => ends('AllocationFailed'),
  ZonalAllocationFailed: () => ends('ZonalAllocationFailed'),
  OverconstrainedAllocationRequest: () => ends('OverconstrainedAllocationRequest'),
  SkuNotAvailable: () => {
    short('SkuNotAvailable', 'put');
    return refused();
  },
  'OperationNotAllowed (quota)': async () => {
    settings(client.world).quota['cores'] = { limit: 1 };
    const refusal = await refused();
    delete settings(client.world).quota['cores'];
    return refusal;
  },
  PropertyChangeNotAllowed: async () => {
    const name = `vm-${machines++}`;
    const nic = client.addNic(`${name}-nic`);
    await client.finish(await client.send('PUT', client.vmId(name), client.vmBody(nic)));
    return refusalIn(await client.send('PUT', client.vmId(name), client.vmBody(nic, image('linux', '1.9.0'))));
  },
  'BadRequest (TrustedLaunch, image)': () =>
    refused(
      image('linux-arm64'),
      properties((all) => {
        all['hardwareProfile'].vmSize = 'Standard_D2ps_v5';
        all['securityProfile'] = { securityType: 'TrustedLaunch' };
      }),
    ),
  'BadRequest (Gen1 and UEFI)': () =>
    refused(
      image('linux-gen1'),
      properties((all) => Object.assign(all, { securityProfile: { uefiSettings: { vTpmEnabled: true } } })),
    ),
  'BadRequest (size and security type)': () =>
    refused(properties((all) => Object.assign(all, { hardwareProfile: { vmSize: 'Standard_DC2as_v5' } }))),
  'BadRequest (hypervisor generation)': () =>
    refused(properties((all) => Object.assign(all, { hardwareProfile: { vmSize: 'Standard_D2_v2' } }))),
  'InvalidParameter (adminUsername)': () =>
    refused(properties((all) => Object.assign(all['osProfile'], { adminUsername: 'admin' }))),
  'InvalidParameter (adminPassword)': () =>
    refused(properties((all) => Object.assign(all['osProfile'], { adminPassword: 'short' }))),
  'InvalidParameter (ssh key)': () =>
    refused(
      properties((all) => {
        const publicKeys = [{ path: '/home/azureuser/.ssh/authorized_keys', keyData: 'ssh-rsa AAAA' }];
        all['osProfile'].linuxConfiguration = { ssh: { publicKeys } };
      }),
    ),
  LinkedInvalidPropertyId: async () => refusalIn(await putMachine(() => undefined, 'my-nic')),
  PublicIPCountLimitReached: async () => {
    const { limits } = networkSettings(client.world);
    const usual = limits['PublicIPAddresses'];
    limits['PublicIPAddresses'] = 0;
    const reply = await putNetwork('publicIPAddresses', 'one-more', {
      sku: { name: 'Standard' },
      properties: { publicIPAllocationMethod: 'Static' },
    });
    limits['PublicIPAddresses'] = usual ?? 0;
    return refusalIn(reply);
  },
  IPv4BasicSkuPublicIpCountLimitReached: async () =>
    refusalIn(await putNetwork('publicIPAddresses', 'basic', { properties: { publicIPAllocationMethod: 'Static' } })),
  RequestDisallowedByPolicy: async () => {
    const assignments = policyAssignments(client.world);
    const scope = `/subscriptions/${defaults.subscriptionId}`;
    const displayName = 'Network interfaces should not have public IPs';
    assignments.push({ name: '1111aa2222bb3333cc4444dd', displayName, scope, denies: () => true });
    const reply = await putNetwork('publicIPAddresses', 'denied', {});
    assignments.length = 0;
    return refusalIn(reply);
  },
  NicReservedForAnotherVm: async () => {
    const nic = client.addNic('reserved');
    short('AllocationFailed', 'operation');
    await ending(await putMachine(() => undefined, nic));
    return refusalIn(await putMachine(() => undefined, nic));
  },
};

/** What of this part cannot come about here, and why. */
const notProvoked: Readonly<Record<string, string>> = {
  'image version being created': 'no text was found; a machine from such a version is a 501',
  MarketplacePurchaseEligibilityFailed: 'of a Marketplace that refuses a whole country or agreement',
  OSProvisioningClientError: 'as OSProvisioningTimedOut, given by the scenario that wants it',
  QuotaExceeded: 'of template deployments, which the action does not use',
  'BadRequest (security type)': 'of managed images, which the action does not take',
  VMExtensionProvisioningError: 'of extensions, which the action does not make',
};

test.each(Object.entries(provoked))('%s', async (code, provoke) => {
  const candidates = entries.filter((entry) => entry.code === code);
  expect(candidates.length).toBeGreaterThan(0);
  const refusal = await provoke();
  const matching = candidates.filter(({ httpStatus, body }) => {
    const error: Json = body?.['error'] ?? body ?? {};
    return (
      httpStatus === refusal.status &&
      error['code'] === refusal.code &&
      skeleton(String(error['message'])) === skeleton(refusal.message)
    );
  });
  expect(
    matching.length > 0
      ? []
      : candidates.map(({ httpStatus, body }) => [
          httpStatus,
          (body?.['error'] ?? body)?.code,
          skeleton(String((body?.['error'] ?? body)?.message)),
        ]),
  ).toEqual(matching.length > 0 ? [] : [[refusal.status, refusal.code, skeleton(refusal.message)]]);
});

test('nothing that a machine or its network is refused with is forgotten', () => {
  const about = entries.filter(
    ({ when, code }) =>
      /virtualMachines|VM create|VM PUT|publicIPAddresses|Run Command|with uefiSettings|^PUT$/.test(when) &&
      !/Linked|Missing/.test(code.replace('LinkedInvalid', '')),
  );
  const known = new Set([...Object.keys(provoked), ...Object.keys(notProvoked)]);
  expect(about.map(({ code }) => code).filter((code) => !known.has(code))).toEqual([]);
});

/** The words alone: what is quoted, in angle brackets, an ID, a number, a size, a region or a URL differs. */
function skeleton(message: string): string {
  return message
    .replaceAll(/[‘’]/g, "'")
    .replaceAll(/https?:\/\/[^\s']+/g, 'URL')
    .replaceAll(/\/subscriptions\/[^\s'"]+[^\s'".]/g, 'ID')
    .replaceAll(/Location: \w+|in \S+ region/g, 'REGION')
    .replaceAll(/\b[0-9a-f]+(?:-[0-9a-f]+){4}\b/gi, 'GUID')
    .replaceAll(/Standard_\w+/g, 'SIZE')
    .replaceAll(/'[^'\s]*'|"[^"]*"/g, 'X')
    .replaceAll(/\d+/g, '0')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
