import type { VirtualMachine } from '@azure/arm-compute';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { type ResourceId, parseResourceId, sameId } from '../azure/resource-id.ts';
import type { Session } from '../azure/arm-client.ts';
import { AzureError } from '../errors/azure-error.ts';
import { omitUndefined } from '../lib/json.ts';
import { type DeletionContext, parseDeletableId, readTags, vmType } from './resource-types.ts';

/**
 * Deleting a VM also deletes the resources whose `deleteOption` is `Delete`, whatever their tags. Before the delete, sets
 * `Detach` on those that are not ours.
 */
export async function detachUnowned(
  context: DeletionContext,
  { resourceGroup, name }: ResourceId,
): Promise<void> {
  const { compute, waiting } = context.session;
  const vm = await undefinedIfNotFound(compute.virtualMachines.get(resourceGroup, name));
  if (!vm) return;
  const unowned = await findUnowned(context, vm);
  if (unowned.size === 0) return;
  context.log.info(`Detaching resources of others from ${name}: ${[...unowned].join(', ')}`);
  const detachIfUnowned = <T extends { deleteOption?: string }>(reference: T, id = ''): T =>
    unowned.has(id) ? { ...reference, deleteOption: 'Detach' } : reference;
  const { osDisk, dataDisks } = vm.storageProfile ?? {};
  const osDiskId = osDisk?.managedDisk?.id ?? '';
  await pollUntilDone(
    `virtual machine ${name}`,
    'vm-update',
    waiting,
    compute.virtualMachines.update(resourceGroup, name, {
      networkProfile: {
        networkInterfaces: (vm.networkProfile?.networkInterfaces ?? []).map((nic) =>
          detachIfUnowned(nic, nic.id),
        ),
      },
      storageProfile: omitUndefined({
        osDisk: osDisk && unowned.has(osDiskId) ? detachIfUnowned(osDisk, osDiskId) : undefined,
        dataDisks: dataDisks?.map((disk) => detachIfUnowned(disk, disk.managedDisk?.id)),
      }),
    }),
  );
}

/** IDs of the disks and NICs that would be deleted with the VM but are not ours, or hold a public IP that is not ours. */
async function findUnowned(context: DeletionContext, vm: VirtualMachine): Promise<ReadonlySet<string>> {
  const { network } = context.session;
  const isNicUnowned = async (id: string): Promise<boolean> => {
    if (await isUnowned(context, id)) return true;
    const nic = parseResourceId(id);
    const found =
      nic && (await undefinedIfNotFound(network.networkInterfaces.get(nic.resourceGroup, nic.name)));
    const addresses = (found?.ipConfigurations ?? []).flatMap(({ publicIPAddress }) =>
      publicIPAddress?.id && publicIPAddress.deleteOption === 'Delete' ? [publicIPAddress.id] : [],
    );
    return (await Promise.all(addresses.map((address) => isUnowned(context, address)))).includes(true);
  };
  const disks = attachedDisks(vm).filter(({ deleteOption }) => deleteOption === 'Delete');
  const nics = (vm.networkProfile?.networkInterfaces ?? []).filter(
    ({ deleteOption }) => deleteOption === 'Delete',
  );
  const checks = await Promise.all([
    ...disks.map(async ({ id }) => ({ id, unowned: await isUnowned(context, id) })),
    ...nics.map(async ({ id = '' }) => ({ id, unowned: await isNicUnowned(id) })),
  ]);
  return new Set(checks.flatMap(({ id, unowned }) => (unowned ? [id] : [])));
}

async function isUnowned({ session, isOwned }: DeletionContext, id: string): Promise<boolean> {
  try {
    const found = await undefinedIfNotFound(readTags(session, id).then((tags) => ({ tags })));
    return found !== undefined && !(await isOwned(found.tags, id));
  } catch (error) {
    // A role that can delete VMs but not read disks: rely on the delete option, which our PUT has set.
    if (error instanceof AzureError && error.fault.status === 403) return false;
    throw error;
  }
}

interface AttachedDisk {
  readonly id: string;
  /** False for a disk that existed before the VM. */
  readonly createdWithVm: boolean;
  readonly deleteOption: string | undefined;
}

export function attachedDisks(vm: VirtualMachine | undefined): AttachedDisk[] {
  const { osDisk, dataDisks = [] } = vm?.storageProfile ?? {};
  return [...(osDisk ? [osDisk] : []), ...dataDisks].flatMap(({ managedDisk, createOption, deleteOption }) =>
    managedDisk?.id ? [{ id: managedDisk.id, createdWithVm: createOption !== 'Attach', deleteOption }] : [],
  );
}

/** Adds the disks that Azure has created for these VMs under names of its choice. */
export async function includeVmDisks(session: Session, ids: readonly string[]): Promise<readonly string[]> {
  const disks = await Promise.all(
    ids.map(async (id) => {
      const target = parseDeletableId(id);
      if (target?.type !== vmType) return [];
      try {
        const { resourceGroup, name } = target;
        return attachedDisks(
          await undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, name)),
        );
      } catch {
        // Deleting the VM will fail for the same reason and report it.
        return [];
      }
    }),
  );
  const created = disks.flat().flatMap(({ id, createdWithVm }) => (createdWithVm ? [id] : []));
  return [...ids, ...created.filter((id) => !ids.some((known) => sameId(known, id)))];
}
