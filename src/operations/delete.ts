import type { Session } from '../azure/arm-client.ts';
import { deleteDeployment } from '../cleanup/delete-deployment.ts';
import type { DeletionContext } from '../cleanup/resource-types.ts';
import { hasDeploymentTag } from '../deployment/ownership.ts';
import { ActionError } from '../errors/action-error.ts';
import type { DeleteInputs } from '../inputs/inputs.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';

/** `operation: delete`. Finding nothing is a warning: a cleanup job must not fail because there is nothing left to do. */
export async function runDelete(session: Session, inputs: DeleteInputs, report: Reporter): Promise<void> {
  const { resourceGroup, vmName } = inputs;
  const context: DeletionContext = {
    session,
    log: report.log,
    isOwned: (tags) => hasDeploymentTag(tags, vmName),
  };
  const { deleted, failed, ...kept } = await deleteDeployment(context, resourceGroup, vmName);
  reportDeletion({ deleted, failed, ...kept }, report);
  if (deleted.length === 0 && failed.length === 0) {
    report.log.warning(
      `No resources of deployment "${vmName}" found in resource group ${resourceGroup} (subscription ${session.subscriptionId}). Checked:\n${kept.notFound.join('\n')}`,
    );
  }
  const [first] = failed;
  if (first) throw new ActionError(`deleting deployment ${vmName}`, { cause: first.error });
}
