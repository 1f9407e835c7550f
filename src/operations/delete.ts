import type { Session } from '../azure/arm-client.ts';
import { deleteDeployment } from '../cleanup/delete-deployment.ts';
import type { RepositoryIdentity } from '../deployment/ownership.ts';
import { ActionError } from '../errors/action-error.ts';
import type { DeleteInputs } from '../inputs/inputs.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';

/** `operation: delete`. Finding nothing is a warning: a cleanup job must not fail because there is nothing left to do. */
export async function runDelete(
  session: Session,
  { resourceGroup, vmName }: Pick<DeleteInputs, 'resourceGroup' | 'vmName'>,
  { serverUrl, repository }: RepositoryIdentity,
  report: Reporter,
): Promise<void> {
  const claim = { deployment: vmName, owner: { serverUrl, repository } };
  const result = await deleteDeployment({ session, log: report.log, claim }, resourceGroup);
  reportDeletion(result, report);
  if (result.deleted.length === 0 && result.failed.length === 0) {
    report.log.warning(
      `No resources of deployment "${vmName}" found in resource group ${resourceGroup} (subscription ${session.subscriptionId}). Checked:\n${result.notFound.join('\n')}`,
    );
  }
  const [first] = result.failed;
  if (first) throw new ActionError(`deleting deployment ${vmName}`, { cause: first.error });
}
