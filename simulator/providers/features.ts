// Microsoft.Features: preview features of a subscription.
// https://learn.microsoft.com/rest/api/resources/features/get
import type { Provider } from '../http/provider.ts';
import { notModelled } from '../model/arm-error.ts';
import { settings } from './compute/settings.ts';

export const featuresProvider: Provider = {
  namespace: 'Microsoft.Features',
  types: [{ name: 'providers', apiVersions: ['2021-07-01', '2015-12-01'] }],
  routes: [
    {
      method: 'GET',
      path: '/subscriptions/:subscriptionId/providers/Microsoft.Features/providers/:namespace/features/:feature',
      kind: 'feature.get',
      action: 'Microsoft.Features/providers/features/read',
      scope: ({ subscription }) => `/subscriptions/${subscription.id}`,
      handle: ({ world, subscription, params, path }) => {
        const name = `${params['namespace']}/${params['feature']}`;
        if (name.toLowerCase() !== 'microsoft.compute/encryptionathost') throw notModelled(`feature ${name}`);
        const isRegistered = settings(world).encryptionAtHost.has(subscription.id);
        const state = isRegistered ? 'Registered' : 'NotRegistered';
        return {
          status: 200,
          body: { id: path, name, type: 'Microsoft.Features/providers/features', properties: { state } },
        };
      },
    },
  ],
};
