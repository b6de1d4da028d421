/** Clocks by Yjs client id, as `Y.decodeStateVector` gives them. */
export type Clocks = ReadonlyMap<number, number>;

const SYNC = 0;
const STEP_2 = 1;

/**
 * What of a page's edits is on disk, as the contract says it: the server's last word covers both every clock that the
 * page has and every sync frame that it sent on this connection (a deletion moves no clock).
 */
export class Deliveries {
  #sent = 0;
  /** Whether this connection was told all that the page has; before that a silence would pass for "saved". */
  #told = false;
  #committed: Clocks = new Map();
  #frames = 0;

  /** A new socket: frames are counted from its beginning. What had committed has committed. */
  connected(): void {
    this.#sent = 0;
    this.#told = false;
    this.#frames = 0;
  }

  /** A frame goes out. */
  sending(frame: Uint8Array): void {
    if (frame[0] !== SYNC) return;
    this.#sent++;
    if (frame[1] === STEP_2) this.#told = true;
  }

  /** The server's `saved` message. */
  saved(committed: Clocks, frames: number): void {
    this.#committed = committed;
    this.#frames = frames;
  }

  /** Whether everything that the page holds, `local`, is on disk. */
  covers(local: Clocks): boolean {
    if (!this.#told || this.#frames < this.#sent) return false;
    return [...local].every(([client, clock]) => (this.#committed.get(client) ?? 0) >= clock);
  }
}
