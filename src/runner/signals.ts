import * as core from '@actions/core';
import { ActionError } from '../errors/errors.ts';
import { abortAfter, timeoutSignal } from '../lib/clock.ts';

/**
 * A cancel comes as SIGINT, 7.5 s later as SIGTERM, 2.5 s later as the end
 * (https://docs.github.com/actions/reference/workflows-and-actions/workflow-cancellation). The first one stops all
 * waiting and sends the deletions; the post step does the rest. Windows runners send Ctrl-C and Ctrl-Break.
 */
export function stopOnSignals(stop: AbortController, activity: () => string): void {
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) return;
    const deadline = new AbortController();
    const message = 'A cancelled step has only a few seconds; the post step of this job continues the cleanup.';
    abortAfter(deadline, maxCancelSeconds, () => new ActionError('cleaning up', { message }));
    cancelDeadline = deadline.signal;
    core.info(`Received ${signal}: stopping.`);
    stop.abort(
      new ActionError(activity(), {
        message: `The workflow run was cancelled (${signal}).`,
        reason: 'Someone cancelled the run, a newer run replaced it, or the job reached its own time limit.',
        who: "nobody, or the workflow's author",
        fix: ['What was created by then is deleted unless `cleanup` is `never`; run the job again when wanted.'],
      }),
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGBREAK'] as const) process.on(signal, onSignal);
}

export function stopAtTimeLimit(stop: AbortController, minutes: number, activity: () => string): NodeJS.Timeout {
  return abortAfter(
    stop,
    minutes * 60,
    () =>
      new ActionError(activity(), {
        message: `The time limit of ${minutes} minute${minutes === 1 ? '' : 's'} was reached.`,
        reason: 'The step took longer than `timeout-minutes` allows. The log shows what it was waiting for.',
        fix: ['Raise `timeout-minutes`, or see in the activity log of the resource group what took so long.'],
      }),
  );
}

/** Seconds from SIGINT until the step must end by itself: with its error, outputs and summary, before SIGTERM. */
const maxCancelSeconds = 6;

let cancelDeadline: AbortSignal | undefined;

/** The signal of a cleanup after a failure. After a cancellation there is little time, and the post step does the rest. */
export function cleanupSignal(): AbortSignal {
  return cancelDeadline ?? timeoutSignal(15 * 60);
}
