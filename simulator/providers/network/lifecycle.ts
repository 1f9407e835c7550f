/**
 * The life of a top-level network resource: PUT, GET, list, tags, DELETE, with the checks that all types share. What is
 * special about a type is its `Kind`.
 */
import { checkShape, networkShapeRefusal, type ObjectShape } from '../../http/body-schema.ts';
import type { Call, LinkedResource, Route } from '../../http/provider.ts';
import { ArmError, refuseNetwork, resourceNotFound, unknown } from '../../model/arm-error.ts';
import type { Answer, Json } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { findRegion, regionName } from '../regions.ts';
import { checkTags } from '../resources/tags.ts';
import { tagsModel } from './body-schemas.ts';

/** Path of everything of this namespace in a group. */
export const base =
  '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Network';

/** One type of top-level resource: how a body is judged and made, and what its life takes. */
export interface Kind {
  /** `networkSecurityGroups`. */
  readonly type: string;
  /** As in Azure's operation names: `PutNetworkSecurityGroupOperation`. */
  readonly noun: string;
  readonly journal: string;
  readonly model: ObjectShape;
  readonly put: string;
  readonly delete: string;
  readonly shortestName: number;
  readonly longestName: number;
  /** Recorded of interfaces: the first answer says Succeeded already, and often there is nothing to poll. */
  readonly readyAtOnce?: boolean;
  linked(call: Call): readonly LinkedResource[];
  /** Judges the request and makes the resource's JSON without id, name, type, etag, location, tags. */
  make(call: Call, before: Resource | undefined, location: string): Json;
  /** Once the operation has ended. */
  finish?(call: Call, resource: Resource): void;
  /** Throws when something needs it still. */
  checkDelete(call: Call, resource: Resource): void;
  /** Adds what is worked out on reading. */
  view(world: World, resource: Resource): Json;
}

/** The routes of one type. */
export function routesOf(kind: Kind): Route[] {
  const path = `${base}/${kind.type}/:name`;
  const type = `Microsoft.Network/${kind.type}`;
  return [
    {
      method: 'GET',
      path,
      kind: `${kind.journal}.get`,
      action: `${type}/read`,
      handle: (call) => answer(kind, call.world, found(call)),
    },
    {
      method: 'GET',
      path: `${base}/${kind.type}`,
      kind: `${kind.journal}.list`,
      action: `${type}/read`,
      scope: (call) => call.resourceId.replace(/\/providers\/.*$/, ''),
      handle: (call) => ({
        status: 200,
        body: {
          value: [...call.world.resources.under(call.resourceId.replace(/\/providers\/.*$/, ''), type)].map(
            (one) => kind.view(call.world, one),
          ),
        },
      }),
    },
    {
      method: 'PUT',
      path,
      kind: `${kind.journal}.put`,
      action: `${type}/write`,
      linked: kind.linked,
      handle: (call) => put(kind, call),
    },
    {
      method: 'PATCH',
      path,
      kind: `${kind.journal}.patch`,
      action: `${type}/write`,
      handle: (call) => {
        checkShape(call.body, tagsModel, networkShapeRefusal);
        checkTags(call.body['tags']);
        const resource = found(call);
        resource.body['tags'] = call.body['tags'] ?? {};
        stamp(resource);
        return answer(kind, call.world, resource);
      },
    },
    {
      method: 'DELETE',
      path,
      kind: `${kind.journal}.delete`,
      action: `${type}/delete`,
      handle: (call) => remove(kind, call),
    },
  ];
}

function found(call: Call): Resource {
  const resource = call.world.resources.get(call.resourceId);
  if (!resource) throw resourceNotFound(call.resourceId);
  return resource;
}

function answer(kind: Kind, world: World, resource: Resource): Answer {
  return { status: 200, headers: { etag: resource.body['etag'] }, body: kind.view(world, resource) };
}

function put(kind: Kind, call: Call): Answer {
  const { world } = call;
  checkShape(call.body, kind.model, networkShapeRefusal);
  checkTags(call.body['tags']);
  checkName(kind, call.name);
  const before = world.resources.get(call.resourceId);
  const location = checkLocation(kind, call, before);
  checkPreconditions(call, before);
  checkIdle(call, before?.id ?? call.resourceId);
  const made = kind.make(call, before, location);
  const state = 'Updating';
  const resource = world.resources.put({
    id: before?.id ?? call.resourceId,
    type: `Microsoft.Network/${kind.type}`,
    body: {
      name: before?.body['name'] ?? call.name,
      id: before?.id ?? call.resourceId,
      etag: '',
      type: `Microsoft.Network/${kind.type}`,
      location,
      ...(call.body['tags'] ? { tags: call.body['tags'] } : {}),
      ...(call.body['extendedLocation'] ? { extendedLocation: call.body['extendedLocation'] } : {}),
      ...made,
      properties: {
        provisioningState: state,
        resourceGuid: before?.body['properties'].resourceGuid ?? world.uuid(),
        ...made['properties'],
      },
    },
  });
  setState(resource, state);
  const latency = world.latency(kind.put);
  const finish = (): void => {
    setState(resource, 'Succeeded');
    kind.finish?.(call, resource);
  };
  const status = before ? 200 : 201;
  if (kind.readyAtOnce && !before) {
    finish();
    if (latency === 0) return { status, body: kind.view(world, resource) };
  }
  return call.accept({
    family: 'network',
    latency,
    status,
    location,
    resourceId: resource.id,
    name: `Put${kind.noun}Operation`,
    body: kind.view(world, resource),
    complete: finish,
    failed: () => {
      setState(resource, 'Failed');
    },
  });
}

function remove(kind: Kind, call: Call): Answer {
  const { world } = call;
  const resource = world.resources.get(call.resourceId);
  if (!resource) return { status: 204 };
  checkIdle(call, resource.id);
  kind.checkDelete(call, resource);
  setState(resource, 'Deleting');
  return call.accept({
    family: 'network',
    latency: kind.delete,
    status: 202,
    location: resource.body['location'],
    resourceId: resource.id,
    name: `Delete${kind.noun}Operation`,
    complete: () => {
      world.resources.remove(resource.id);
    },
    failed: () => {
      setState(resource, 'Failed');
    },
  });
}

function checkName(kind: Kind, name: string): void {
  if (
    name.length >= kind.shortestName &&
    name.length <= kind.longestName &&
    /^[a-z0-9]([\w.-]*\w)?$/i.test(name)
  )
    return;
  throw refuseNetwork(
    'InvalidResourceName',
    `Resource name ${name} is invalid. The name can be up to ${kind.longestName} characters long. It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.`,
  );
}

function checkLocation(kind: Kind, call: Call, before: Resource | undefined): string {
  const given: unknown = call.body['location'];
  if (typeof given !== 'string' || given === '') {
    throw new ArmError(400, 'LocationRequired', 'The location property is required for this definition.', {
      gateway: true,
    });
  }
  const location = regionName(given);
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
      `The provided location '${given}' is not available for resource type 'Microsoft.Network/${kind.type}'.`,
      { gateway: true },
    );
  }
  if (findRegion(location) === undefined) throw unknown(`the refusal of ${kind.type} in '${given}'`);
  return location;
}

function checkPreconditions(call: Call, before: Resource | undefined): void {
  if (call.headers['if-none-match'] !== undefined) throw unknown('If-None-Match on Microsoft.Network');
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

/** One write at a time on a resource: 429 RetryableError as recorded, though it is no throttling. */
function checkIdle(call: Call, id: string): void {
  const busy = call.world.operations.busyWith(id);
  if (!busy) return;
  // Like a Retry-After, in the seconds of whoever reads it.
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

/** Each change of a resource gives it, and its parts, a new etag. */
function stamp(resource: Resource): void {
  resource.body['etag'] = `W/"${crypto.randomUUID()}"`;
}

/** Sets the state of a resource and its parts, under a new etag. */
export function setState(resource: Resource, state: string): void {
  stamp(resource);
  const properties: Json = resource.body['properties'];
  properties['provisioningState'] = state;
  for (const part of [
    ...(properties['subnets'] ?? []),
    ...(properties['ipConfigurations'] ?? []),
  ] as Json[]) {
    part['etag'] = resource.body['etag'];
    part['properties'].provisioningState = state;
  }
}
