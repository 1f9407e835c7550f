// Microsoft.ResourceGraph: only the query for Spot prices.
// https://learn.microsoft.com/azure/virtual-machines/spot-vms#pricing-and-eviction-history
import type { Provider } from '../http/provider.ts';
import { notModelled } from '../model/arm-error.ts';
import { settings } from './compute/settings.ts';

export const resourceGraphProvider: Provider = {
  namespace: 'Microsoft.ResourceGraph',
  types: [{ name: 'resources', apiVersions: ['2024-04-01', '2022-10-01', '2021-03-01'] }],
  routes: [
    {
      method: 'POST',
      path: '/providers/Microsoft.ResourceGraph/resources',
      kind: 'graph.query',
      // Answers contain what the caller may read; Spot prices are everybody's.
      action: null,
      handle: ({ world, body }) => {
        const query = String(body['query']);
        const [, list = ''] = /skuspotpricehistory\/ostype\/location'.*sku\.name in~ \(([^)]*)\)/s.exec(query) ?? [];
        if (list === '') throw notModelled(`the query ${query}`);
        const names = [...list.matchAll(/'([^']+)'/g)].map(([, name = '']) => name.toLowerCase());
        const data = Object.entries(settings(world).spotPrices)
          .filter(([size]) => names.includes(size.toLowerCase()))
          .map(([size, price]) => ({ size: size.toLowerCase(), price }));
        return {
          status: 200,
          body: { totalRecords: data.length, count: data.length, data, facets: [], resultTruncated: 'false' },
        };
      },
    },
  ],
};
