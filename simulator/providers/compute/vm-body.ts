import type { Call } from '../../http/provider.ts';
import type { Json } from '../../model/contract.ts';
import type { VmImage } from './image-resolution.ts';

export function buildIdentity(call: Call, before: Json | undefined): Json | undefined {
  const sent: Json | undefined = call.body['identity'] ?? undefined;
  if (sent === undefined || sent['type'] === 'None') return before === undefined ? undefined : before;
  const { world } = call;
  const identity: Json = { type: sent['type'] };
  if (String(sent['type']).includes('SystemAssigned')) {
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
  const assigned = Object.keys(sent['userAssignedIdentities'] ?? {});
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

export function buildOsProfile(sent: Json | undefined, image: VmImage): Json | undefined {
  if (sent === undefined || sent === null) return undefined;
  const { adminPassword: _password, customData: _data, ...rest } = sent;
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
  return Object.fromEntries(names.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]));
}

/** Properties that are stored and returned as sent. */
export function storedProperties(sent: Json): Json {
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
  return Object.fromEntries(names.filter((name) => sent[name] !== undefined).map((name) => [name, sent[name]]));
}
