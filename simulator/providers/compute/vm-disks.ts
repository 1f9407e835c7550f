// The disks of a virtual machine: which may be asked for, how they come to be, and what becomes of them.
import { randomBytes } from 'node:crypto';
import type { Call } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { VmImage } from './image-resolution.ts';
import type { Size } from './skus.ts';
import { invalidParameter } from './vm-rules.ts';
import type { VmRequest } from './vm.ts';

const diskType = 'Microsoft.Compute/disks';

/** Data disks of a creation: each LUN once, those of the image complete or not listed at all. */
export function checkDataDisks(call: Call, properties: Json, image: VmImage, size: Size): void {
  const disks: Json[] = properties['storageProfile'].dataDisks ?? [];
  if (disks.length === 0) return;
  const luns = new Set<number>();
  for (const disk of disks) {
    const lun: unknown = disk['lun'];
    if (typeof lun !== 'number')
      throw invalidParameter('dataDisk.lun', "Required parameter 'dataDisk.lun' is missing (null).");
    if (luns.has(lun)) throw notModelled('two data disks with one LUN');
    luns.add(lun);
    const create = String(disk['createOption'] ?? '').toLowerCase();
    if (create === 'fromimage') {
      if (!image.dataDisks.some((one) => one.lun === lun)) throw wrongLunsError();
    } else if (create === 'attach') {
      checkAttachable(call, disk['managedDisk']?.id);
    } else if (create === 'copy' || create === 'restore') {
      if (disk['sourceResource']?.id === undefined) throw notModelled(`a ${create} of nothing`);
    } else if (create !== 'empty') {
      throw notModelled(`data disk with createOption '${disk['createOption']}'`);
    }
  }
  // Either none is listed and Azure makes them all, or every LUN of the image has its entry.
  if (image.dataDisks.some((one) => !luns.has(one.lun))) throw wrongLunsError();
  if (luns.size > size.maxDataDisks) {
    throw refuse(
      409,
      'OperationNotAllowed',
      `The maximum number of data disks allowed to be attached to a VM of this size is ${size.maxDataDisks}.`,
      { target: 'dataDisks' },
    );
  }
}

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules; the refusal was not recorded. */
export function checkDiskNames(storage: Json): void {
  for (const disk of [storage['osDisk'] ?? {}, ...((storage['dataDisks'] ?? []) as Json[])]) {
    const name: unknown = disk['name'];
    if (typeof name === 'string' && !/^[A-Za-z0-9](?:[\w.-]{0,78}\w)?$/.test(name)) {
      throw notModelled(`the refusal of the disk name '${name}'`);
    }
  }
}

function checkAttachable(call: Call, id: unknown): void {
  const disk = typeof id === 'string' ? call.world.resources.get(id) : undefined;
  if (disk === undefined) throw notModelled(`the refusal of a data disk that is not there: ${String(id)}`);
  const holder: string | undefined = disk.internal['attachedTo'];
  if (holder === undefined) return;
  throw refuse(
    409,
    'ConflictingUserInput',
    `Disk '${disk.id}' cannot be attached as the disk is already owned by VM '${holder}'.`,
    { target: 'dataDisks' },
  );
}

function wrongLunsError(): Error {
  return invalidParameter(
    'storageProfile',
    'StorageProfile.dataDisks.lun  does not have required value(s) for image specified in storage profile.',
  );
}

function diskId(call: Call, name: string): string {
  return `/subscriptions/${call.subscription.id}/resourceGroups/${call.params['resourceGroup']}/providers/${diskType}/${name}`;
}

/** The VM's disks as the body names them once they are there; the simulator makes them with the PUT. */
export function createDisks(call: Call, wanted: VmRequest, storage: Json): Json {
  const { world } = call;
  const usual = wanted.size.premiumDisks ? 'Premium_LRS' : 'Standard_LRS';
  const suffix = (): string => randomBytes(16).toString('hex');
  const attach = (disk: Json): Json => {
    const resource = world.resources.get(disk['managedDisk'].id);
    if (resource === undefined) throw new Error('an attached disk is gone');
    resource.body['managedBy'] = call.resourceId;
    resource.body['properties'].diskState = 'Attached';
    resource.internal['attachedTo'] = call.resourceId;
    return {
      ...disk,
      name: resource.body['name'],
      managedDisk: { storageAccountType: resource.body['sku'].name, ...disk['managedDisk'] },
      deleteOption: disk['deleteOption'] ?? 'Detach',
      diskSizeGB: resource.body['properties'].diskSizeGB,
    };
  };
  const make = (disk: Json, name: string, sizeGB: number, osType: string | undefined): Json => {
    if (String(disk['createOption']).toLowerCase() === 'attach') return attach(disk);
    const sku: string = disk['managedDisk']?.storageAccountType ?? usual;
    const id = diskId(call, name);
    const taken = world.resources.get(id);
    if (taken !== undefined) {
      // Text as in public reports of `az vm create` with a disk name that is taken.
      throw refuse(
        409,
        'ConflictingUserInput',
        `Disk ${name} already exists in resource group ${call.params['resourceGroup']?.toUpperCase()}. Only CreateOption.Attach is supported.`,
        { target: osType === undefined ? 'dataDisk.name' : 'osDisk.name' },
      );
    }
    world.resources.put({
      id,
      type: diskType,
      body: {
        name,
        id,
        type: diskType,
        location: wanted.location,
        // Disks made with the VM carry its tags.
        ...(call.body['tags'] === undefined ? {} : { tags: { ...call.body['tags'] } }),
        ...(wanted.zone === undefined ? {} : { zones: [wanted.zone] }),
        managedBy: call.resourceId,
        sku: { name: sku, tier: sku.split('_')[0] },
        properties: {
          ...(osType === undefined ? {} : { osType, hyperVGeneration: wanted.image.generation }),
          creationData: {
            createOption: disk['createOption'],
            ...(disk['sourceResource'] === undefined ? {} : { sourceResourceId: disk['sourceResource'].id }),
          },
          diskSizeGB: sizeGB,
          timeCreated: world.clock.timestamp(),
          provisioningState: 'Succeeded',
          diskState: 'Attached',
          diskSizeBytes: sizeGB * 1024 ** 3,
          uniqueId: world.uuid(),
        },
      },
      internal: { attachedTo: call.resourceId },
    });
    return {
      ...disk,
      name,
      managedDisk: { ...disk['managedDisk'], storageAccountType: sku, id },
      deleteOption: disk['deleteOption'] ?? 'Detach',
      diskSizeGB: sizeGB,
    };
  };
  const os: Json = { createOption: 'FromImage', caching: 'ReadWrite', ...storage['osDisk'] };
  // Azure writes enum values in its own spelling whatever the request said.
  os['createOption'] = 'FromImage';
  const listed: Json[] = storage['dataDisks'] ?? [];
  const entries: Json[] =
    listed.length > 0
      ? listed
      : wanted.image.dataDisks.map((disk) => ({ lun: disk.lun, createOption: 'FromImage', caching: 'None' }));
  // Names must be free before anything is made.
  for (const disk of [os, ...entries]) {
    if (disk['name'] !== undefined && world.resources.has(diskId(call, disk['name']))) {
      make(disk, disk['name'], 0, disk === os ? wanted.image.osType : undefined);
    }
  }
  return {
    imageReference: { ...storage['imageReference'], exactVersion: wanted.image.version },
    osDisk: {
      osType: wanted.image.osType,
      ...make(
        os,
        os['name'] ?? `${call.name}_OsDisk_1_${suffix()}`,
        os['diskSizeGB'] ?? wanted.image.osDiskSizeGB,
        wanted.image.osType,
      ),
    },
    dataDisks: entries.map((disk, index) => ({
      caching: 'None',
      toBeDetached: false,
      ...make(
        disk,
        disk['name'] ?? `${call.name}_lun_${disk['lun']}_${index + 2}_${suffix()}`,
        disk['diskSizeGB'] ?? wanted.image.dataDisks.find((one) => one.lun === disk['lun'])?.sizeInGB ?? 4,
        undefined,
      ),
    })),
    ...(storage['alignRegionalDisksToVMZone'] === undefined
      ? {}
      : { alignRegionalDisksToVMZone: storage['alignRegionalDisksToVMZone'] }),
    ...(storage['diskControllerType'] === undefined
      ? wanted.size.diskControllers[0] === 'NVMe'
        ? { diskControllerType: 'NVMe' }
        : {}
      : { diskControllerType: storage['diskControllerType'] }),
  };
}

/** Recorded: the first answer knows neither the IDs of the disks nor names that Azure chose. */
export function hideDiskIds(body: Json, asked: Json): Json {
  const copy = structuredClone(body);
  const strip = (disk: Json, wanted: Json | undefined): void => {
    if (wanted?.['name'] === undefined) delete disk['name'];
    delete disk['managedDisk'].id;
  };
  const storage: Json = copy['properties'].storageProfile;
  strip(storage['osDisk'], asked['osDisk']);
  for (const disk of storage['dataDisks'] as Json[]) {
    strip(
      disk,
      (asked['dataDisks'] ?? []).find((one: Json) => one['lun'] === disk['lun']),
    );
  }
  return copy;
}
