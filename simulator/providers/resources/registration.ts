import type { Call, Provider, Route } from '../../http/provider.ts';
import { ArmError } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';
import { subscriptionScopeOf } from './subscriptions.ts';

function namespaces(providers: readonly Provider[]): string[] {
  return [...new Set(providers.map((provider) => provider.namespace))];
}

function providerBody(call: Call, providers: readonly Provider[], namespace: string): Json {
  const key = namespace.toLowerCase();
  const known = providers.filter((provider) => provider.namespace.toLowerCase() === key);
  const first = known[0];
  if (!first) {
    throw new ArmError(404, 'InvalidResourceNamespace', `The resource namespace '${namespace}' is invalid.`, {
      gateway: true,
    });
  }
  const always = ['microsoft.resources', 'microsoft.authorization'].includes(key);
  return {
    id: `/subscriptions/${call.subscription.id}/providers/${first.namespace}`,
    namespace: first.namespace,
    resourceTypes: known.flatMap((provider) =>
      provider.types.map((type) => ({
        resourceType: type.name,
        locations: [],
        apiVersions: type.apiVersions,
        capabilities: type.capabilities ?? 'None',
      })),
    ),
    registrationState: always ? 'Registered' : (call.subscription.providers.get(key) ?? 'NotRegistered'),
    registrationPolicy: always ? 'RegistrationFree' : 'RegistrationRequired',
  };
}

/** `all` returns every provider of the simulator: it is called per request, because the list contains this one. */
export function registrationRoutes(all: () => readonly Provider[]): Route[] {
  return [
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/providers',
      kind: 'providers.list',
      action: 'Microsoft.Resources/subscriptions/providers/read',
      scope: subscriptionScopeOf,
      handle: (call) => ({
        status: 200,
        body: { value: namespaces(all()).map((name) => providerBody(call, all(), name)) },
      }),
    },
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/providers/:namespace',
      kind: 'provider.get',
      action: 'Microsoft.Resources/subscriptions/providers/read',
      scope: subscriptionScopeOf,
      handle: (call) => ({ status: 200, body: providerBody(call, all(), call.name) }),
    },
    {
      method: 'POST',
      path: '/subscriptions/:subscriptionId/providers/:namespace/register',
      kind: 'provider.register',
      action: (call) => `${call.params['namespace']}/register/action`,
      scope: subscriptionScopeOf,
      needsRegistration: false,
      handle: (call) => {
        const namespace = call.params['namespace'] ?? '';
        const key = namespace.toLowerCase();
        const { providers } = call.subscription;
        if (providers.get(key) !== 'Registered') {
          providers.set(key, 'Registering');
          // Recorded: still Registering after ten seconds, Registered soon after.
          call.world.clock.after(20, () => providers.set(key, 'Registered'));
        }
        return { status: 200, body: providerBody(call, all(), namespace) };
      },
    },
  ];
}
