interface ScheduledTask {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * Simulated time: wall time divided by `timeScale`, from the start. Tokens expire by wall time instead, because clients
 * cache them by their own clock. There are no timers: `settle` runs due tasks in order before each request, so that
 * states do not depend on who polled when.
 */
export class Clock {
  readonly timeScale: number;
  readonly #startedAt = performance.now();
  readonly #epoch = Date.now();
  #tasks: ScheduledTask[] = [];
  #order = 0;
  #settling = false;
  #skippedSeconds = 0;

  readonly #clientTimeScale: number;

  /** `clientTimeScale`: the factor by which clients shorten the waits that Retry-After asks for. */
  constructor(timeScale: number, clientTimeScale = 1) {
    if (!(timeScale > 0)) throw new Error(`timeScale must be positive, not ${timeScale}`);
    this.timeScale = timeScale;
    this.#clientTimeScale = clientTimeScale;
  }

  /** Simulated seconds since the start. */
  now(): number {
    return this.wall() / 1000 / this.timeScale + this.#skippedSeconds;
  }

  /** Skips simulated seconds, so that a test need not wait for them. Budgets refill, operations end. */
  advance(seconds: number): void {
    this.#skippedSeconds += seconds;
    this.settle();
  }

  /** Wall-clock milliseconds since the start: the journal's `at`. */
  wall(): number {
    return performance.now() - this.#startedAt;
  }

  /** A simulated time in the format of Azure's bodies. */
  timestamp(at: number = this.now()): string {
    return new Date(this.#epoch + at * 1000).toISOString().replace('Z', '0000+00:00');
  }

  /** A simulated time as Date. */
  date(at: number = this.now()): Date {
    return new Date(this.#epoch + at * 1000);
  }

  /** Schedules `run` and returns the handle for `cancel`. */
  after(seconds: number, run: () => void): object {
    const task = { at: this.now() + seconds, order: this.#order++, run };
    this.#tasks.push(task);
    return task;
  }

  cancel(handle: object): void {
    this.#tasks = this.#tasks.filter((task) => task !== handle);
  }

  /** Runs everything that is due, oldest first. */
  settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    try {
      for (let next = this.#nextDue(); next; next = this.#nextDue()) {
        this.cancel(next);
        next.run();
      }
    } finally {
      this.#settling = false;
    }
  }

  #nextDue(): ScheduledTask | undefined {
    const now = this.now();
    return this.#tasks
      .filter((task) => task.at <= now)
      .toSorted((a, b) => a.at - b.at || a.order - b.order)
      .at(0);
  }

  /** Waits that many simulated seconds. */
  async sleep(seconds: number): Promise<void> {
    if (seconds <= 0) return;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000 * this.timeScale));
  }

  /** Simulated seconds as a Retry-After value: whole seconds of wall time. */
  retryAfter(seconds: number, atLeast = 0): string {
    return String(Math.max(atLeast, Math.round((seconds * this.timeScale) / this.#clientTimeScale)));
  }
}
