// Who may have which size, where, and how many: offers, restrictions, quota and capacity, with the two lists that show
// them (Resource SKUs, usages). Capacity shortages are seen in no list, as in Azure.
import type { Call, Route } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json, OperationFailure } from '../../model/contract.ts';
import type { World } from '../../world/world.ts';
import { allRegions, findRegion, regionName } from '../regions.ts';
import { settings } from './settings.ts';
import { describeSize, findSize, type Size, sizes } from './skus.ts';

const vmType = 'Microsoft.Compute/virtualMachines';

// The other names of the recorded list (usages-compute.json); nobody here uses them up.
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

/** Every quota of a subscription in a region as it stands, but for one machine that is being replaced. */
function usages(world: World, subscription: string, location: string, except?: string): Usage[] {
  const counts = new Map<string, number>();
  const add = (name: string, count: number): void => {
    counts.set(name, (counts.get(name) ?? 0) + count);
  };
  for (const machine of world.resources.under(`/subscriptions/${subscription}`, vmType)) {
    if (regionName(machine.body['location']) !== location || machine.internal['allocated'] === false)
      continue;
    if (machine.id.toLowerCase() === except?.toLowerCase()) continue;
    const size = findSize(machine.body['properties'].hardwareProfile.vmSize);
    if (size === undefined) continue;
    add('virtualMachines', 1);
    if (isSpot(machine.body)) {
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
  usage: Usage,
  what: string,
  more: number,
): Error {
  const least = usage.current + more;
  // The blade's link carries its parameters as JSON, partly encoded: quota-exceeded-400-validate.json.
  const blade = `%7B%22subscriptionId%22:%22${subscription}%22,%22command%22:%22openQuotaApprovalBlade%22,%22quotas%22:[%7B%22location%22:%22${location}%22,%22providerId%22:%22Microsoft.Compute%22,%22resourceName%22:%22${usage.name}%22,%22quotaRequest%22:%7B%22properties%22:%7B%22limit%22:${least},%22unit%22:%22Count%22,%22name%22:%7B%22value%22:%22${usage.name}%22%7D%7D%7D%7D]%7D`;
  return refuse(
    409,
    'OperationNotAllowed',
    `Operation could not be completed as it results in exceeding approved ${what} quota. Additional details - Deployment Model: Resource Manager, Location: ${location}, Current Limit: ${usage.limit}, Current Usage: ${usage.current}, Additional Required: ${more}, (Minimum) New Limit Required: ${least}. Submit a request for Quota increase at https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/UsageAndQuota.ReactView/Parameters/${blade} by specifying parameters listed in the ‘Details’ section for deployment to succeed. Please read more about quota limits at https://docs.microsoft.com/en-us/azure/azure-supportability/regional-quota-requests`,
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

/** What Azure says for want of capacity. */
export function capacityError(
  code: string,
  size: string,
  location: string,
): { code: string; message: string } {
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
      throw new Error(`no text for a shortage ${code}`);
  }
}

/** The size of that name in that region, or Azure's refusal of a name it does not know. */
export function requireSize(name: unknown, location: string): Size {
  if (typeof name !== 'string' || name === '') {
    throw refuse(400, 'InvalidParameter', "Required parameter 'vmSize' is missing (null).", {
      target: 'vmSize',
    });
  }
  const size = findSize(name);
  if (size === undefined) {
    const valid = sizes.map((one) => one.name).join(',');
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
 * Refuses for restriction, quota or want of capacity, on the PUT; or gives the failure with which the operation is to
 * end when the scenario says so.
 */
export function allocateCapacity(
  call: Call,
  size: Size,
  location: string,
  zone: string | undefined,
): OperationFailure | undefined {
  const world = call.world;
  const { restrictions, shortages } = settings(world);
  if (zone !== undefined && !size.zonal) {
    // https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-sku-not-available
    throw refuse(
      409,
      'SkuNotAvailable',
      `The requested size for resource '${call.resourceId}' is currently not available in location '${location}' zones '${zone}' for subscription '${call.subscription.id}'. Please try another size or deploy to a different location or zones. See https://aka.ms/azureskunotavailable for details.`,
      { target: 'vmSize' },
    );
  }
  for (const one of restrictions) {
    if (one.size.toLowerCase() !== size.name.toLowerCase() || regionName(one.location) !== location) continue;
    if (one.zones === undefined || (zone !== undefined && one.zones.includes(zone)))
      throw sizeNotAvailableError(size, location);
  }
  const subscription = call.subscription.id;
  const now = new Map(
    usages(world, subscription, location, call.resourceId).map((usage) => [usage.name, usage] as const),
  );
  const spot = isSpot(call.body);
  const wanted: readonly (readonly [string, string])[] = spot
    ? [['lowPriorityCores', 'LowPriorityCores']]
    : [
        ['cores', 'Total Regional Cores'],
        [size.family, `${size.family} Cores`],
      ];
  for (const [name, what] of wanted) {
    const usage = now.get(name);
    if (usage !== undefined && usage.current + size.vCPUs > usage.limit) {
      throw quotaExceededError(subscription, location, usage, what, size.vCPUs);
    }
  }
  for (const one of shortages) {
    if (one.size !== undefined && one.size.toLowerCase() !== size.name.toLowerCase()) continue;
    if (one.zone !== undefined && one.zone !== zone) continue;
    if (one.location !== undefined && regionName(one.location) !== location) continue;
    if (one.times !== undefined) {
      if (one.times <= 0) continue;
      one.times -= 1;
    }
    const failure = capacityError(one.code, size.name, location);
    if (one.at === 'operation') return failure;
    throw refuse(
      409,
      failure.code,
      failure.message,
      one.code === 'SkuNotAvailable' ? { target: 'vmSize' } : {},
    );
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
      // "only location can be filtered" (REST reference); what another filter gets is not known.
      if (match === null) throw notModelled(`$filter=${filter} of skus`);
      const regions = match === undefined ? allRegions() : [findRegion(match[1] ?? '')];
      const restrictions = settings(call.world).restrictions;
      const value = regions.flatMap((region) =>
        region === undefined
          ? []
          : sizes.map((size) => describeSize(size, region.name, region.zones, restrictions)),
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
