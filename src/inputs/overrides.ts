import { type ResourceId, sameId } from '../azure/resource-id.ts';
import { type MergePatch, isJson, mergePatch } from '../lib/json.ts';
import type { OverrideTarget } from './inputs.ts';

/** Tags that the action sets itself; those of the user cannot replace them. Compared without case. */
export const reservedTags: readonly string[] = [
  'cross-tenant-vm',
  'cleanup',
  'github-server-url',
  'github-repository',
  'github-run-id',
  'github-run-attempt',
  'github-job',
  'github-action',
  'github-workflow',
  'github-sha',
  'github-actor',
  'expires-on',
];

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
      .filter((path) => replacements(patch, path).length > 0)
      .map((path) => `${target}: ${path} is set by the action and cannot be patched or removed.`),
    ...validateTagOverrides(target, patch),
    ...(target === 'vm' ? validateNicOverrides(patch, nicId) : []),
    ...(target === 'vnet' ? validateSubnetOverrides(patch) : []),
  ];
}

/** The values under a key. Resource Manager reads keys without case, so `Name` must not slip past `name`. */
function valuesAt(patch: MergePatch, key: string): readonly unknown[] {
  return Object.entries(patch).flatMap(([name, value]) => (name.toLowerCase() === key.toLowerCase() ? [value] : []));
}

/** What the patch puts at the path, null where it replaces something around it; empty if it leaves the path alone. */
function replacements(patch: MergePatch, path: string): readonly unknown[] {
  const [key = '', ...rest] = path.split('.');
  const values = valuesAt(patch, key);
  if (rest.length === 0) return values;
  return values.flatMap((value) => (isJson(value) ? replacements(value, rest.join('.')) : [null]));
}

/** Whether the patch sets, replaces or removes what is at a path such as `properties.subnets`; keys match in any case. */
export function isPatched(patch: MergePatch | undefined, path: string): boolean {
  return patch !== undefined && replacements(patch, path).length > 0;
}

/** The value or one-element list to which the patch sets a property; undefined if it sets anything else, or nothing. */
export function patchedSetting(patch: MergePatch | undefined, path: string): string | number | undefined {
  const [value, ...others] = patch ? replacements(patch, path).flat() : [];
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
  const value = patch && replacements(patch, path)[0];
  return Array.isArray(value) ? value.map((entry) => mergePatch(model, entry) as Entry) : undefined;
}

function validateTagOverrides(target: OverrideTarget, patch: MergePatch): readonly string[] {
  return valuesAt(patch, 'tags').flatMap((tags) => {
    if (!isJson(tags))
      return [`${target}: tags cannot be replaced as a whole; the action finds its resources by them.`];
    const touched = Object.keys(tags).filter((name) => reservedTags.includes(name.toLowerCase()));
    return touched.map((name) => `${target}: the tag ${name} is set by the action and cannot be patched or removed.`);
  });
}

function validateNicOverrides(patch: MergePatch, nicId: ResourceId | undefined): readonly string[] {
  const path = 'properties.networkProfile.networkInterfaces';
  const lists = replacements(patch, path);
  if (lists.length === 0) return [];
  if (nicId === undefined) return [`vm: ${path} is set by the action unless nic-id is given.`];
  return lists.flatMap((list) => {
    const entries = Array.isArray(list) ? list.filter(isJson) : [];
    const given = entries.filter((entry) => valuesAt(entry, 'id').some((id) => sameId(String(id), nicId.id)));
    if (given.length === 0) return [`vm: ${path} must contain nic-id.`];
    const deleted = given.some((entry) =>
      replacements(entry, 'properties.deleteOption').some((option) => String(option).toLowerCase() === 'delete'),
    );
    return deleted ? [`vm: ${path} cannot have the given interface deleted with the VM.`] : [];
  });
}

function validateSubnetOverrides(patch: MergePatch): readonly string[] {
  const path = 'properties.subnets';
  const isDefault = (subnet: unknown) =>
    isJson(subnet) && valuesAt(subnet, 'name').some((name) => String(name).toLowerCase() === 'default');
  return replacements(patch, path).flatMap((subnets) =>
    Array.isArray(subnets) && subnets.some(isDefault)
      ? []
      : [`vnet: ${path} must be a list that contains the subnet named default, to which the VM is attached.`],
  );
}
