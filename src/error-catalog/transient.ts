import type { AzureErrorInfo } from '../errors/errors.ts';
import {
  type Entry,
  type Lines,
  all,
  any,
  codeIs,
  messageText,
  messagesOf,
  nobodyNeedsToAct,
  not,
  statusIs,
  vmErrors,
} from './entry.ts';

const limits = 'https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling';

const retryAfterText = (fault: AzureErrorInfo) =>
  fault.retryAfterSeconds === undefined ? 'the time that Azure requests' : `${fault.retryAfterSeconds} s`;

const correlationId = (fault: AzureErrorInfo) =>
  fault.correlationId ?? messageText(fault, /correlation id '([^']+)'/i, '<correlation-id>');

const retried: Lines = (fault) => [
  `If the action gave up, run the job again. If it keeps failing, check Azure's status, and give correlation ID ${correlationId(fault)} to Azure support:`,
  'https://azure.status.microsoft/status',
];

const isBusy = codeIs(
  'RetryableError',
  'RetryableErrorDueToAnotherOperation',
  'AnotherOperationInProgress',
  'ReferencedResourceNotProvisioned',
);

const isInternal = any(
  codeIs('InternalServerError', 'InternalExecutionError', 'NetworkingInternalOperationError'),
  statusIs(500),
);

const isThrottled = all(statusIs(429), not(isBusy));

const isComputeLimit = codeIs('OperationNotAllowed', 'TooManyRequests');

const throttledFix: Lines = (fault) => [
  `The action waits ${retryAfterText(fault)}. If that exceeds \`timeout-minutes\`, raise it, or run fewer jobs in parallel (\`max-parallel\`).`,
];

export const transientEntries: readonly Entry[] = [
  {
    id: 'resource-busy',
    title: 'Another operation on the resource is in progress',
    says: 'RetryableError (429), AnotherOperationInProgress, ReferencedResourceNotProvisioned',
    source: `azure-cli recording test_network_vpn_connection_nat_rule; ${limits}`,
    match: isBusy,
    cause: (fault) => {
      const resource = messageText(
        fault,
        /is updating resource (\S+?)\.?\s/,
        messageText(fault, /operations\/([\w-]+)/, ''),
      );
      return `Another operation on this resource, or on one that it depends on, is in progress. ${resource ? `It is ${resource}. ` : ''}This is not throttling, even with status 429.`;
    },
    who: nobodyNeedsToAct,
    fix: (fault) => [
      `The action waits ${retryAfterText(fault)} and retries. If it gave up, find out who else works in the resource group; jobs that share a network should not run at the same time (\`concurrency\`).`,
    ],
  },
  {
    id: 'preempted',
    title: 'A newer operation replaced this one',
    says: 'OperationPreempted: Operation execution has been preempted by a more recent operation',
    source: vmErrors,
    cause: (_, { vmName }) =>
      `A newer operation on VM ${vmName} replaced this one. Another job, policy or person changed or deleted the VM at the same time.`,
    fix: [
      'Run the job again. If it happens often, keep jobs that use the same VM apart with `concurrency`. The activity log of the resource group shows the newer operation.',
    ],
  },
  {
    id: 'compute-limit',
    title: "Compute's request limit is reached",
    says: 'OperationNotAllowed (429): The server rejected the request because too many requests have been received for this subscription',
    source: 'https://learn.microsoft.com/troubleshoot/azure/virtual-machines/troubleshooting-throttling-errors',
    match: all(isThrottled, isComputeLimit),
    cause: (fault, { subscriptionId }) => {
      const allowed = messageText(fault, /"allowedRequestCount":(\d+)/, '');
      const measured = messageText(fault, /"measuredRequestCount":(\d+)/, '');
      const figures = allowed && measured ? `: ${measured} requests, ${allowed} allowed` : '';
      const bucket =
        fault.details.find((detail) => detail.target)?.target ?? messageText(fault, /"operationGroup":"([^"]+)"/, '');
      return `Subscription ${subscriptionId} has reached a request limit of Compute in this region${bucket ? ` (${bucket}${figures})` : ''}. All clients of the subscription share it.`;
    },
    who: nobodyNeedsToAct,
    fix: throttledFix,
  },
  {
    id: 'throttled',
    title: "Resource Manager's request limit is reached",
    says: '429 Too Many Requests',
    source: limits,
    match: all(isThrottled, not(isComputeLimit)),
    cause: (_, { clientId, subscriptionId }) =>
      `App ${clientId} has reached Resource Manager's request limit in subscription ${subscriptionId}. The limit refills by 25 reads, 10 writes and 10 deletes a second.`,
    who: nobodyNeedsToAct,
    fix: throttledFix,
  },
  {
    id: 'gateway-fault',
    title: 'A gateway failed',
    says: 'BadGatewayConnection (502), 503, 504',
    source: 'azure-cli recording test_disk_encryption_set_identity',
    match: any(codeIs('BadGatewayConnection'), statusIs(502, 503, 504)),
    cause: (fault) =>
      /'(Microsoft\.\w+)'/.test(messagesOf(fault))
        ? `The connection between Resource Manager and ${messageText(fault, /'(Microsoft\.\w+)'/, '')} failed temporarily.`
        : 'A gateway at Azure, or a proxy, failed temporarily.',
    who: nobodyNeedsToAct,
    fix: retried,
  },
  {
    id: 'server-fault',
    title: 'Azure had an internal error',
    says: 'InternalServerError (500): Encountered internal server error; InternalExecutionError; NetworkingInternalOperationError',
    source: 'azure-cli recording test_network_lb_frontend_ip_zone',
    match: isInternal,
    cause: (fault) =>
      `Azure had an internal error. Azure support can find the request by correlation ID ${correlationId(fault)}.`,
    who: nobodyNeedsToAct,
    fix: retried,
  },
];
