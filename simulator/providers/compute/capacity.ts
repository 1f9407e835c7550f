// Sizes, restrictions, quota and capacity, with the Resource SKUs and usages lists. Capacity shortages appear in neither
// list, as in Azure.
import type { Call, Route } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json, OperationFailure } from '../../model/contract.ts';
import type { World } from '../../world/world.ts';
import { allRegions, findRegion, regionName } from '../regions.ts';
import { type Shortage, settings } from './settings.ts';
import { describeSize, findSize, type Size, sizes } from './skus.ts';

const vmType = 'Microsoft.Compute/virtualMachines';

// The other names of the recorded list (usages-compute.json); their usage is always 0.
const otherUsages: readonly (readonly [string, string, number])[] = [
  ['availabilitySets', 'Availability Sets', 2500],
  ['virtualMachineScaleSets', 'Virtual Machine Scale Sets', 2500],
  ['dedicatedVCpus', 'Dedicated vCPUs', 3000],
  ['cloudServices', 'Cloud Services', 2500],
];

interface Usage {
  readonly name: string;
  readonly localized: string;
  readonly limit: number;
  readonly current: number;
}

function isSpot(body: Json): boolean {
  return body['properties'].priority === 'Spot' || body['properties'].priority === 'Low';
}

/** Quotas of a subscription in a region and their usage. `except`: a VM that is being replaced. */
function usages(world: World, subscription: string, location: string, except?: string): Usage[] {
  const counts = new Map<string, number>();
  const add = (name: string, count: number): void => {
    counts.set(name, (counts.get(name) ?? 0) + count);
  };
  for (const vm of world.resources.under(`/subscriptions/${subscription}`, vmType)) {
    if (regionName(vm.body['location']) !== location || vm.internal['allocated'] === false) continue;
    if (vm.id.toLowerCase() === except?.toLowerCase()) continue;
    const size = findSize(vm.body['properties'].hardwareProfile.vmSize);
    if (size === undefined) continue;
    add('virtualMachines', 1);
    if (isSpot(vm.body)) {
      add('lowPriorityCores', size.vCPUs);
    } else {
      add('cores', size.vCPUs);
      add(size.family, size.vCPUs);
    }
  }
  const quota = settings(world).quota;
  const entry = (name: string, localized: string, usual: number): Usage => {
    const set = quota[`${subscription}/${location}/${name}`] ?? quota[`${location}/${name}`] ?? quota[name];
    return {
      name,
      localized,
      limit: set?.limit ?? usual,
      current: (counts.get(name) ?? 0) + (set?.used ?? 0),
    };
  };
  const families = new Map(sizes.map((size) => [size.family, size.familyName]));
  return [
    ...otherUsages.map(([name, localized, limit]) => entry(name, localized, limit)),
    entry('cores', 'Total Regional vCPUs', 100),
    entry('virtualMachines', 'Virtual Machines', 25_000),
    entry('lowPriorityCores', 'Total Regional Low-priority vCPUs', 100),
    ...[...families].map(([name, localized]) => entry(name, localized, 100)),
  ];
}

function quotaExceededError(
  subscription: string,
  location: string,
  { usage, label, additional }: { usage: Usage; label: string; additional: number },
): Error {
  const newLimit = usage.current + additional;
  // The link to the portal carries partly encoded JSON: quota-exceeded-400-validate.json.
  const blade = `%7B%22subscriptionId%22:%22${subscription}%22,%22command%22:%22openQuotaApprovalBlade%22,%22quotas%22:[%7B%22location%22:%22${location}%22,%22providerId%22:%22Microsoft.Compute%22,%22resourceName%22:%22${usage.name}%22,%22quotaRequest%22:%7B%22properties%22:%7B%22limit%22:${newLimit},%22unit%22:%22Count%22,%22name%22:%7B%22value%22:%22${usage.name}%22%7D%7D%7D%7D]%7D`;
  return refuse(
    409,
    'OperationNotAllowed',
    `Operation could not be completed as it results in exceeding approved ${label} quota. Additional details - Deployment Model: Resource Manager, Location: ${location}, Current Limit: ${usage.limit}, Current Usage: ${usage.current}, Additional Required: ${additional}, (Minimum) New Limit Required: ${newLimit}. Submit a request for Quota increase at https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/UsageAndQuota.ReactView/Parameters/${blade} by specifying parameters listed in the ‘Details’ section for deployment to succeed. Please read more about quota limits at https://docs.microsoft.com/en-us/azure/azure-supportability/regional-quota-requests`,
  );
}

function sizeNotAvailableError(size: Size, location: string): Error {
  return refuse(
    409,
    'SkuNotAvailable',
    `The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: ${size.name}' is currently not available in location '${location}'. Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details.`,
    { target: 'vmSize' },
  );
}

/** Azure's error for a capacity shortage. */
export function capacityError(code: string, size: string, location: string): { code: string; message: string } {
  switch (code) {
    case 'SkuNotAvailable':
      return {
        code,
        message: `The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: ${size}' is currently not available in location '${location}'. Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details.`,
      };
    case 'AllocationFailed':
      return {
        code,
        message:
          'Allocation failed. Please try reducing the VM size or number of VMs, retry later, or try deploying to a different Availability Set or different Azure location.',
      };
    case 'ZonalAllocationFailed':
      return {
        code,
        message:
          'Allocation failed. We do not have sufficient capacity for the requested VM size in this zone. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance',
      };
    case 'OverconstrainedAllocationRequest':
      return {
        code,
        message:
          'Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too restrictive. Please remove some constraints and try again. Constraints applied are:\n- Networking Constraints (such as Accelerated Networking or IPv6)\n- VM Size\n',
      };
    default:
      throw new Error(`no message for the shortage ${code}`);
  }
}

/** @throws ArmError for an unknown size name. */
export function requireSize(name: unknown, location: string): Size {
  if (typeof name !== 'string' || name === '') {
    throw refuse(400, 'InvalidParameter', "Required parameter 'vmSize' is missing (null).", {
      target: 'vmSize',
    });
  }
  const size = findSize(name);
  if (size === undefined) {
    const valid = sizes.map(({ name: sizeName }) => sizeName).join(',');
    throw refuse(
      400,
      'InvalidParameter',
      `The value ${name} provided for the VM size is not valid. The valid sizes in the current region are: ${valid}. Find out more on the valid VM sizes in each region at https://aka.ms/azure-regions.`,
      { target: 'vmSize' },
    );
  }
  if (findRegion(location) === undefined) throw notModelled(`region '${location}'`);
  return size;
}

/**
 * Checks restrictions, quota and configured capacity shortages of a VM PUT. Returns the failure of the operation if a
 * shortage is configured to appear only then.
 *
 * @throws ArmError when the PUT itself is rejected.
 */
export function allocateCapacity(
  call: Call,
  size: Size,
  location: string,
  zone: string | undefined,
): OperationFailure | undefined {
  checkRestrictions(call, size, location, zone);
  checkQuota(call, size, location);
  const shortage = takeShortage(call.world, size, location, zone);
  if (shortage === undefined) return undefined;
  const failure = capacityError(shortage.code, size.name, location);
  if (shortage.at === 'operation') return failure;
  const target = shortage.code === 'SkuNotAvailable' ? { target: 'vmSize' } : {};
  throw refuse(409, failure.code, failure.message, target);
}

function checkRestrictions(call: Call, size: Size, location: string, zone: string | undefined): void {
  if (zone !== undefined && !size.zonal) {
    // https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-sku-not-available
    throw refuse(
      409,
      'SkuNotAvailable',
      `The requested size for resource '${call.resourceId}' is currently not available in location '${location}' zones '${zone}' for subscription '${call.subscription.id}'. Please try another size or deploy to a different location or zones. See https://aka.ms/azureskunotavailable for details.`,
      { target: 'vmSize' },
    );
  }
  const isRestricted = settings(call.world).restrictions.some(
    (restriction) =>
      restriction.size.toLowerCase() === size.name.toLowerCase() &&
      regionName(restriction.location) === location &&
      (restriction.zones === undefined || (zone !== undefined && restriction.zones.includes(zone))),
  );
  if (isRestricted) throw sizeNotAvailableError(size, location);
}

function checkQuota(call: Call, size: Size, location: string): void {
  const current = usages(call.world, call.subscription.id, location, call.resourceId);
  const quotas: readonly (readonly [name: string, label: string])[] = isSpot(call.body)
    ? [['lowPriorityCores', 'LowPriorityCores']]
    : [
        ['cores', 'Total Regional Cores'],
        [size.family, `${size.family} Cores`],
      ];
  for (const [quota, label] of quotas) {
    const usage = current.find(({ name }) => name === quota);
    if (usage !== undefined && usage.current + size.vCPUs > usage.limit) {
      throw quotaExceededError(call.subscription.id, location, { usage, label, additional: size.vCPUs });
    }
  }
}

/** The first entry of `settings(world).shortages` that applies; counts down its `times`. */
function takeShortage(world: World, size: Size, location: string, zone: string | undefined): Shortage | undefined {
  for (const shortage of settings(world).shortages) {
    if (shortage.size !== undefined && shortage.size.toLowerCase() !== size.name.toLowerCase()) continue;
    if (shortage.zone !== undefined && shortage.zone !== zone) continue;
    if (shortage.location !== undefined && regionName(shortage.location) !== location) continue;
    if (shortage.times !== undefined) {
      if (shortage.times <= 0) continue;
      shortage.times -= 1;
    }
    return shortage;
  }
  return undefined;
}

const providerPath = '/subscriptions/:subscriptionId/providers/Microsoft.Compute';

export const capacityRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: `${providerPath}/skus`,
    kind: 'skus.list',
    query: ['$filter'],
    action: 'Microsoft.Compute/skus/read',
    scope: (call) => `/subscriptions/${call.subscription.id}`,
    handle: (call) => {
      const filter = call.query['$filter'];
      const match = filter === undefined ? undefined : /^\s*location eq '([^']+)'\s*$/i.exec(filter);
      // "only location can be filtered" (REST reference); the answer to another filter was not recorded.
      if (match === null) throw notModelled(`$filter=${filter} of skus`);
      const regions = match === undefined ? allRegions() : [findRegion(match[1] ?? '')];
      const restrictions = settings(call.world).restrictions;
      const value = regions.flatMap((region) =>
        region === undefined ? [] : sizes.map((size) => describeSize(size, region.name, region.zones, restrictions)),
      );
      return { status: 200, body: { value } };
    },
  },
  {
    method: 'GET',
    path: `${providerPath}/locations/:location/usages`,
    kind: 'compute.usages',
    action: 'Microsoft.Compute/locations/usages/read',
    scope: (call) => `/subscriptions/${call.subscription.id}`,
    budgets: (call) => [
      {
        name: 'Microsoft.Compute/GetSubscriptionInfoSubscriptionMaximum',
        key: call.subscription.id,
        size: 360,
        perMinute: 120,
      },
    ],
    handle: (call) => {
      const region = findRegion(call.params['location'] ?? '');
      if (region === undefined) throw notModelled(`usages of region '${call.params['location']}'`);
      return {
        status: 200,
        body: {
          value: usages(call.world, call.subscription.id, region.name).map((usage) => ({
            limit: usage.limit,
            unit: 'Count',
            currentValue: usage.current,
            name: { value: usage.name, localizedValue: usage.localized },
          })),
        },
      };
    },
  },
];
