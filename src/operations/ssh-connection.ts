import { mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Session } from '../azure/arm-client.ts';
import type { Plan } from '../deployment/plan.ts';
import type { DeployInputs } from '../inputs/inputs.ts';
import { knownHosts } from '../lib/ssh-key.ts';
import type { Reporter } from '../summary/reporter.ts';
import { resetCommand, sshCommand } from '../summary/status.ts';
import { readSerialLog } from '../vm/vm-status.ts';

interface ConnectionContext {
  readonly session: Session;
  readonly inputs: Pick<DeployInputs, 'waitFor'>;
  readonly plan: Plan;
  readonly report: Pick<Reporter, 'log' | 'output' | 'outputs'>;
  readonly context: { readonly temporaryFolder: string };
}

/** The host keys only make the connection safer, so they must not delay or fail a run. */
const bootLogTimeoutMs = 8_000;

/** Outputs how to connect to a Linux VM. Host keys come from its boot log, which only those with a role on the VM can read. */
export async function outputSshConnection(connection: ConnectionContext): Promise<void> {
  const { plan, report, context } = connection;
  const { outputs } = report;
  const addresses = [outputs.fqdn, outputs['public-ip-address'] ?? outputs['private-ip-address']];
  const [address] = addresses.filter(Boolean);
  if (plan.vm.osType !== 'Linux' || !address) return;
  const user = outputs['admin-username'];
  const keyPath = outputs['ssh-private-key-path'];
  const hostKeys = await readHostKeys(connection, addresses.filter(Boolean).join(','));
  let knownHostsPath: string | undefined;
  if (hostKeys) {
    const folder = keyPath ? dirname(keyPath) : await mkdtemp(join(context.temporaryFolder, 'cross-tenant-vm-'));
    knownHostsPath = join(folder, 'known_hosts');
    await writeFile(knownHostsPath, hostKeys);
    report.output('ssh-known-hosts', hostKeys.trim());
  }
  // The accounts of a specialized image are part of the image and not known here.
  if (user) report.output('ssh-command', sshCommand({ user, address, keyPath, knownHostsPath }));
}

async function readHostKeys({ session, plan, inputs, report }: ConnectionContext, hosts: string): Promise<string> {
  if (inputs.waitFor === 'accepted') return '';
  const signal = AbortSignal.any([session.waiting.signal, AbortSignal.timeout(bootLogTimeoutMs)]);
  try {
    return knownHosts(await readSerialLog(session.withSignal(signal), plan), hosts);
  } catch {
    report.log.info('The host keys could not be read from the boot log.');
    return '';
  }
}

/** The warning, before it is created, about a VM that outlives the only copy of its generated key or password. */
export function lostCredentialWarnings(
  { cleanup, adminUsername }: Pick<DeployInputs, 'cleanup' | 'adminUsername'>,
  generated: { readonly privateKey?: string; readonly password?: string },
  { subscriptionId, resourceGroup, vm }: Plan,
): readonly string[] {
  if (cleanup === 'always' || (!generated.privateKey && !generated.password)) return [];
  const [what, input] = generated.password
    ? ['password is not exposed', 'admin-password']
    : ['SSH key is deleted when the job ends', 'ssh-public-key'];
  const { name: vmName, osType } = vm;
  const command = resetCommand({ subscriptionId, resourceGroup, vmName, osType, user: adminUsername });
  return [
    `The VM stays after the job, but its generated ${what}. Set \`${input}\` to keep access, or \`cleanup: always\` to delete the VM with the job. To set a new one later:\n${command}`,
  ];
}
