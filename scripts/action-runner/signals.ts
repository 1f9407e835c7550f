import type { ChildProcess } from 'node:child_process';

/** Sends a signal on the first of these conditions. */
export interface SignalPlan {
  /** `cancel` is the runner's sequence in real time, since CPU time has no scale: SIGINT, SIGTERM after 7.5 s, SIGKILL after 10 s. */
  readonly name: NodeJS.Signals | 'cancel';
  /** Since the start of the process. */
  readonly afterMs?: number;
  /** When the log so far matches. */
  readonly whenLog?: RegExp;
  /** When this promise resolves: for example, when a request has arrived. */
  readonly when?: Promise<unknown>;
}

export function planSignals(
  child: ChildProcess,
  plans: readonly SignalPlan[],
): { checkLog: (log: string) => void; stop: () => void } {
  const timers: NodeJS.Timeout[] = [];
  const pending = new Set(plans);
  const after = (ms: number, name: NodeJS.Signals): void => {
    timers.push(setTimeout(() => child.kill(name), ms));
  };
  const send = (plan: SignalPlan): void => {
    if (!pending.delete(plan)) return;
    if (plan.name !== 'cancel') {
      child.kill(plan.name);
      return;
    }
    child.kill('SIGINT');
    after(7_500, 'SIGTERM');
    after(10_000, 'SIGKILL');
  };
  for (const plan of plans) {
    if (plan.afterMs !== undefined) timers.push(setTimeout(() => send(plan), plan.afterMs));
    void plan.when?.then(() => send(plan));
  }
  return {
    checkLog: (log) => {
      for (const plan of pending) if (plan.whenLog?.test(log)) send(plan);
    },
    stop: () => {
      pending.clear();
      timers.forEach((timer) => clearTimeout(timer));
    },
  };
}
