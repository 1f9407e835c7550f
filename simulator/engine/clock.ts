interface Due {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * Simulated time: wall time × 1/timeScale, counted from the start. Operations, budgets and reservations run by it;
 * tokens and assertions run by wall time, because the clients that cache them do.
 *
 * Nothing here uses a timer. What is due is carried out, in order, before the next look at the world (`settle`), so a
 * run gives the same states whether or not anybody polled in between.
 */
export class Clock {
  readonly timeScale: number;
  readonly #startedAt = performance.now();
  readonly #epoch = Date.now();
  #due: Due[] = [];
  #order = 0;
  #settling = false;

  constructor(timeScale: number) {
    if (!(timeScale > 0)) throw new Error(`timeScale must be positive, not ${timeScale}`);
    this.timeScale = timeScale;
  }

  /** Simulated seconds since the start. */
  now(): number {
    return this.wall() / 1000 / this.timeScale;
  }

  /** Wall-clock milliseconds since the start: the journal's `at`. */
  wall(): number {
    return performance.now() - this.#startedAt;
  }

  /** A simulated moment as Azure's bodies write it. */
  timestamp(at: number = this.now()): string {
    return new Date(this.#epoch + at * 1000).toISOString().replace('Z', '0000+00:00');
  }

  /** A simulated moment as Date. */
  date(at: number = this.now()): Date {
    return new Date(this.#epoch + at * 1000);
  }

  /** Runs `run` once that many simulated seconds have passed. Gives the handle for `cancel`. */
  after(seconds: number, run: () => void): object {
    const entry = { at: this.now() + seconds, order: this.#order++, run };
    this.#due.push(entry);
    return entry;
  }

  cancel(handle: object): void {
    this.#due = this.#due.filter((entry) => entry !== handle);
  }

  /** Carries out what is due, oldest first. */
  settle(): void {
    if (this.#settling) return;
    this.#settling = true;
    try {
      for (;;) {
        const now = this.now();
        let next: Due | undefined;
        for (const entry of this.#due) {
          if (entry.at > now) continue;
          if (!next || entry.at < next.at || (entry.at === next.at && entry.order < next.order)) next = entry;
        }
        if (!next) return;
        this.cancel(next);
        next.run();
      }
    } finally {
      this.#settling = false;
    }
  }

  /** Waits simulated seconds in wall time. */
  async sleep(seconds: number): Promise<void> {
    if (seconds <= 0) return;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000 * this.timeScale));
  }

  /** A Retry-After of so many simulated seconds, in the whole wall-clock seconds that the header knows. */
  retryAfter(seconds: number, atLeast = 0): string {
    return String(Math.max(atLeast, Math.round(seconds * this.timeScale)));
  }
}
