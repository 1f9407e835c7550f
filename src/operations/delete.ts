import type { Session } from '../azure/arm-client.ts';
import { deleteDeployment } from '../cleanup/delete-deployment.ts';
import { isOwnedBy } from '../cleanup/resource-types.ts';
import { ActionError } from '../errors/action-error.ts';
import type { DeleteInputs } from '../inputs/inputs.ts';
import { type Reporter, reportDeletion } from '../summary/reporter.ts';

/** `operation: delete`. Finding nothing ends well: a clean-up job must not fail because there is nothing left to do. */
export async function runDelete(session: Session, inputs: DeleteInputs, report: Reporter): Promise<void> {
  const context = { session, log: report.log, belongs: isOwnedBy(inputs.vmName) };
  const removal = await deleteDeployment(context, inputs.resourceGroup, inputs.vmName);
  reportDeletion(removal, report);
  if (removal.deleted.length === 0 && removal.failed.length === 0) {
    report.log.warning(
      `Nothing of deployment "${inputs.vmName}" was found in resource group ${inputs.resourceGroup} (subscription ${session.subscriptionId}). Looked for:\n${removal.notFound.join('\n')}`,
    );
  }
  const [first] = removal.failed;
  if (first) throw new ActionError(`deleting deployment ${inputs.vmName}`, { cause: first.error });
}
