/** A Resource Manager ID, parsed. `id` keeps the text as given (without a trailing slash). */
export interface ResourceId {
  readonly id: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Lower case, e.g. `microsoft.network/virtualnetworks/subnets`. */
  readonly type: string;
  /** Names along the type, outermost first. */
  readonly names: readonly string[];
  readonly name: string;
}

export type ImageReference = {
  readonly id: string;
  /** Unique name of a direct-shared gallery, public name of a community gallery. */
  readonly gallery: string;
  readonly definition: string;
  /** `Major.Minor.Patch`; absent: the newest usable version is taken. */
  readonly version?: string;
} & (
  | { readonly kind: 'version' | 'definition'; readonly subscriptionId: string; readonly resourceGroup: string }
  | { readonly kind: 'shared' | 'community' }
);

export function isGuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
}

/** Whether two GUIDs or two domains of tenants are equal; a domain is not resolved. */
export function sameTenant(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** Empty if a part could change the meaning of a URL: IDs of workflow authors end up in paths. */
function harmlessId(text: string): string {
  const id = text.trim().replace(/\/$/, '');
  return /^(?:\/(?!\.{1,2}(?:\/|$))[^\s?#%\\/]+)+$/.test(id) ? id : '';
}

/** Of a resource in a resource group. Extension resources and scopes above a resource give `undefined`. */
export function parseResourceId(text: string): ResourceId | undefined {
  const id = harmlessId(text);
  const pattern = /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/([^/]+)((?:\/[^/]+\/[^/]+)+)$/i;
  const [, subscriptionId = '', resourceGroup = '', namespace = '', path = ''] = pattern.exec(id) ?? [];
  const [, ...rest] = path.split('/');
  const types = rest.filter((_, index) => index % 2 === 0);
  const names = rest.filter((_, index) => index % 2 === 1);
  const name = names.at(-1);
  if (!isGuid(subscriptionId) || name === undefined || types.some((type) => /^providers$/i.test(type)))
    return undefined;
  return {
    id,
    subscriptionId: subscriptionId.toLowerCase(),
    resourceGroup,
    type: [namespace, ...types].join('/').toLowerCase(),
    names,
    name,
  };
}

/** Formats the ID of a resource: one name for each part of the type behind its namespace. */
export function groupId(subscriptionId: string, resourceGroup: string): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
}

export function resourceId(
  subscriptionId: string,
  resourceGroup: string,
  type: string,
  ...names: readonly string[]
): string {
  const [namespace = '', ...types] = type.split('/');
  if (types.length === 0 || types.length !== names.length) {
    throw new RangeError(`${type} takes ${types.length} names, not ${names.length}`);
  }
  const pairs = types.map((part, index) => `${part}/${names[index]}`);
  return `${groupId(subscriptionId, resourceGroup)}/providers/${namespace}/${pairs.join('/')}`;
}

/** Whether two IDs mean the same resource: Resource Manager compares without case, and echoes any case. */
export function sameId(one: string, other: string): boolean {
  const plain = (id: string) => id.trim().replace(/\/$/, '').toLowerCase();
  return plain(one) === plain(other);
}

/** Whether an ID names the scope or something inside it. */
export function isWithin(id: string, scope: string): boolean {
  return `${id}/`.toLowerCase().startsWith(`${scope}/`.toLowerCase());
}

/** A management group, a subscription, a resource group, or anything inside one. */
export function isScope(text: string): boolean {
  const id = harmlessId(text);
  const [, subscriptionId = ''] = /^\/subscriptions\/([^/]+)(?:\/[^/]+\/[^/]+)*$/i.exec(id) ?? [];
  return isGuid(subscriptionId) || /^\/providers\/Microsoft\.Management\/managementGroups\/[^/]+$/i.test(id);
}

/** `southcentralus`, also from the display name "South Central US" that gallery image versions carry. */
export function normaliseRegion(name: string): string {
  return name.replace(/\s/g, '').toLowerCase();
}

const galleryTypes = {
  'microsoft.compute/galleries/images': 'definition',
  'microsoft.compute/galleries/images/versions': 'version',
} as const;

/** `Major.Minor.Patch`, each a 32-bit integer. */
function isVersion(text: string): boolean {
  return /^\d+\.\d+\.\d+$/.test(text) && text.split('.').every((part) => Number(part) <= 2_147_483_647);
}

/** A version or definition of any kind of gallery; the version `latest` means the definition. */
export function parseImageReference(text: string): ImageReference | undefined {
  const named = parseGalleryImage(text.trim().replace(/\/versions\/latest\/?$/i, ''));
  return named?.version === undefined || isVersion(named.version) ? named : undefined;
}

function parseGalleryImage(text: string): ImageReference | undefined {
  const parsed = parseResourceId(text);
  if (parsed === undefined) return parseSharedImage(text);
  const kind = galleryTypes[parsed.type as keyof typeof galleryTypes];
  const [gallery, definition, version] = parsed.names;
  if (kind === undefined || gallery === undefined || definition === undefined) return undefined;
  const { id, subscriptionId, resourceGroup } = parsed;
  return { kind, id, subscriptionId, resourceGroup, gallery, definition, version };
}

/** `/sharedGalleries/<gallery>/images/<definition>`, with or without `/versions/<version>`. */
function parseSharedImage(text: string): ImageReference | undefined {
  const id = harmlessId(text);
  const pattern = /^\/(shared|community)Galleries\/([^/]+)\/images\/([^/]+)(?:\/versions\/([^/]+))?$/i;
  const [, galleries, gallery, definition, version] = pattern.exec(id) ?? [];
  if (gallery === undefined || definition === undefined) return undefined;
  return { kind: galleries?.toLowerCase() === 'shared' ? 'shared' : 'community', id, gallery, definition, version };
}

const mistakenTypes: Readonly<Record<string, string>> = {
  'microsoft.compute/images':
    'is a managed image, which cannot be used across tenants: make an image version from it in a Compute Gallery.',
  'microsoft.compute/galleries':
    'is a gallery: add /images/<definition>, and /versions/<version> for a certain version.',
  'microsoft.compute/galleries/images/versions': 'does not end in a version of the form Major.Minor.Patch, e.g. 1.2.3.',
};

/** Why `parseImageReference` understood nothing, as the end of a sentence: people give what other tools call an image. */
export function describeInvalidImageId(text: string): string {
  const shape = '/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/galleries/…/images/…/versions/1.2.3';
  if (/^[^/:\s]+(:[^/:\s]+){3}$/.test(text)) {
    return (
      'is a Marketplace image (publisher:offer:sku:version): this action starts VMs from images in a Compute Gallery, ' +
      'and a Marketplace image is in every tenant anyway.'
    );
  }
  return (
    mistakenTypes[parseResourceId(text)?.type ?? ''] ??
    `is not the ID of an image version (${shape}), of an image definition (the same without /versions/…), of a ` +
      'direct-shared image (/sharedGalleries/…/images/…) or of a community image (/communityGalleries/…/images/…).'
  );
}
