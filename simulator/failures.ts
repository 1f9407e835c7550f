/** Failures that can be chosen by name: `npm run simulator -- --fail quota-exceeded`. */
import { defaults, principals } from './default-world.ts';
import { githubSettings } from './github/github.ts';
import { type Shortage, settings } from './providers/compute/settings.ts';
import { networkSettings } from './providers/network/usages.ts';
import type { World } from './world/world.ts';

interface Failure {
  /** What the user of the action runs into. */
  readonly description: string;
  apply(world: World): void;
}

const group = `/subscriptions/${defaults.subscriptionId}/resourceGroups/${defaults.resourceGroup}`;
const vmPath = /\/virtualMachines\/[^/?]+\?/i;

function shortage(code: Shortage['code'], at: Shortage['at']): Failure['apply'] {
  return (world) => {
    settings(world).shortages.push({ code, at });
  };
}

/** All of them need the default world. */
const failures: Readonly<Record<string, Failure>> = {
  'secret-expired': {
    description: 'Entra rejects the client secret as expired (AADSTS7000222).',
    apply: (world) => {
      for (const app of world.apps.values())
        app.secrets = app.secrets.map((secret) => ({ ...secret, expires: Date.now() - 86_400_000 }));
    },
  },
  'no-consent': {
    description: 'The app has no service principal in the tenant of the VM (AADSTS700016).',
    apply: (world) => {
      world.uninstallApp(defaults.clientId, defaults.tenantId);
    },
  },
  'subject-mismatch': {
    description: 'No federated credential has the subject of the ID token (AADSTS700213).',
    apply: (world) => {
      githubSettings(world).environment = 'another-environment';
    },
  },
  'no-id-token': {
    description: "GitHub's token endpoint answers 500.",
    apply: (world) => {
      githubSettings(world).refuseTokens = 500;
    },
  },
  'no-image-permission': {
    description: 'The app may not read the gallery (AuthorizationFailed).',
    apply: (world) => {
      world.revoke(principals.image, `/subscriptions/${defaults.imageSubscriptionId}`);
    },
  },
  'no-deploy-permission': {
    description: 'The app has no role on the resource group (AuthorizationFailed).',
    apply: (world) => {
      world.revoke(principals.deploy, group);
    },
  },
  'provider-not-registered': {
    description: 'Microsoft.Compute is not registered (MissingSubscriptionRegistration).',
    apply: (world) => {
      world.subscriptions.get(defaults.subscriptionId)?.providers.set('microsoft.compute', 'NotRegistered');
    },
  },
  'subscription-disabled': {
    description: 'The subscription of the VM is disabled (ReadOnlyDisabledSubscription).',
    apply: (world) => {
      const subscription = world.subscriptions.get(defaults.subscriptionId);
      if (subscription) subscription.state = 'Disabled';
    },
  },
  'read-only-lock': {
    description: 'The resource group has a ReadOnly lock (ScopeLocked).',
    apply: (world) => {
      world.addLock(group, 'ReadOnly');
    },
  },
  'delete-lock': {
    description: 'The resource group has a CanNotDelete lock, so that cleanup fails (ScopeLocked).',
    apply: (world) => {
      world.addLock(group, 'CanNotDelete');
    },
  },
  'quota-exceeded': {
    description: 'The regional vCPU quota is 0 (OperationNotAllowed).',
    apply: (world) => {
      settings(world).quota['cores'] = { limit: 0 };
    },
  },
  'public-ip-quota-exceeded': {
    description: 'The public IP quota is 0 (PublicIPCountLimitReached).',
    apply: (world) => {
      networkSettings(world).limits['PublicIPAddresses'] = 0;
    },
  },
  'size-not-available': {
    description: 'No size has capacity; the PUT is rejected (SkuNotAvailable).',
    apply: shortage('SkuNotAvailable', 'put'),
  },
  'allocation-failed': {
    description: 'No size has capacity; the operation fails (AllocationFailed).',
    apply: shortage('AllocationFailed', 'operation'),
  },
  'provisioning-timeout': {
    description: 'The guest never reports that it booted (OSProvisioningTimedOut, after 20 or 40 minutes).',
    apply: (world) => {
      // An empty message is replaced by Azure's text with the name of the VM.
      settings(world).provisioning.push({ failure: { code: 'OSProvisioningTimedOut', message: '' } });
    },
  },
  'agent-not-ready': {
    description: 'The VM agent never becomes ready.',
    apply: (world) => {
      settings(world).agentDelay = Number.POSITIVE_INFINITY;
    },
  },
  'script-fails': {
    description: 'Every run script ends with exit code 1.',
    apply: (world) => {
      settings(world).runScript = () => ({ exitCode: 1, output: '', error: 'The script failed.\n' });
    },
  },
  throttled: {
    description: 'The first PUT of a VM is throttled (429 TooManyRequests); a retry succeeds.',
    apply: (world) => {
      world.faults.add({
        match: { host: 'arm', method: 'PUT', path: vmPath },
        effect: {
          status: 429,
          code: 'TooManyRequests',
          message: 'Too many requests.',
          headers: { 'retry-after': '2' },
        },
      });
    },
  },
  'server-error': {
    description: 'The first PUT of a VM gets a 503; a retry succeeds.',
    apply: (world) => {
      world.faults.add({
        match: { host: 'arm', method: 'PUT', path: vmPath },
        effect: { status: 503, code: 'ServiceUnavailable', message: 'The service is unavailable.' },
      });
    },
  },
  'connection-reset': {
    description: 'The VM is created, but the connection is reset before the answer.',
    apply: (world) => {
      world.faults.add({
        match: { host: 'arm', method: 'PUT', path: vmPath },
        effect: { dropAfterCommit: true },
      });
    },
  },
};

/** Names and descriptions of all failures. */
export const failureDescriptions: ReadonlyMap<string, string> = new Map(
  Object.entries(failures).map(([name, { description }]) => [name, description]),
);

/** @throws Error for an unknown name. */
export function applyFailure(world: World, name: string): void {
  const failure = Object.hasOwn(failures, name) ? failures[name] : undefined;
  if (failure === undefined) {
    throw new Error(`unknown failure '${name}'; known are ${[...failureDescriptions.keys()].join(', ')}`);
  }
  failure.apply(world);
}
