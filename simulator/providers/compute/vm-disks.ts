// Disks of a virtual machine: checks, creation, attachment.
import { randomBytes } from 'node:crypto';
import type { Call } from '../../http/provider.ts';
import { refuse, notModelled } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import type { VmImage } from './image-resolution.ts';
import type { Size } from './skus.ts';
import { invalidParameter } from './vm-rules.ts';
import type { VmRequest } from './vm.ts';

const diskType = 'Microsoft.Compute/disks';

/** Each LUN once; the image's own data disks are either all listed or none of them is. */
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
    checkDiskSource(call, disk, image);
  }
  if (image.dataDisks.some(({ lun }) => !luns.has(lun))) throw wrongLunsError();
  if (luns.size > size.maxDataDisks) {
    throw refuse(
      409,
      'OperationNotAllowed',
      `The maximum number of data disks allowed to be attached to a VM of this size is ${size.maxDataDisks}.`,
      { target: 'dataDisks' },
    );
  }
}

function checkDiskSource(call: Call, disk: Json, image: VmImage): void {
  const createOption = String(disk['createOption'] ?? '').toLowerCase();
  switch (createOption) {
    case 'fromimage':
      if (!image.dataDisks.some(({ lun }) => lun === disk['lun'])) throw wrongLunsError();
      return;
    case 'attach':
      checkAttachable(call, disk['managedDisk']?.id);
      return;
    case 'copy':
    case 'restore':
      if (disk['sourceResource']?.id === undefined) throw notModelled(`a ${createOption} without a source`);
      return;
    case 'empty':
      return;
    default:
      throw notModelled(`data disk with createOption '${disk['createOption']}'`);
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
  if (disk === undefined) throw notModelled(`the refusal of a data disk that does not exist: ${String(id)}`);
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

/** The OS disk and data disks of one VM creation. */
interface DiskPlan {
  readonly call: Call;
  readonly request: VmRequest;
}

function attachDisk({ call }: DiskPlan, disk: Json): Json {
  const resource = call.world.resources.get(disk['managedDisk'].id);
  if (resource === undefined) throw new Error('an attached disk no longer exists');
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
}

function checkDiskNameFree(call: Call, disk: Json, isOsDisk: boolean): void {
  const name: string | undefined = disk['name'];
  if (name === undefined || !call.world.resources.has(diskId(call, name))) return;
  if (isAttached(disk)) return;
  // Text as in public reports of `az vm create` with a disk name that is in use.
  throw refuse(
    409,
    'ConflictingUserInput',
    `Disk ${name} already exists in resource group ${call.params['resourceGroup']?.toUpperCase()}. Only CreateOption.Attach is supported.`,
    { target: isOsDisk ? 'osDisk.name' : 'dataDisk.name' },
  );
}

function isAttached(disk: Json): boolean {
  return String(disk['createOption']).toLowerCase() === 'attach';
}

function createDisk(plan: DiskPlan, disk: Json, spec: { name: string; sizeGB: number; osType?: string }): Json {
  if (isAttached(disk)) return attachDisk(plan, disk);
  const { call, request } = plan;
  const { world } = call;
  const { name, sizeGB, osType } = spec;
  const defaultSku = request.size.premiumDisks ? 'Premium_LRS' : 'Standard_LRS';
  const sku: string = disk['managedDisk']?.storageAccountType ?? defaultSku;
  const id = diskId(call, name);
  world.resources.put({
    id,
    type: diskType,
    body: {
      name,
      id,
      type: diskType,
      location: request.location,
      // Azure copies the VM's tags to the disks that it creates with the VM.
      ...(call.body['tags'] === undefined ? {} : { tags: { ...call.body['tags'] } }),
      ...(request.zone === undefined ? {} : { zones: [request.zone] }),
      managedBy: call.resourceId,
      sku: { name: sku, tier: sku.split('_')[0] },
      properties: {
        ...(osType === undefined ? {} : { osType, hyperVGeneration: request.image.generation }),
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
}

/** Creates or attaches the VM's disks and returns its `storageProfile`. */
export function createDisks(call: Call, request: VmRequest, storage: Json): Json {
  const plan: DiskPlan = { call, request };
  const { image } = request;
  const randomSuffix = (): string => randomBytes(16).toString('hex');
  // Azure returns enum values in its own spelling.
  const osDisk: Json = { caching: 'ReadWrite', ...storage['osDisk'], createOption: 'FromImage' };
  const listed: Json[] = storage['dataDisks'] ?? [];
  const dataDisks: Json[] =
    listed.length > 0
      ? listed
      : image.dataDisks.map((disk) => ({ lun: disk.lun, createOption: 'FromImage', caching: 'None' }));
  for (const disk of [osDisk, ...dataDisks]) checkDiskNameFree(call, disk, disk === osDisk);
  return {
    imageReference: { ...storage['imageReference'], exactVersion: image.version },
    osDisk: {
      osType: image.osType,
      ...createDisk(plan, osDisk, {
        name: osDisk['name'] ?? `${call.name}_OsDisk_1_${randomSuffix()}`,
        sizeGB: osDisk['diskSizeGB'] ?? image.osDiskSizeGB,
        osType: image.osType,
      }),
    },
    dataDisks: dataDisks.map((disk, index) => ({
      caching: 'None',
      toBeDetached: false,
      ...createDisk(plan, disk, {
        name: disk['name'] ?? `${call.name}_lun_${disk['lun']}_${index + 2}_${randomSuffix()}`,
        sizeGB: disk['diskSizeGB'] ?? image.dataDisks.find(({ lun }) => lun === disk['lun'])?.sizeInGB ?? 4,
      }),
    })),
    ...(storage['alignRegionalDisksToVMZone'] === undefined
      ? {}
      : { alignRegionalDisksToVMZone: storage['alignRegionalDisksToVMZone'] }),
    ...diskController(storage, request),
  };
}

function diskController(storage: Json, request: VmRequest): Json {
  const { diskControllerType } = storage;
  if (diskControllerType !== undefined) return { diskControllerType };
  return request.size.diskControllers[0] === 'NVMe' ? { diskControllerType: 'NVMe' } : {};
}

/** Recorded: the first answer contains neither disk IDs nor the names that Azure chose. */
export function hideDiskIds(body: Json, requested: Json): Json {
  const copy = structuredClone(body);
  const strip = (disk: Json, requested: Json | undefined): void => {
    if (requested?.['name'] === undefined) delete disk['name'];
    delete disk['managedDisk'].id;
  };
  const storage: Json = copy['properties'].storageProfile;
  strip(storage['osDisk'], requested['osDisk']);
  for (const disk of storage['dataDisks'] as Json[]) {
    strip(
      disk,
      (requested['dataDisks'] ?? []).find(({ lun }: Json) => lun === disk['lun']),
    );
  }
  return copy;
}
