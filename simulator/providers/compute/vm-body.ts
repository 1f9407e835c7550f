import type { Call } from '../../http/provider.ts';
import type { Json } from '../../model/contract.ts';
import type { VmImage } from './image-resolution.ts';

// --- Parts of the body that Azure fills in ---------------------------------------------------------------------------

export function buildIdentity(call: Call, before: Json | undefined): Json | undefined {
  const asked: Json | undefined = call.body['identity'] ?? undefined;
  if (asked === undefined || asked['type'] === 'None') return before === undefined ? undefined : before;
  const { world } = call;
  const identity: Json = { type: asked['type'] };
  if (String(asked['type']).includes('SystemAssigned')) {
    const known: string | undefined = before?.['principalId'];
    const principalId =
      known ??
      world.addPrincipal({
        oid: world.uuid(),
        tenant: call.tenant.id,
        app: world.uuid(),
        type: 'ManagedIdentity',
        displayName: call.name,
        visibleAt: world.clock.now() + world.latency('principalVisible'),
      }).oid;
    identity['principalId'] = principalId;
    identity['tenantId'] = call.tenant.id;
  }
  const assigned = Object.keys(asked['userAssignedIdentities'] ?? {});
  if (assigned.length > 0) {
    identity['userAssignedIdentities'] = Object.fromEntries(
      assigned.map((id) => {
        const properties: Json = world.resources.get(id)?.body['properties'] ?? {};
        return [id, { principalId: properties['principalId'], clientId: properties['clientId'] }];
      }),
    );
  }
  return identity;
}

export function buildOsProfile(asked: Json | undefined, image: VmImage): Json | undefined {
  if (asked === undefined || asked === null) return undefined;
  const { adminPassword: _password, customData: _data, ...rest } = asked;
  const patch = { patchMode: 'ImageDefault', assessmentMode: 'ImageDefault' };
  const configuration: Json =
    image.osType === 'Windows'
      ? {
          windowsConfiguration: {
            provisionVMAgent: true,
            enableAutomaticUpdates: true,
            patchSettings: { patchMode: 'AutomaticByOS', assessmentMode: 'ImageDefault' },
            enableVMAgentPlatformUpdates: false,
            ...rest['windowsConfiguration'],
          },
        }
      : {
          linuxConfiguration: {
            disablePasswordAuthentication: false,
            provisionVMAgent: true,
            patchSettings: patch,
            enableVMAgentPlatformUpdates: false,
            ...rest['linuxConfiguration'],
          },
        };
  return {
    secrets: [],
    allowExtensionOperations: true,
    requireGuestProvisionSignal: true,
    ...rest,
    ...configuration,
  };
}

/** Top-level members that are stored and returned as sent. */
export function storedMembers(body: Json): Json {
  const names = ['tags', 'zones', 'plan', 'placement', 'extendedLocation'];
  return Object.fromEntries(
    names.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]),
  );
}

/** Properties that are stored and returned as sent. */
export function storedProperties(asked: Json): Json {
  const names = [
    'securityProfile',
    'diagnosticsProfile',
    'priority',
    'evictionPolicy',
    'billingProfile',
    'licenseType',
    'additionalCapabilities',
    'scheduledEventsProfile',
    'scheduledEventsPolicy',
    'extensionsTimeBudget',
    'applicationProfile',
    'resiliencyProfile',
    'platformFaultDomain',
    'capacityReservation',
    'availabilitySet',
    'proximityPlacementGroup',
    'host',
    'hostGroup',
    'virtualMachineScaleSet',
  ];
  return Object.fromEntries(
    names.filter((name) => asked[name] !== undefined).map((name) => [name, asked[name]]),
  );
}
