/** PUT, GET, list, PATCH and DELETE of top-level network resources, with the checks that all types share. */
import { checkBody, networkSchemaError, type ObjectSchema } from '../../http/body-schema.ts';
import type { Call, LinkedResource, Route } from '../../http/provider.ts';
import { ArmError, refuseNetwork, resourceNotFound, notModelled } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { findRegion, regionName } from '../regions.ts';
import { checkTags } from '../resources/tags.ts';
import { tagsSchema } from './body-schemas.ts';

/** Path of the namespace in a resource group. */
export const networkPath = '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Network';

/** What differs between the types of top-level resources. */
export interface NetworkResourceType {
  /** `networkSecurityGroups`. */
  readonly type: string;
  /** Noun in Azure's operation names: `PutNetworkSecurityGroupOperation`. */
  readonly operationNoun: string;
  readonly kind: string;
  readonly schema: ObjectSchema;
  readonly putLatency: string;
  readonly deleteLatency: string;
  readonly minNameLength: number;
  readonly maxNameLength: number;
  /** Recorded for network interfaces: the first answer is Succeeded, often without an operation to poll. */
  readonly succeedsImmediately?: boolean;
  linkedResources(call: Call): readonly LinkedResource[];
  /** Checks the request and builds the body without ID, name, type, ETag, location and tags. */
  buildBody(call: Call, before: Resource | undefined, location: string): Json;
  /** Called when the operation has succeeded. */
  onSucceeded?(call: Call, resource: Resource): void;
  /** Throws if another resource uses it. */
  checkDelete(call: Call, resource: Resource): void;
  /** Adds computed members for an answer. */
  toResponse(world: World, resource: Resource): Json;
}

export function resourceRoutes(kind: NetworkResourceType): Route[] {
  const path = `${networkPath}/${kind.type}/:name`;
  const type = `Microsoft.Network/${kind.type}`;
  return [
    {
      method: 'GET',
      path,
      kind: `${kind.kind}.get`,
      action: `${type}/read`,
      handle: (call) => resourceAnswer(kind, call.world, requireResource(call)),
    },
    {
      method: 'GET',
      path: `${networkPath}/${kind.type}`,
      kind: `${kind.kind}.list`,
      action: `${type}/read`,
      scope: (call) => call.resourceId.replace(/\/providers\/.*$/, ''),
      handle: (call) => ({
        status: 200,
        body: {
          value: [...call.world.resources.under(call.resourceId.replace(/\/providers\/.*$/, ''), type)].map(
            (resource) => kind.toResponse(call.world, resource),
          ),
        },
      }),
    },
    {
      method: 'PUT',
      path,
      kind: `${kind.kind}.put`,
      action: `${type}/write`,
      linkedResources: kind.linkedResources,
      handle: (call) => putResource(kind, call),
    },
    {
      method: 'PATCH',
      path,
      kind: `${kind.kind}.patch`,
      action: `${type}/write`,
      handle: (call) => {
        checkBody(call.body, tagsSchema, networkSchemaError);
        checkTags(call.body['tags']);
        const resource = requireResource(call);
        resource.body['tags'] = call.body['tags'] ?? {};
        renewEtag(resource);
        return resourceAnswer(kind, call.world, resource);
      },
    },
    {
      method: 'DELETE',
      path,
      kind: `${kind.kind}.delete`,
      action: `${type}/delete`,
      handle: (call) => deleteResource(kind, call),
    },
  ];
}

function requireResource(call: Call): Resource {
  const resource = call.world.resources.get(call.resourceId);
  if (!resource) throw resourceNotFound(call.resourceId);
  return resource;
}

function resourceAnswer(kind: NetworkResourceType, world: World, resource: Resource): Answer {
  return { status: 200, headers: { etag: resource.body['etag'] }, body: kind.toResponse(world, resource) };
}

function putResource(type: NetworkResourceType, call: Call): Answer {
  const { world } = call;
  checkBody(call.body, type.schema, networkSchemaError);
  checkTags(call.body['tags']);
  checkName(type, call.name);
  const existing = world.resources.get(call.resourceId);
  const location = checkLocation(type, call, existing);
  checkPreconditions(call, existing);
  checkNoOperationRunning(call, existing?.id ?? call.resourceId);
  const resource = storeResource(type, call, existing, location);
  const latency = world.latency(type.putLatency);
  const complete = (): void => {
    setState(resource, 'Succeeded');
    type.onSucceeded?.(call, resource);
  };
  const status = existing ? 200 : 201;
  if (type.succeedsImmediately && !existing) {
    complete();
    if (latency === 0) return { status, body: type.toResponse(world, resource) };
  }
  return call.accept({
    family: 'network',
    latency,
    status,
    location,
    resourceId: resource.id,
    name: `Put${type.operationNoun}Operation`,
    body: type.toResponse(world, resource),
    complete,
    failed: () => {
      setState(resource, 'Failed');
    },
  });
}

function storeResource(
  type: NetworkResourceType,
  call: Call,
  existing: Resource | undefined,
  location: string,
): Resource {
  const { tags, extendedLocation } = call.body;
  const built = type.buildBody(call, existing, location);
  const id = existing?.id ?? call.resourceId;
  const resource = call.world.resources.put({
    id,
    type: `Microsoft.Network/${type.type}`,
    body: {
      name: existing?.body['name'] ?? call.name,
      id,
      etag: '',
      type: `Microsoft.Network/${type.type}`,
      location,
      ...(tags ? { tags } : {}),
      ...(extendedLocation ? { extendedLocation } : {}),
      ...built,
      properties: {
        provisioningState: 'Updating',
        resourceGuid: existing?.body['properties'].resourceGuid ?? call.world.uuid(),
        ...built['properties'],
      },
    },
  });
  setState(resource, 'Updating');
  return resource;
}

function deleteResource(kind: NetworkResourceType, call: Call): Answer {
  const { world } = call;
  const resource = world.resources.get(call.resourceId);
  if (!resource) return { status: 204 };
  checkNoOperationRunning(call, resource.id);
  kind.checkDelete(call, resource);
  setState(resource, 'Deleting');
  return call.accept({
    family: 'network',
    latency: kind.deleteLatency,
    status: 202,
    location: resource.body['location'],
    resourceId: resource.id,
    name: `Delete${kind.operationNoun}Operation`,
    complete: () => {
      world.resources.remove(resource.id);
    },
    failed: () => {
      setState(resource, 'Failed');
    },
  });
}

function checkName(kind: NetworkResourceType, name: string): void {
  if (name.length >= kind.minNameLength && name.length <= kind.maxNameLength && /^[a-z0-9]([\w.-]*\w)?$/i.test(name))
    return;
  throw refuseNetwork(
    'InvalidResourceName',
    `Resource name ${name} is invalid. The name can be up to ${kind.maxNameLength} characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.`,
  );
}

function checkLocation(kind: NetworkResourceType, call: Call, before: Resource | undefined): string {
  const sent: unknown = call.body['location'];
  if (typeof sent !== 'string' || sent === '') {
    throw new ArmError(400, 'LocationRequired', 'The location property is required for this definition.', {
      gateway: true,
    });
  }
  const location = regionName(sent);
  if (before && before.body['location'] !== location) {
    const group = call.params['resourceGroup'];
    throw new ArmError(
      409,
      'InvalidResourceLocation',
      `The resource '${call.name}' already exists in location '${before.body['location']}' in resource group '${group}'. A resource with the same name cannot be created in location '${location}'. Please select a new resource name.`,
      { gateway: true },
    );
  }
  if (!/^[a-z]+[0-9]?$/.test(location)) {
    throw new ArmError(
      400,
      'LocationNotAvailableForResourceType',
      `The provided location '${sent}' is not available for resource type 'Microsoft.Network/${kind.type}'.`,
      { gateway: true },
    );
  }
  if (findRegion(location) === undefined) throw notModelled(`the refusal of ${kind.type} in '${sent}'`);
  return location;
}

function checkPreconditions(call: Call, before: Resource | undefined): void {
  if (call.headers['if-none-match'] !== undefined) throw notModelled('If-None-Match on Microsoft.Network');
  const match = call.headers['if-match'];
  if (match === undefined || match === '*' || match === before?.body['etag']) return;
  throw new ArmError(412, 'PreconditionFailed', 'Precondition failed.', {
    details: [
      {
        code: 'PreconditionFailedEtagMismatch',
        message: `Etag provided in if-match header ${match} does not match etag ${before?.body['etag'] ?? ''} of resource ${call.resourceId} in NRP data store.`,
      },
    ],
  });
}

/** One write at a time on a resource. Recorded: 429 RetryableError, although this is not throttling. */
function checkNoOperationRunning(call: Call, id: string): void {
  const busy = call.world.operations.findRunning(id);
  if (!busy) return;
  // Real seconds, like a Retry-After.
  const seconds = call.world.clock.retryAfter(busy.endsAt - call.world.clock.now(), 1);
  throw new ArmError(429, 'RetryableError', 'A retryable error occurred.', {
    details: [
      {
        code: 'RetryableErrorDueToAnotherOperation',
        message: `Operation ${busy.name} (${busy.id}) is updating resource ${busy.resourceId}. The call can be retried in ${seconds} seconds.`,
      },
    ],
  });
}

/** Each change renews the ETag of a resource and its children. */
function renewEtag(resource: Resource): void {
  resource.body['etag'] = `W/"${crypto.randomUUID()}"`;
}

/** Sets the state of a resource and its children and renews the ETag. */
export function setState(resource: Resource, state: string): void {
  renewEtag(resource);
  const properties: Json = resource.body['properties'];
  properties['provisioningState'] = state;
  for (const part of [...(properties['subnets'] ?? []), ...(properties['ipConfigurations'] ?? [])] as Json[]) {
    part['etag'] = resource.body['etag'];
    part['properties'].provisioningState = state;
  }
}
