/** Clocks by Yjs client id, as `Y.decodeStateVector` gives them. */
export type Clocks = ReadonlyMap<number, number>;

const SYNC = 0;
const STEP_2 = 1;
const UPDATE = 2;

/**
 * What of a page's edits is on disk, as the contract says it: the server's last word covers both every clock of the
 * page's own and every sync frame that it sent on this connection (a deletion moves no clock). What others did came
 * from the server, which had it on disk before.
 */
export class Deliveries {
  #sent = 0;
  /** Whether this connection was told all that the page has; before that a silence would pass for "saved". */
  #told = false;
  /** Edits made since then for which no frame has gone out yet; a deletion moves no clock that would tell. */
  #untold = 0;
  /** Client ids under which edits were made here, by this page or by one that left some behind. */
  readonly #own = new Set<number>();
  #committed: Clocks = new Map();
  #frames = 0;

  /** A new socket: frames are counted from its beginning. What had committed has committed. */
  connected(): void {
    this.#sent = 0;
    this.#told = false;
    this.#frames = 0;
  }

  /** Edits under this client id are the page's own. */
  owns(client: number): void {
    this.#own.add(client);
  }

  /** An edit was made here; to be called before its frame goes out. */
  edited(): void {
    this.#untold++;
  }

  /** A frame goes out: the second step of a sync holds all edits, an update the one just made. */
  sending(frame: Uint8Array): void {
    if (frame[0] !== SYNC) return;
    this.#sent++;
    if (frame[1] === UPDATE && this.#untold > 0) this.#untold--;
    if (frame[1] !== STEP_2) return;
    this.#told = true;
    this.#untold = 0;
  }

  /** The server's `saved` message. */
  saved(committed: Clocks, frames: number): void {
    this.#committed = committed;
    this.#frames = frames;
  }

  /** Whether everything that was done here is on disk; `local` is the document's state vector. */
  covers(local: Clocks): boolean {
    if (!this.#told || this.#untold > 0 || this.#frames < this.#sent) return false;
    return [...this.#own].every((client) => (this.#committed.get(client) ?? 0) >= (local.get(client) ?? 0));
  }
}
