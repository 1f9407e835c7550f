import { type Entries, type Failure, hasCode, messagesOf, messageText, nobodyNeedsToAct } from './entry.ts';

const retryAfterText = ({ retryAfterSeconds }: Failure) =>
  retryAfterSeconds === undefined ? '' : ` Azure asks to wait ${retryAfterSeconds} s.`;

const correlationId = (failure: Failure) =>
  failure.correlationId ?? messageText(failure, /correlation id '([^']+)'/i, '<correlation-id>');

const retried = (failure: Failure) => [
  `Run the job again. If it keeps failing, check Azure's status, and give correlation ID ${correlationId(failure)} to Azure support:`,
  'https://azure.status.microsoft/status',
];

const busyCodes = [
  'RetryableError',
  'RetryableErrorDueToAnotherOperation',
  'AnotherOperationInProgress',
  'ReferencedResourceNotProvisioned',
];

const isThrottled = (failure: Failure) => failure.status === 429 && !hasCode(failure, ...busyCodes);

const isComputeLimit = (failure: Failure) => hasCode(failure, 'OperationNotAllowed', 'TooManyRequests');

const throttledFix = (failure: Failure) => [
  `Run fewer jobs in parallel (\`max-parallel\`), or raise \`timeout-minutes\`: the action waits out throttling for as long as that allows.${retryAfterText(failure)}`,
];

export const transientEntries: Entries = {
  'Another operation on the resource is in progress': (failure) => {
    const operation = messageText(failure, /operations\/([\w-]+)/, '');
    const resource = messageText(failure, /is updating resource (\S+?)\.?\s/, operation);
    return {
      says: 'RetryableError (429), AnotherOperationInProgress, ReferencedResourceNotProvisioned',
      codes: busyCodes,
      cause: `Another operation on this resource, or on one that it depends on, is in progress. ${resource ? `It is ${resource}. ` : ''}This is not throttling, even with status 429.`,
      who: nobodyNeedsToAct,
      fix: [
        `If it happens again, find out who else works in the resource group; jobs that share a network should not run at the same time (\`concurrency\`).${retryAfterText(failure)}`,
      ],
    };
  },
  'A newer operation replaced this one': ({ vmName }) => ({
    says: 'OperationPreempted: Operation execution has been preempted by a more recent operation',
    cause: `A newer operation on VM ${vmName} replaced this one. Another job, policy or person changed or deleted the VM at the same time.`,
    fix: [
      'Run the job again. If it happens often, keep jobs that use the same VM apart with `concurrency`. The activity log of the resource group shows the newer operation.',
    ],
  }),
  "Compute's request limit is reached": (failure) => {
    const allowed = messageText(failure, /"allowedRequestCount":(\d+)/, '');
    const measured = messageText(failure, /"measuredRequestCount":(\d+)/, '');
    const figures = allowed && measured ? `: ${measured} requests, ${allowed} allowed` : '';
    const bucket =
      failure.details.find((detail) => detail.target)?.target ?? messageText(failure, /"operationGroup":"([^"]+)"/, '');
    return {
      says: 'OperationNotAllowed (429): The server rejected the request because too many requests have been received for this subscription',
      when: isThrottled(failure) && isComputeLimit(failure),
      cause: `Subscription ${failure.subscriptionId} has reached a request limit of Compute in this region${bucket ? ` (${bucket}${figures})` : ''}. All clients of the subscription share it.`,
      fix: throttledFix(failure),
    };
  },
  "Resource Manager's request limit is reached": (failure) => ({
    says: '429 Too Many Requests',
    when: isThrottled(failure) && !isComputeLimit(failure),
    cause: `App ${failure.clientId} has reached Resource Manager's request limit in subscription ${failure.subscriptionId}. The limit refills by 25 reads, 10 writes and 10 deletes a second.`,
    fix: throttledFix(failure),
  }),
  'A gateway failed': (failure) => ({
    says: 'BadGatewayConnection (502), 503, 504',
    when: hasCode(failure, 'BadGatewayConnection') || [502, 503, 504].includes(failure.status),
    cause: /'(Microsoft\.\w+)'/.test(messagesOf(failure))
      ? `The connection between Resource Manager and ${messageText(failure, /'(Microsoft\.\w+)'/, '')} failed temporarily.`
      : 'A gateway at Azure, or a proxy, failed temporarily.',
    who: nobodyNeedsToAct,
    fix: retried(failure),
  }),
  'Azure had an internal error': (failure) => ({
    says: 'InternalServerError (500): Encountered internal server error; InternalExecutionError; NetworkingInternalOperationError',
    when:
      failure.status === 500 ||
      hasCode(failure, 'InternalServerError', 'InternalExecutionError', 'NetworkingInternalOperationError'),
    cause: `Azure had an internal error. Azure support can find the request by correlation ID ${correlationId(failure)}.`,
    who: nobodyNeedsToAct,
    fix: retried(failure),
  }),
};
