import type { Call, Provider } from '../../http/provider.ts';
import { ArmError } from '../../model/arm-error.ts';
import type { Json } from '../../model/contract.ts';

export function namespaces(providers: readonly Provider[]): string[] {
  return [...new Set(providers.map((one) => one.namespace))];
}

export function providerBody(call: Call, providers: readonly Provider[], asked: string): Json {
  const key = asked.toLowerCase();
  const known = providers.filter((one) => one.namespace.toLowerCase() === key);
  const first = known[0];
  if (!first) {
    throw new ArmError(404, 'InvalidResourceNamespace', `The resource namespace '${asked}' is invalid.`, {
      gateway: true,
    });
  }
  const always = ['microsoft.resources', 'microsoft.authorization'].includes(key);
  return {
    id: `/subscriptions/${call.subscription.id}/providers/${first.namespace}`,
    namespace: first.namespace,
    resourceTypes: known.flatMap((one) =>
      one.types.map((type) => ({
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
