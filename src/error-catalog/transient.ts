import type { AzureErrorInfo } from '../errors/azure-error.ts';
import {
  type Entry,
  type Lines,
  all,
  any,
  codeIs,
  messageText,
  nobodyNeedsToAct,
  not,
  statusIs,
  wordsOf,
} from './entry.ts';

const retryAfterText = (fault: AzureErrorInfo) =>
  fault.retryAfterSeconds === undefined ? 'the time that Azure names' : `${fault.retryAfterSeconds} s`;

const correlated = (fault: AzureErrorInfo) =>
  fault.correlationId ?? messageText(fault, /correlation id '([^']+)'/i, '<correlation-id>');

const retried: Lines = (fault) => [
  `If the action gave up, run the job again. If it stays, look at Azure's status and give its support the correlation ID ${correlated(fault)}:`,
  'https://azure.status.microsoft/status',
];

const busyEntry = codeIs(
  'RetryableError',
  'RetryableErrorDueToAnotherOperation',
  'AnotherOperationInProgress',
  'ReferencedResourceNotProvisioned',
);

const throttled429 = all(statusIs(429), not(busyEntry));

const computeLimit = codeIs('OperationNotAllowed', 'TooManyRequests');

export const transientEntries: readonly Entry[] = [
  {
    // Also ReferencedResourceNotProvisioned: Network's way to say that a neighbour is being updated.
    id: 'resource-busy',
    title: 'Another operation holds the resource',
    says: 'RetryableError (429), AnotherOperationInProgress, ReferencedResourceNotProvisioned',
    match: busyEntry,
    cause: (fault) => {
      const held = messageText(
        fault,
        /is updating resource (\S+?)\.?\s/,
        messageText(fault, /operations\/([\w-]+)/, ''),
      );
      return `Another operation is changing this resource or one that it depends on${held ? ` (${held})` : ''}. It is no throttling, though it may come with status 429.`;
    },
    who: nobodyNeedsToAct,
    fix: (fault) => [
      `The action waits ${retryAfterText(fault)} and tries again. If it gave up, see who else works in the resource group: jobs that share a network are best kept apart with \`concurrency\`.`,
    ],
  },
  {
    id: 'compute-limit',
    title: "Compute's limit of requests is reached",
    says: 'OperationNotAllowed (429): The server rejected the request because too many requests have been received for this subscription',
    match: all(throttled429, computeLimit),
    cause: (fault, { subscriptionId }) => {
      const allowed = messageText(fault, /"allowedRequestCount":(\d+)/, '');
      const measured = messageText(fault, /"measuredRequestCount":(\d+)/, '');
      const figures = allowed && measured ? `: ${measured} requests where ${allowed} are allowed` : '';
      const bucket =
        fault.details.find((detail) => detail.target)?.target ??
        messageText(fault, /"operationGroup":"([^"]+)"/, '');
      return `Everything that works in subscription ${subscriptionId} in this region has together used up a limit of Compute${bucket ? ` (${bucket}${figures})` : ''}.`;
    },
    who: nobodyNeedsToAct,
    fix: (fault) => [
      `The action waits ${retryAfterText(fault)}, as told. If that is longer than \`timeout-minutes\`, raise it or run fewer jobs at a time (\`max-parallel\`).`,
    ],
  },
  {
    id: 'throttled',
    title: "Resource Manager's limit of requests is reached",
    says: '429 Too Many Requests',
    match: all(throttled429, not(computeLimit)),
    cause: (_, { clientId, subscriptionId }) =>
      `App ${clientId} has sent more requests in subscription ${subscriptionId} than Resource Manager allows (reads refill at 25 a second, writes and deletes at 10).`,
    who: nobodyNeedsToAct,
    fix: (fault) => [
      `The action waits ${retryAfterText(fault)}, as told. If that is longer than \`timeout-minutes\`, raise it or run fewer jobs at a time (\`max-parallel\`).`,
    ],
  },
  {
    id: 'gateway-fault',
    title: 'A gateway on the way failed',
    says: 'BadGatewayConnection (502), 503, 504',
    match: any(codeIs('BadGatewayConnection'), statusIs(502, 503, 504)),
    cause: (fault) =>
      `A connection on the way failed for a moment${/'(Microsoft\.\w+)'/.test(wordsOf(fault)) ? `, between Resource Manager and ${messageText(fault, /'(Microsoft\.\w+)'/, '')}` : ', at Azure or at a proxy'}.`,
    who: nobodyNeedsToAct,
    fix: retried,
  },
  {
    id: 'server-fault',
    title: 'Azure failed',
    says: 'InternalServerError (500): Encountered internal server error',
    match: any(codeIs('InternalServerError'), statusIs(500)),
    cause: (fault) => `Azure failed by itself; its support finds the case by ${correlated(fault)}.`,
    who: nobodyNeedsToAct,
    fix: retried,
  },
];
