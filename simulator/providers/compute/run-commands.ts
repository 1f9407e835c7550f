// Managed Run Command: https://learn.microsoft.com/azure/virtual-machines/linux/run-command-managed
// With asyncExecution the operation ends when the script has started. The exit code is in the instance view either way.
import { checkBody, type ObjectSchema, type Schema } from '../../http/body-schema.ts';
import type { Call, Route } from '../../http/provider.ts';
import { refuse, resourceNotFound, notModelled } from '../../model/arm-error.ts';
import type { Answer, Json, OperationFailure } from '../../model/contract.ts';
import type { Resource } from '../../model/entities.ts';
import type { World } from '../../world/world.ts';
import { regionName } from '../regions.ts';
import { checkTags } from '../resources/tags.ts';
import { type ScriptResult, settings } from './settings.ts';
import { pollBudgets, readBudgets, writeBudgets } from './vm-budgets.ts';
import { invalidParameter } from './vm-rules.ts';
import { concurrentRequestError, isAgentReady, requireVm, vmType } from './vm.ts';

const type = `${vmType}/runCommands`;

/** Azure keeps the last 4,096 bytes of output and of error. */
const maxOutputBytes = 4096;

/** The agent picks up a script in its next goal-state cycle. */
const agentDeliverySeconds = 3;

/** How long Azure waits for the VM agent: the documented limit of Run Command. */
const agentTimeoutSeconds = 90 * 60;

interface RunState {
  result: ScriptResult | undefined;
  /** Simulated seconds. */
  startedAt: number | undefined;
  endsAt: number | undefined;
  timedOut: boolean;
}

function tail(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length <= maxOutputBytes ? text : bytes.subarray(bytes.length - maxOutputBytes).toString('utf8');
}

function runStateOf(resource: Resource): RunState {
  return resource.internal as unknown as RunState;
}

function instanceView(world: World, resource: Resource): Json {
  const run = runStateOf(resource);
  const now = world.clock.now();
  const { result, startedAt, endsAt } = run;
  if (result === undefined || startedAt === undefined || endsAt === undefined) {
    return { executionState: 'Pending', executionMessage: '', exitCode: 0, output: '', error: '' };
  }
  if (now < endsAt) {
    const latest = (result.progress ?? []).filter(({ at }) => startedAt + at <= now).at(-1);
    return {
      executionState: 'Running',
      executionMessage: '',
      exitCode: 0,
      output: tail(latest?.output ?? ''),
      error: tail(latest?.error ?? ''),
      startTime: world.clock.timestamp(startedAt),
    };
  }
  const state = run.timedOut ? 'TimedOut' : result.exitCode === 0 ? 'Succeeded' : 'Failed';
  return {
    executionState: state,
    executionMessage: '',
    // The exit code after a timeout was not recorded; -1 is an assumption.
    exitCode: run.timedOut ? -1 : result.exitCode,
    output: tail(result.output ?? ''),
    error: tail(result.error ?? ''),
    startTime: world.clock.timestamp(startedAt),
    endTime: world.clock.timestamp(endsAt),
  };
}

function runCommandBody(call: Call, resource: Resource): Json {
  const expand = call.query['$expand'];
  if (expand !== undefined && expand.toLowerCase() !== 'instanceview')
    throw notModelled(`$expand=${expand} of a run command`);
  if (expand === undefined) return resource.body;
  return {
    ...resource.body,
    properties: { ...resource.body['properties'], instanceView: instanceView(call.world, resource) },
  };
}

function toRecord(value: unknown, name: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!Array.isArray(value)) throw notModelled(`${name} that are not a list`);
  return Object.fromEntries((value as Json[]).map((item) => [String(item['name']), String(item['value'])]));
}

const parametersSchema: Schema = [{ type: 'RunCommandInputParameter', members: { name: 'string', value: 'string' } }];

const runCommandSchema: ObjectSchema = {
  type: 'VirtualMachineRunCommand',
  members: {
    id: 'readonly',
    name: 'readonly',
    type: 'readonly',
    location: 'any',
    tags: 'any',
    properties: {
      type: 'VirtualMachineRunCommandProperties',
      members: {
        source: { type: 'VirtualMachineRunCommandScriptSource', members: { script: 'any' } },
        parameters: parametersSchema,
        protectedParameters: parametersSchema,
        asyncExecution: 'boolean',
        timeoutInSeconds: 'any',
        treatFailureAsDeploymentFailure: 'boolean',
        provisioningState: 'readonly',
        instanceView: 'readonly',
      },
    },
  },
};

/** Checks the body against what the simulator models and what Azure requires. */
function checkRunCommand(call: Call, vm: Resource): Json & { source: { script: string } } {
  const properties: Json | undefined = call.body['properties'];
  if (properties === undefined)
    throw invalidParameter('properties', "Required parameter 'properties' is missing (null).");
  checkBody(call.body, runCommandSchema, (path, message) => notModelled(`'${path}' of a run command: ${message}`), {
    exactNames: true,
  });
  checkTags(call.body['tags']);
  const location: unknown = call.body['location'];
  if (typeof location !== 'string') {
    throw refuse(400, 'LocationRequired', 'The location property is required for this definition.');
  }
  if (regionName(location) !== vm.body['location']) throw notModelled('a run command in another region than its VM');
  const script: unknown = properties['source']?.script;
  if (typeof script !== 'string' || script === '') throw notModelled('a run command without source.script');
  const timeout: unknown = properties['timeoutInSeconds'];
  if (timeout !== undefined && (typeof timeout !== 'number' || timeout <= 0))
    throw notModelled('a timeoutInSeconds that is not a positive number');
  if (vm.internal['powerState'] !== 'running') {
    throw refuse(409, 'OperationNotAllowed', 'Cannot modify extensions in the VM when the VM is not running.');
  }
  return { ...properties, source: { script } };
}

function putRunCommand(call: Call): Answer {
  const { world } = call;
  const vm = requireVm(call);
  const sent = checkRunCommand(call, vm);
  const existing = world.resources.get(call.resourceId);
  if (['Creating', 'Updating'].includes(existing?.body['properties'].provisioningState)) {
    throw concurrentRequestError();
  }
  const { protectedParameters: _secret, instanceView: _view, provisioningState: _state, ...shown } = sent;
  const body: Json = {
    name: call.name,
    id: call.resourceId,
    type,
    location: vm.body['location'],
    ...(call.body['tags'] === undefined ? {} : { tags: call.body['tags'] }),
    properties: {
      asyncExecution: false,
      treatFailureAsDeploymentFailure: false,
      ...shown,
      timeoutInSeconds: sent['timeoutInSeconds'] ?? 0,
      provisioningState: existing === undefined ? 'Creating' : 'Updating',
    },
  };
  const run: RunState = { result: undefined, startedAt: undefined, endsAt: undefined, timedOut: false };
  const resource = world.resources.put({ id: call.resourceId, type, body, internal: run });
  const setState = (state: string): void => {
    const isCurrent = world.resources.get(resource.id) === resource && runStateOf(resource) === run;
    if (isCurrent) resource.body['properties'].provisioningState = state;
  };
  return call.accept({
    family: 'compute',
    ...runScript(call, vm, sent, run),
    status: existing === undefined ? 201 : 200,
    body: structuredClone(body),
    location: vm.body['location'],
    resourceId: resource.id,
    name: 'PutRunCommandOperation',
    pollBudgets: pollBudgets(call),
    complete: () => {
      setState('Succeeded');
    },
    failed: () => {
      setState('Failed');
    },
  });
}

/** Duration and failure of the operation. Schedules the script's start, which sets `run`. */
function runScript(
  call: Call,
  vm: Resource,
  sent: Json & { source: { script: string } },
  run: RunState,
): { latency: number; failure: OperationFailure | undefined } {
  const { world } = call;
  const now = world.clock.now();
  const readyAt: number = isAgentReady(world, vm) ? now : Math.max(now, vm.internal['agentReadyAt']);
  if (readyAt - now > agentTimeoutSeconds) {
    return { latency: agentTimeoutSeconds, failure: agentNotReadyFailure(vm.body['name']) };
  }
  const startsAt = readyAt + agentDeliverySeconds;
  const result = settings(world).runScript({
    script: sent.source.script,
    parameters: toRecord(sent['parameters'], 'parameters'),
    protectedParameters: toRecord(sent['protectedParameters'], 'protectedParameters'),
    vm: vm.body,
    world,
  });
  // The recorded durations are those of the whole operation, including the delivery to the agent.
  const seconds = result.seconds ?? Math.max(0, world.latency('runCommand') - agentDeliverySeconds);
  // "default 90 minutes" (REST reference of timeoutInSeconds).
  const limit: number = sent['timeoutInSeconds'] ?? agentTimeoutSeconds;
  const duration = Math.min(seconds, limit);
  run.timedOut = seconds > limit;
  world.clock.after(startsAt - now, () => {
    run.result = result;
    run.startedAt = startsAt;
    run.endsAt = startsAt + duration;
  });
  const hasFailed = result.exitCode !== 0 || run.timedOut;
  return {
    latency: startsAt - now + (sent['asyncExecution'] === true ? 0 : duration),
    failure:
      sent['treatFailureAsDeploymentFailure'] === true && hasFailed
        ? {
            code: 'VMExtensionProvisioningError',
            message: `VM has reported a failure when processing run command '${call.name}'. Error message: 'exit code ${result.exitCode}'.`,
          }
        : undefined,
  };
}

function agentNotReadyFailure(vmName: string): OperationFailure {
  return {
    code: 'VMAgentStatusCommunicationError',
    message: `VM '${vmName}' has not reported status for VM agent or extensions. Verify that the OS is up and healthy, the VM has a running VM agent, and that it can establish outbound connections to Azure storage. Please refer to https://aka.ms/vmextensionlinuxtroubleshoot for additional VM agent troubleshooting information.`,
  };
}

function deleteRunCommand(call: Call): Answer {
  const existing = call.world.resources.get(call.resourceId);
  if (existing === undefined) {
    const vm = call.resourceId.replace(/\/runCommands\/[^/]+$/i, '');
    if (!call.world.resources.has(vm))
      throw notModelled(`the deletion of a run command of ${vm}, which does not exist`);
    return { status: 204 };
  }
  existing.body['properties'].provisioningState = 'Deleting';
  // Documented: DELETE ends a running script.
  return call.accept({
    family: 'compute',
    latency: 3,
    status: 202,
    location: existing.body['location'],
    resourceId: existing.id,
    name: 'DeleteRunCommandOperation',
    pollBudgets: pollBudgets(call),
    complete: () => {
      if (call.world.resources.get(existing.id) === existing) call.world.resources.remove(existing.id);
    },
  });
}

const listPath =
  '/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.Compute/virtualMachines/:vm/runCommands';

export const runCommandRoutes: readonly Route[] = [
  {
    method: 'PUT',
    path: `${listPath}/:runCommand`,
    kind: 'runCommand.put',
    action: 'Microsoft.Compute/virtualMachines/runCommands/write',
    budgets: writeBudgets('UpdateVM'),
    handle: putRunCommand,
  },
  {
    method: 'GET',
    path: `${listPath}/:runCommand`,
    kind: 'runCommand.get',
    query: ['$expand'],
    action: 'Microsoft.Compute/virtualMachines/runCommands/read',
    budgets: readBudgets,
    handle: (call) => {
      requireVm(call);
      const found = call.world.resources.get(call.resourceId);
      if (found === undefined) throw resourceNotFound(call.resourceId);
      return { status: 200, body: runCommandBody(call, found) };
    },
  },
  {
    method: 'GET',
    path: listPath,
    kind: 'runCommand.list',
    query: ['$expand'],
    action: 'Microsoft.Compute/virtualMachines/runCommands/read',
    budgets: readBudgets,
    handle: (call) => ({
      status: 200,
      body: {
        value: [...call.world.resources.under(requireVm(call).id, type)].map((resource) =>
          runCommandBody(call, resource),
        ),
      },
    }),
  },
  {
    method: 'DELETE',
    path: `${listPath}/:runCommand`,
    kind: 'runCommand.delete',
    action: 'Microsoft.Compute/virtualMachines/runCommands/delete',
    budgets: writeBudgets('UpdateVM'),
    handle: deleteRunCommand,
  },
];
