// Managed Run Command: scripts in the guest as resources below the VM.
// https://learn.microsoft.com/azure/virtual-machines/linux/run-command-managed
// With asyncExecution the operation ends when the script has started; the verdict is in the instance view either way.
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
import { isAgentReady, requireVm, vmType } from './vm.ts';

const type = `${vmType}/runCommands`;

/** Output and error keep their last 4,096 bytes. */
const maxOutputBytes = 4096;

/** Handing a script to the agent and starting it takes the agent's goal-state cycle, some seconds. */
const agentDeliverySeconds = 3;

/** How long Azure waits for a VM agent before it gives up on a script: the documented limit of Run Command. */
const agentTimeoutSeconds = 90 * 60;

interface RunState {
  result: ScriptResult | undefined;
  /** Simulated seconds. */
  startedAt: number | undefined;
  endsAt: number | undefined;
  timedOut: boolean;
  canceled: boolean;
}

function tail(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length <= maxOutputBytes
    ? text
    : bytes.subarray(bytes.length - maxOutputBytes).toString('utf8');
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
    const due = (result.progress ?? []).filter((one) => startedAt + one.at <= now).at(-1);
    return {
      executionState: 'Running',
      executionMessage: '',
      exitCode: 0,
      output: tail(due?.output ?? ''),
      error: tail(due?.error ?? ''),
      startTime: world.clock.timestamp(startedAt),
    };
  }
  const state = run.timedOut ? 'TimedOut' : result.exitCode === 0 ? 'Succeeded' : 'Failed';
  return {
    executionState: state,
    executionMessage: '',
    // What exit code a script has that was ended for its time was not recorded: -1 is an assumption.
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
  return Object.fromEntries((value as Json[]).map((one) => [String(one['name']), String(one['value'])]));
}

const parametersSchema: Schema = [
  { type: 'RunCommandInputParameter', members: { name: 'string', value: 'string' } },
];

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

function putRunCommand(call: Call): Answer {
  const { world } = call;
  const machine = requireVm(call);
  const asked: Json | undefined = call.body['properties'];
  if (asked === undefined)
    throw invalidParameter('properties', "Required parameter 'properties' is missing (null).");
  checkBody(
    call.body,
    runCommandSchema,
    (path, message) => notModelled(`'${path}' of a run command: ${message}`),
    {
      exactNames: true,
    },
  );
  checkTags(call.body['tags']);
  const location: unknown = call.body['location'];
  if (typeof location !== 'string') {
    throw refuse(400, 'LocationRequired', 'The location property is required for this definition.');
  }
  if (regionName(location) !== machine.body['location'])
    throw notModelled('a run command in another region than its VM');
  const script: unknown = asked['source']?.script;
  if (typeof script !== 'string' || script === '') throw notModelled('a run command without source.script');
  const timeout: unknown = asked['timeoutInSeconds'];
  if (timeout !== undefined && (typeof timeout !== 'number' || timeout <= 0))
    throw notModelled('a timeoutInSeconds that is not a positive number');
  if (machine.internal['powerState'] !== 'running') {
    throw refuse(
      409,
      'OperationNotAllowed',
      'Cannot modify extensions in the VM when the VM is not running.',
    );
  }
  const existing = world.resources.get(call.resourceId);
  if (
    existing !== undefined &&
    ['Creating', 'Updating'].includes(existing.body['properties'].provisioningState)
  ) {
    throw refuse(
      409,
      'Conflict',
      'The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.',
    );
  }
  const { protectedParameters: _secret, instanceView: _view, provisioningState: _state, ...shown } = asked;
  const body: Json = {
    name: call.name,
    id: call.resourceId,
    type,
    location: machine.body['location'],
    ...(call.body['tags'] === undefined ? {} : { tags: call.body['tags'] }),
    properties: {
      asyncExecution: false,
      treatFailureAsDeploymentFailure: false,
      ...shown,
      timeoutInSeconds: timeout ?? 0,
      provisioningState: existing === undefined ? 'Creating' : 'Updating',
    },
  };
  const run: RunState = {
    result: undefined,
    startedAt: undefined,
    endsAt: undefined,
    timedOut: false,
    canceled: false,
  };
  const resource = world.resources.put({ id: call.resourceId, type, body, internal: run });
  const here = (): boolean => world.resources.get(resource.id) === resource && runStateOf(resource) === run;

  const now = world.clock.now();
  const readyAt: number = isAgentReady(world, machine)
    ? now
    : Math.max(now, machine.internal['agentReadyAt']);
  const neverReady = readyAt - now > agentTimeoutSeconds;
  const startsAt = readyAt + agentDeliverySeconds;
  let failure: OperationFailure | undefined;
  let wait = startsAt - now;
  if (neverReady) {
    wait = agentTimeoutSeconds;
    failure = {
      code: 'VMAgentStatusCommunicationError',
      message: `VM '${machine.body['name']}' has not reported status for VM agent or extensions. Verify that the OS is up and healthy, the VM has a running VM agent, and that it can establish outbound connections to Azure storage. Please refer to https://aka.ms/vmextensionlinuxtroubleshoot for additional VM agent troubleshooting information.`,
    };
  } else {
    const result = settings(world).runScript({
      script,
      parameters: toRecord(asked['parameters'], 'parameters'),
      protectedParameters: toRecord(asked['protectedParameters'], 'protectedParameters'),
      vm: machine.body,
      world,
    });
    // The recorded durations are those of whole operations, the way to the agent included.
    const seconds = result.seconds ?? Math.max(0, world.latency('runCommand') - agentDeliverySeconds);
    // "default 90 minutes" (REST reference of timeoutInSeconds).
    const limit = typeof timeout === 'number' ? timeout : agentTimeoutSeconds;
    run.timedOut = seconds > limit;
    const lasts = Math.min(seconds, limit);
    if (asked['asyncExecution'] !== true) wait += lasts;
    if (asked['treatFailureAsDeploymentFailure'] === true && (result.exitCode !== 0 || run.timedOut)) {
      failure = {
        code: 'VMExtensionProvisioningError',
        message: `VM has reported a failure when processing run command '${call.name}'. Error message: 'exit code ${result.exitCode}'.`,
      };
    }
    world.clock.after(startsAt - now, () => {
      run.result = result;
      run.startedAt = startsAt;
      run.endsAt = startsAt + lasts;
    });
  }
  return call.accept({
    family: 'compute',
    latency: wait,
    status: existing === undefined ? 201 : 200,
    body: structuredClone(body),
    location: machine.body['location'],
    resourceId: resource.id,
    name: 'PutRunCommandOperation',
    pollBudgets: pollBudgets(call),
    failure,
    complete: () => {
      if (here()) resource.body['properties'].provisioningState = 'Succeeded';
    },
    failed: () => {
      if (here()) resource.body['properties'].provisioningState = 'Failed';
    },
  });
}

function deleteRunCommand(call: Call): Answer {
  const existing = call.world.resources.get(call.resourceId);
  if (existing === undefined) {
    const machine = call.resourceId.replace(/\/runCommands\/[^/]+$/i, '');
    if (!call.world.resources.has(machine))
      throw notModelled(`a run command to delete of ${machine}, which is not there`);
    return { status: 204 };
  }
  existing.body['properties'].provisioningState = 'Deleting';
  // "DELETE ends a running script."
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
        value: [...call.world.resources.under(requireVm(call).id, type)].map((one) =>
          runCommandBody(call, one),
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
