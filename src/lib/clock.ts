/**
 * The clock by which this action waits: polls, retries, grace periods, time limits. CROSS_TENANT_VM_TIME_SCALE makes all of
 * these shorter by one factor, so that tests against a simulated Azure need not wait (CONTRIBUTING.md).
 */

let timeScale = 1;

/** 1 unless it is a decimal fraction from 0.001 to 1: below, timers of one millisecond would not tell waits apart. */
export function parseTimeScale(text: string | undefined): number {
  if (text === undefined || !/^[01]\.\d{1,4}$/.test(text)) return 1;
  const scale = Number(text);
  return scale >= 0.001 && scale <= 1 ? scale : 1;
}

/** Called once per process, before the first wait. */
export function setTimeScale(text: string | undefined): void {
  timeScale = parseTimeScale(text);
}

/** Seconds on this clock since an arbitrary moment; never goes back. */
export function clockSeconds(): number {
  return performance.now() / 1000 / timeScale;
}

export function startTimer(seconds: number, run: () => void): NodeJS.Timeout {
  return setTimeout(run, seconds * 1000 * timeScale);
}

/** Calls `run` when an answer is not there after `seconds` of real time: a scale does not make the other side faster. */
export function startAnswerTimer(seconds: number, run: () => void): NodeJS.Timeout {
  return setTimeout(run, seconds * 1000);
}

/** Milliseconds of real time, for libraries that set their own timers. */
export function realMilliseconds(seconds: number): number {
  return seconds * 1000 * timeScale;
}

const timeouts = new WeakMap<AbortSignal, number>();

/** Aborts the controller after `seconds`, unless the process ends before. */
export function abortAfter(controller: AbortController, seconds: number, reason: () => unknown): NodeJS.Timeout {
  timeouts.set(controller.signal, clockSeconds() + seconds);
  return startTimer(seconds, () => controller.abort(reason())).unref();
}

/** Seconds until `abortAfter` aborts this signal; Infinity when it has no timeout. */
export function secondsUntilTimeout(signal: AbortSignal): number {
  const timeout = timeouts.get(signal);
  return timeout === undefined ? Infinity : timeout - clockSeconds();
}

/** `AbortSignal.timeout` on this clock. */
export function timeoutSignal(seconds: number): AbortSignal {
  const controller = new AbortController();
  abortAfter(
    controller,
    seconds,
    () => new DOMException(`The time limit of ${Math.round(seconds / 60)} min was reached.`, 'TimeoutError'),
  );
  return controller.signal;
}
