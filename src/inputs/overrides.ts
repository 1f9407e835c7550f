import { type ResourceId, sameId } from '../azure/resource-id.ts';
import { type MergePatch, isJson, mergePatch } from '../lib/json.ts';
import { runTags } from '../runner/environment.ts';
import type { OverrideTarget } from './inputs.ts';

/** Tags that the action sets itself; those of the user cannot replace them. Compared without case. */
export const reservedTags: readonly string[] = ['cross-tenant-vm', 'cleanup', ...Object.values(runTags), 'expires-on'];

/** What the action guarantees: which resource it is, the image, and the name of the disk, by which it is found again. */
const reservedPaths = ['id', 'name', 'type', 'location'];
const reservedVmPaths = [
  'properties.storageProfile.imageReference',
  'properties.storageProfile.osDisk.name',
  'properties.storageProfile.osDisk.createOption',
  'properties.storageProfile.osDisk.managedDisk.id',
];

/** What is wrong with the patch of one resource. `nicId` is set where the interface is a given one. */
export function validateOverrides(target: OverrideTarget, patch: MergePatch, nicId?: ResourceId): readonly string[] {
  return [
    ...[...reservedPaths, ...(target === 'vm' ? reservedVmPaths : [])]
      .filter((path) => isPatched(patch, path))
      .map((path) => `${path} is set by the action and cannot be patched or removed.`),
    ...validateTagOverrides(patch),
    ...(target === 'vm' ? validateNicOverrides(patch, nicId) : []),
    ...(target === 'vnet' ? validateSubnetOverrides(patch) : []),
  ];
}

/**
 * What the patch puts at a path such as `properties.subnets`, null where it replaces something around it; empty if it
 * leaves the path alone. Resource Manager reads keys without case, so `Name` must not slip past `name`.
 */
function replacements(patch: MergePatch = {}, path: string): readonly unknown[] {
  const [key = '', ...rest] = path.split('.');
  const found = Object.entries(patch).filter(([name]) => name.toLowerCase() === key.toLowerCase());
  const values = found.map(([, value]) => value);
  if (rest.length === 0) return values;
  return values.flatMap((value) => (isJson(value) ? replacements(value, rest.join('.')) : [null]));
}

/** Whether the patch sets, replaces or removes what is at a path. */
export function isPatched(patch: MergePatch | undefined, path: string): boolean {
  return replacements(patch, path).length > 0;
}

/** The value or one-element list to which the patch sets a property; undefined if it sets anything else, or nothing. */
export function patchedSetting(patch: MergePatch | undefined, path: string): string | number | undefined {
  const [value, ...others] = replacements(patch, path).flat();
  if (others.length > 0) return undefined;
  if (typeof value === 'boolean') return `${value}`;
  return typeof value === 'string' || typeof value === 'number' ? value : undefined;
}

/** The list to which the patch sets a property; its keys are spelled as in `model`. */
export function patchedList<Entry>(
  patch: MergePatch | undefined,
  path: string,
  model: Entry,
): readonly Entry[] | undefined {
  const [value] = replacements(patch, path);
  return Array.isArray(value) ? value.map((entry) => mergePatch(model, entry) as Entry) : undefined;
}

function validateTagOverrides(patch: MergePatch): readonly string[] {
  return replacements(patch, 'tags').flatMap((tags) => {
    if (!isJson(tags)) return ['tags cannot be replaced as a whole; the action finds its resources by them.'];
    const touched = Object.keys(tags).filter((name) => reservedTags.includes(name.toLowerCase()));
    return touched.map((name) => `the tag ${name} is set by the action and cannot be patched or removed.`);
  });
}

function validateNicOverrides(patch: MergePatch, nicId: ResourceId | undefined): readonly string[] {
  const path = 'properties.networkProfile.networkInterfaces';
  const lists = replacements(patch, path);
  if (lists.length === 0) return [];
  if (nicId === undefined) return [`${path} is set by the action unless nic-id is given.`];
  return lists.flatMap((list) => {
    const entries = Array.isArray(list) ? list.filter(isJson) : [];
    const given = entries.filter((entry) => replacements(entry, 'id').some((id) => sameId(String(id), nicId.id)));
    if (given.length === 0) return [`${path} must contain nic-id.`];
    const options = given.flatMap((entry) => replacements(entry, 'properties.deleteOption'));
    const isDeleted = options.some((option) => String(option).toLowerCase() === 'delete');
    return isDeleted ? [`${path} cannot have the given interface deleted with the VM.`] : [];
  });
}

function validateSubnetOverrides(patch: MergePatch): readonly string[] {
  const path = 'properties.subnets';
  const isDefault = (subnet: unknown) =>
    isJson(subnet) && replacements(subnet, 'name').some((name) => String(name).toLowerCase() === 'default');
  return replacements(patch, path).flatMap((subnets) =>
    Array.isArray(subnets) && subnets.some(isDefault)
      ? []
      : [`${path} must be a list that contains the subnet named default, to which the VM is attached.`],
  );
}
