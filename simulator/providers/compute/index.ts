import type { Provider } from '../../http/provider.ts';
import { capacityRoutes } from './capacity.ts';
import { diskRoutes } from './disks.ts';
import { galleryRoutes } from './gallery-routes.ts';
import { runCommandRoutes } from './run-commands.ts';
import { vmRoutes } from './vm-routes.ts';

// Api-versions of the SDKs and of the recordings, newest first.
const computeVersions = [
  '2026-04-01',
  '2026-03-01',
  '2025-11-01',
  '2025-04-01',
  '2024-11-01',
  '2024-07-01',
  '2024-03-01',
  '2023-09-01',
  '2022-11-01',
  '2022-03-01',
  '2021-07-01',
  '2020-12-01',
  '2020-06-01',
];
const galleryVersions = [
  '2025-12-03',
  '2025-03-03',
  '2024-03-03',
  '2023-07-03',
  '2022-03-03',
  '2020-09-30',
  '2019-12-01',
];
const diskVersions = ['2026-03-02', '2025-01-02', '2024-03-02', '2023-10-02', '2020-05-01'];
const resource = 'CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation';

export const computeProvider: Provider = {
  namespace: 'Microsoft.Compute',
  types: [
    { name: 'virtualMachines', apiVersions: computeVersions, capabilities: resource },
    { name: 'virtualMachines/runCommands', apiVersions: computeVersions, capabilities: resource },
    { name: 'disks', apiVersions: diskVersions, capabilities: resource },
    { name: 'galleries', apiVersions: galleryVersions, capabilities: resource },
    { name: 'galleries/images', apiVersions: galleryVersions, capabilities: resource },
    { name: 'galleries/images/versions', apiVersions: galleryVersions, capabilities: resource },
    { name: 'locations/usages', apiVersions: computeVersions },
    { name: 'locations/sharedGalleries', apiVersions: galleryVersions },
    { name: 'locations/communityGalleries', apiVersions: galleryVersions },
    { name: 'skus', apiVersions: ['2021-07-01', '2019-04-01', '2017-09-01'] },
  ],
  routes: [...vmRoutes, ...runCommandRoutes, ...diskRoutes, ...galleryRoutes, ...capacityRoutes],
};
