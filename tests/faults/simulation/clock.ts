interface Timer {
  due: number;
  /** Of two that are due at once, the one that was set first comes first. */
  order: number;
  run: () => void;
  every: number | null;
}

/** Lets everything that waits for promises go on. */
const realImmediate = globalThis.setImmediate;
const settle = () => new Promise<void>((resolve) => realImmediate(resolve));

/**
 * Time that passes only when told to: timers and the two clocks of the process are its own until `restore`. Unlike the
 * test runner's fake timers it lets promises go on without a millisecond of real time for each timer.
 */
export class Clock {
  now = 1_000_000;
  #order = 0;
  readonly #timers = new Map<object, Timer>();
  readonly #real = {
    ...{ setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate },
    ...{ date: Date.now, performance: performance.now }
  };

  install(): void {
    const later =
      (every: boolean) =>
      <A extends unknown[]>(run: (...given: A) => void, milliseconds?: number, ...given: A) =>
        this.#set(() => run(...given), Math.max(0, milliseconds ?? 0), every);
    const forget = (handle?: object) => void (handle && this.#timers.delete(handle));
    Object.assign(globalThis, {
      ...{ setTimeout: later(false), setInterval: later(true) },
      setImmediate: (run: () => void) => this.#set(run, 0, false),
      ...{ clearTimeout: forget, clearInterval: forget, clearImmediate: forget }
    });
    Date.now = () => Math.floor(this.now);
    performance.now = () => this.now;
  }

  restore(): void {
    const { date, performance: original, ...timers } = this.#real;
    Object.assign(globalThis, timers);
    Date.now = date;
    performance.now = original;
  }

  async pass(milliseconds: number): Promise<void> {
    const until = this.now + milliseconds;
    await settle();
    for (let next = this.#next(until); next; next = this.#next(until)) {
      const [handle, timer] = next;
      this.now = timer.due;
      if (timer.every === null) this.#timers.delete(handle);
      else Object.assign(timer, { due: this.now + Math.max(1, timer.every), order: this.#order++ });
      timer.run();
      await settle();
    }
    this.now = until;
  }

  #next(until: number): [object, Timer] | null {
    let first: [object, Timer] | null = null;
    for (const entry of this.#timers) {
      const { due, order } = entry[1];
      if (due > until) continue;
      if (!first || due < first[1].due || (due === first[1].due && order < first[1].order)) first = entry;
    }
    return first;
  }

  #set(run: () => void, milliseconds: number, every: boolean): object {
    const handle: object = { unref: () => handle, ref: () => handle, hasRef: () => true };
    const due = this.now + milliseconds;
    this.#timers.set(handle, { due, order: this.#order++, run, every: every ? milliseconds : null });
    return handle;
  }
}
