import type { VirtualMachine } from '@azure/arm-compute';
import type { Session } from '../azure/arm-client.ts';
import { undefinedIfNotFound } from '../azure/lookup.ts';
import { pollUntilDone } from '../azure/polling.ts';
import { parseResourceId, sameId } from '../azure/resource-id.ts';
import { AzureError } from '../errors/azure-error.ts';
import { omitUndefined } from '../lib/json.ts';
import { type DeletionContext, isDeletable, parseDeletableId, readTags, vmType } from './resource-types.ts';

/** What happens to the disks, NICs and public IPs of a VM that is deleted. */
export interface VmParts {
  /** IDs that Azure deletes with the VM. */
  readonly deletedWithVm: readonly string[];
  /** IDs of disks that the VM has or had, also those that are kept. */
  readonly disks: readonly string[];
}

/**
 * Prepares the deletion of a VM. Azure also deletes the resources whose `deleteOption` is `Delete`, regardless of
 * their tags: sets `Detach` on those that are not ours.
 */
export async function detachUnowned(context: DeletionContext, vm: VirtualMachine): Promise<VmParts> {
  const { compute, waiting } = context.session;
  const disks = attachedDisks(vm);
  const parts = await Promise.all([
    ...disks.filter(isDeletedWithVm).map((disk) => checkPart(context, disk.id, [])),
    ...(vm.networkProfile?.networkInterfaces ?? [])
      .filter(isDeletedWithVm)
      .map((nic) => checkNic(context, nic.id ?? '')),
  ]);
  const unowned = new Set(parts.flatMap((part) => (part.isUnowned ? [part.id] : [])));
  if (unowned.size > 0) {
    const { resourceGroup = '', name = '' } = { ...parseResourceId(vm.id ?? '') };
    context.log.info(`Setting the delete option Detach on resources that outlive ${name}: ${[...unowned].join(', ')}`);
    const update = compute.virtualMachines.update(resourceGroup, name, detachingBody(vm, unowned));
    await pollUntilDone(`virtual machine ${name}`, 'vm-update', waiting, update);
  }
  return {
    deletedWithVm: parts.flatMap((part) => (part.isUnowned ? [] : [part.id, ...part.children])),
    disks: disks.map((disk) => disk.id),
  };
}

const isDeletedWithVm = ({ deleteOption }: { deleteOption?: string | undefined }): boolean => deleteOption === 'Delete';

function detachingBody(vm: VirtualMachine, unowned: ReadonlySet<string>) {
  const detachIfUnowned = <T extends { deleteOption?: string }>(reference: T, id = ''): T =>
    unowned.has(id) ? { ...reference, deleteOption: 'Detach' } : reference;
  const { osDisk, dataDisks } = vm.storageProfile ?? {};
  const osDiskId = osDisk?.managedDisk?.id ?? '';
  return {
    networkProfile: {
      networkInterfaces: (vm.networkProfile?.networkInterfaces ?? []).map((nic) => detachIfUnowned(nic, nic.id)),
    },
    storageProfile: omitUndefined({
      osDisk: osDisk && unowned.has(osDiskId) ? detachIfUnowned(osDisk, osDiskId) : undefined,
      dataDisks: dataDisks?.map((disk) => detachIfUnowned(disk, disk.managedDisk?.id)),
    }),
  };
}

interface CheckedPart {
  readonly id: string;
  readonly isUnowned: boolean;
  /** IDs that Azure deletes with the part. */
  readonly children: readonly string[];
}

async function checkPart(context: DeletionContext, id: string, children: readonly string[]): Promise<CheckedPart> {
  const checks = await Promise.all([id, ...children].map((part) => isUnowned(context, part)));
  return { id, isUnowned: checks.includes(true), children };
}

async function checkNic(context: DeletionContext, id: string): Promise<CheckedPart> {
  const nic = parseResourceId(id);
  const found =
    nic && (await undefinedIfNotFound(context.session.network.networkInterfaces.get(nic.resourceGroup, nic.name)));
  const addresses = (found?.ipConfigurations ?? []).flatMap(({ publicIPAddress }) =>
    publicIPAddress?.id && isDeletedWithVm(publicIPAddress) ? [publicIPAddress.id] : [],
  );
  return checkPart(context, id, addresses);
}

async function isUnowned(context: DeletionContext, id: string): Promise<boolean> {
  try {
    const found = await undefinedIfNotFound(readTags(context.session, id).then((tags) => ({ tags })));
    return found !== undefined && !(await isDeletable(context, id, found.tags));
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
        return attachedDisks(await undefinedIfNotFound(session.compute.virtualMachines.get(resourceGroup, name)));
      } catch {
        // Deleting the VM will fail for the same reason and report it.
        return [];
      }
    }),
  );
  const created = disks.flat().flatMap(({ id, createdWithVm }) => (createdWithVm ? [id] : []));
  return [...ids, ...created.filter((id) => !ids.some((known) => sameId(known, id)))];
}
