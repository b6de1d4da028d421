/** A token bucket: `rate` a second on average, `burst` at once; what a reconnecting page sends comes in one go. */
export class Bucket {
  readonly #rate: number;
  readonly #burst: number;
  #left: number;
  #at: number;

  constructor(rate: number, burst: number, now = performance.now()) {
    this.#rate = rate;
    this.#burst = burst;
    this.#left = burst;
    this.#at = now;
  }

  /** False where the bucket does not hold that many. */
  take(count: number, now = performance.now()): boolean {
    this.#refill(now);
    if (count > this.#left) return false;
    this.#left -= count;
    return true;
  }

  /** Takes what has been used already; false where that is more than there was. */
  spend(count: number, now = performance.now()): boolean {
    this.#refill(now);
    this.#left -= count;
    return this.#left >= 0;
  }

  #refill(now: number): void {
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1000) * this.#rate);
    this.#at = now;
  }
}
