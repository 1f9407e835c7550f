import type { NetworkInterface, PublicIPAddress } from '@azure/arm-network';
import type { VirtualMachine } from '@azure/arm-compute';
import { type Session, listGroup } from '../azure/arm-client.ts';
import { provisioningStateOf } from '../azure/lookup.ts';
import { type ImageReference, sameId } from '../azure/resource-id.ts';
import { type Tags, tagValue } from '../deployment/ownership.ts';
import { findPrimary, groupDeployments } from '../deployment/resources.ts';
import { withActivity } from '../errors/errors.ts';
import type { ListInputs } from '../inputs/inputs.ts';
import type { Reporter } from '../summary/reporter.ts';
import type { ListedDeployment } from '../summary/summary-facts.ts';
import { imageIdOf } from '../vm/vm-spec.ts';

/** `operation: list`. Sends no write; Reader on the resource group is enough. */
export async function listDeployments(session: Session, inputs: ListInputs, report: Reporter): Promise<void> {
  const found = await withActivity(`listing the deployments in ${inputs.resourceGroup}`, () =>
    findListedDeployments(session, inputs),
  );
  report.outputJson('deployments', found);
  for (const deployment of found) report.log.info(describeDeployment(deployment));
}

async function findListedDeployments(
  session: Session,
  { resourceGroup, image }: ListInputs,
): Promise<readonly ListedDeployment[]> {
  const { compute, network } = session;
  // Unfiltered: filtered by tag, the list lags behind and omits the tags.
  const [resources, vms, nics, addresses] = await Promise.all([
    listGroup(session, resourceGroup),
    Array.fromAsync(compute.virtualMachines.list(resourceGroup)),
    Array.fromAsync(network.networkInterfaces.list(resourceGroup)),
    Array.fromAsync(network.publicIPAddresses.list(resourceGroup)),
  ]);
  return groupDeployments(session, resourceGroup, resources)
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .flatMap(({ name, vmId, resources: [first] }) => {
      const vm = vms.find(({ id = '' }) => sameId(id, vmId));
      if (image && !isCreatedFrom(vm, image)) return [];
      const tags = vm?.tags ?? first?.tags;
      return {
        'vm-name': name,
        'vm-id': vmId,
        // The network of a deployment may exist without its VM.
        state: vm ? provisioningStateOf(vm) : 'Absent',
        'image-version-id': imageIdOf(vm) || undefined,
        'vm-size': vm?.hardwareProfile?.vmSize,
        location: vm?.location,
        ...findAddresses(vm, nics, addresses),
        'created-on': vm?.timeCreated?.toISOString(),
        'expires-on': tagValue(tags, 'expires-on'),
        'run-url': runUrl(tags),
      };
    });
}

function isCreatedFrom(vm: VirtualMachine | undefined, image: ImageReference): boolean {
  const id = imageIdOf(vm).toLowerCase();
  const requested = image.id.toLowerCase();
  return image.version === undefined ? id.startsWith(`${requested}/versions/`) : id === requested;
}

function findAddresses(
  vm: VirtualMachine | undefined,
  nics: readonly NetworkInterface[],
  addresses: readonly PublicIPAddress[],
) {
  const nicId = findPrimary(vm?.networkProfile?.networkInterfaces)?.id ?? '';
  const configuration = findPrimary(nics.find(({ id = '' }) => sameId(id, nicId))?.ipConfigurations);
  const publicIpId = configuration?.publicIPAddress?.id ?? '';
  return {
    'public-ip-address': addresses.find(({ id = '' }) => sameId(id, publicIpId))?.ipAddress,
    'private-ip-address': configuration?.privateIPAddress,
  };
}

function runUrl(tags: Tags): string | undefined {
  const [server, repository, run] = ['github-server-url', 'github-repository', 'github-run-id'].map((name) =>
    tagValue(tags, name),
  );
  return server && repository && run ? `${server}/${repository}/actions/runs/${run}` : undefined;
}

function describeDeployment(deployment: ListedDeployment): string {
  const { state, location } = deployment;
  const version = deployment['image-version-id']?.split('/').at(-1);
  const facts = [state, deployment['vm-size'], location, version && `image ${version}`];
  const expiry = deployment['expires-on'] && `expires ${deployment['expires-on']}`;
  const details = [...facts, deployment['public-ip-address'], expiry].filter(Boolean).join(', ');
  return `${deployment['vm-name']}: ${details}`;
}
