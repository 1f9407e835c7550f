import type { VirtualMachine } from '@azure/arm-compute';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, parseResourceId, sameId } from '../azure/resource-id.ts';
import { AzureError } from '../errors/azure-error.ts';
import { type DeletionContext, deletionTarget, readTags, vmType } from './resource-types.ts';

/**
 * A machine takes along whatever its delete options say, without anybody reading the tags of those parts. So they are
 * read here, and what is not ours is told to stay.
 */
export async function detachUnowned(
  { session, log, belongs }: DeletionContext,
  { resourceGroup, name }: ResourceId,
): Promise<void> {
  const { compute, network, waiting } = session;
  const stays = async (id: string): Promise<boolean> => {
    try {
      const found = await undefinedIfNotFound(readTags(session, id).then((tags) => ({ tags })));
      return found !== undefined && !(await belongs(found.tags, id));
    } catch (error) {
      // A role that may delete machines but not read disks: Azure's own delete option, which our PUT set, has to do.
      if (error instanceof AzureError && error.fault.status === 403) return false;
      throw error;
    }
  };
  const nicStays = async (id: string): Promise<boolean> => {
    if (await stays(id)) return true;
    const nic = parseResourceId(id);
    const found =
      nic && (await undefinedIfNotFound(network.networkInterfaces.get(nic.resourceGroup, nic.name)));
    const addresses = (found?.ipConfigurations ?? []).flatMap(({ publicIPAddress }) =>
      publicIPAddress?.id && publicIPAddress.deleteOption === 'Delete' ? [publicIPAddress.id] : [],
    );
    return (await Promise.all(addresses.map(stays))).includes(true);
  };
  const vm = await undefinedIfNotFound(compute.virtualMachines.get(resourceGroup, name));
  const disks = attachedDisks(vm).filter(({ deleteOption }) => deleteOption === 'Delete');
  const nics = (vm?.networkProfile?.networkInterfaces ?? []).filter(
    ({ deleteOption }) => deleteOption === 'Delete',
  );
  const [staying, stayingNics] = await Promise.all([
    filterAsync(
      stays,
      disks.map(({ id }) => id),
    ),
    filterAsync(
      nicStays,
      nics.flatMap(({ id }) => id ?? []),
    ),
  ]);
  if (!vm || (staying.size === 0 && stayingNics.size === 0)) return;
  log.info(
    `Detaching from ${name} what is not this deployment's: ${[...staying, ...stayingNics].join(', ')}`,
  );
  const { osDisk, dataDisks } = vm.storageProfile ?? {};
  await pollUntilDone(
    `virtual machine ${name}`,
    'vm-update',
    waiting,
    compute.virtualMachines.update(resourceGroup, name, {
      networkProfile: {
        networkInterfaces: (vm.networkProfile?.networkInterfaces ?? []).map((nic) =>
          stayingNics.has(nic.id ?? '') ? { ...nic, deleteOption: 'Detach' } : nic,
        ),
      },
      storageProfile: {
        ...(osDisk && staying.has(osDisk.managedDisk?.id ?? '')
          ? { osDisk: { ...osDisk, deleteOption: 'Detach' } }
          : {}),
        ...(dataDisks
          ? {
              dataDisks: dataDisks.map((disk) =>
                staying.has(disk.managedDisk?.id ?? '') ? { ...disk, deleteOption: 'Detach' } : disk,
              ),
            }
          : {}),
      },
    }),
  );
}

async function filterAsync(
  holds: (id: string) => Promise<boolean>,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const held = await Promise.all(ids.map(holds));
  return new Set(ids.filter((_, index) => held[index]));
}

interface AttachedDisk {
  readonly id: string;
  /** False for a disk that was there before and was attached. */
  readonly made: boolean;
  readonly deleteOption?: string;
}

export function attachedDisks(vm: VirtualMachine | undefined): AttachedDisk[] {
  const { osDisk, dataDisks = [] } = vm?.storageProfile ?? {};
  return [...(osDisk ? [osDisk] : []), ...dataDisks].flatMap(({ managedDisk, createOption, deleteOption }) =>
    managedDisk?.id
      ? [{ id: managedDisk.id, made: createOption !== 'Attach', ...(deleteOption ? { deleteOption } : {}) }]
      : [],
  );
}

/** What was recorded, and the disks that Azure has made for a recorded machine under names of its own. */
export async function includeVmDisks(
  { session }: Pick<DeletionContext, 'session'>,
  ids: readonly string[],
): Promise<readonly string[]> {
  const vms = ids.flatMap((id) => {
    const target = deletionTarget(id);
    return target?.type === vmType ? [target] : [];
  });
  const disks = await Promise.all(
    vms.map(async ({ resourceGroup, name }) => {
      try {
        return attachedDisks(
          await undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, name)),
        );
      } catch {
        // Deleting the machine will meet the same obstacle, and tell of it.
        return [];
      }
    }),
  );
  const made = disks.flat().flatMap((disk) => (disk.made ? [disk.id] : []));
  return [...ids, ...made.filter((id) => !ids.some((known) => sameId(known, id)))];
}
