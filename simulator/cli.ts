/** Starts the simulator alone: `npm run simulator -- [options]`; `--help` lists them. */
import { parseArgs } from 'node:util';
import { redactSecrets } from './engine/journal.ts';
import { idTokenEnvironment } from './github/github.ts';
import { defaults, startSimulator } from './index.ts';
import type { WorldOptions } from './world/settings.ts';

const { values } = parseArgs({
  options: {
    'time-scale': { type: 'string', default: '1' },
    port: { type: 'string', default: '0' },
    'login-port': { type: 'string', default: '0' },
    'github-port': { type: 'string', default: '0' },
    seed: { type: 'string' },
    latency: { type: 'string' },
    'retry-after': { type: 'string' },
    journal: { type: 'boolean', default: false },
  },
});

const simulator = await startSimulator({
  timeScale: Number(values['time-scale']),
  ports: {
    arm: Number(values.port),
    login: Number(values['login-port']),
    github: Number(values['github-port']),
  },
  ...(values.seed === undefined ? {} : { seed: Number(values.seed) }),
  ...(values.latency === undefined
    ? {}
    : { latencyProfile: values.latency as NonNullable<WorldOptions['latencyProfile']> }),
  ...(values['retry-after'] === undefined
    ? {}
    : { retryAfterProfile: values['retry-after'] as NonNullable<WorldOptions['retryAfterProfile']> }),
});

const lines = [
  `Resource Manager   ${simulator.armEndpoint}`,
  `Entra              ${simulator.loginEndpoint}`,
  `GitHub             ${simulator.githubEndpoint}`,
  `Certificate        NODE_EXTRA_CA_CERTS=${simulator.certificateFile}`,
  '',
  'Inputs for the action:',
  `  environment: ${simulator.armEndpoint}`,
  `  client-id: ${defaults.clientId}`,
  `  client-secret: ${defaults.clientSecret}`,
  `  tenant-id: ${defaults.tenantId}`,
  `  image-tenant-id: ${defaults.imageTenantId}`,
  `  subscription-id: ${defaults.subscriptionId}`,
  `  resource-group: ${defaults.resourceGroup}`,
  `  image-id: ${defaults.imageId('linux')}`,
  '',
  "Environment for sign-in with the job's own token (leave client-secret out):",
  ...Object.entries(idTokenEnvironment(simulator.world, simulator.githubEndpoint)).map(
    ([name, value]) => `  ${name}=${value}`,
  ),
  '',
  'Stop it with Ctrl-C.',
];
process.stdout.write(`${lines.join('\n')}\n`);

async function stop(): Promise<void> {
  if (values.journal) {
    for (const exchange of simulator.journal)
      process.stdout.write(`${JSON.stringify(redactSecrets(exchange))}\n`);
  }
  await simulator.close();
}
process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());
