import { startTimer } from './clock.ts';

export const progressSeconds = 30;

/** Resolves after `seconds`; rejects with the signal's reason as soon as it aborts. */
export async function delay(seconds: number, signal: AbortSignal): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = startTimer(seconds, resolve);
  await raceAbort(over, signal).finally(() => clearTimeout(timer));
}

/** Waits as long as Azure asked, and says so every 30 seconds: Compute asks for up to 20 minutes. */
export async function delayWithProgress(
  seconds: number,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<void> {
  for (let left = seconds; left > 0; left -= progressSeconds) {
    await delay(Math.min(progressSeconds, left), signal);
    if (left > progressSeconds) log(`Azure asked to wait; ${Math.round(left - progressSeconds)} s to go.`);
  }
}

/**
 * Like Promise.all, but lets all end before the first failure is thrown: otherwise clean-up would race with a PUT that is
 * still on its way, and miss what it makes.
 */
export async function allSettledOrThrow<T extends readonly unknown[]>(
  work: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const entries = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of entries) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

/** For work that takes no signal, such as the discovery of endpoints with its retries. */
export async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', onAbort));
}
