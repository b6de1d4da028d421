/**
 * Work that outlives a request. A job is only a nudge: the truth is a row (import, run) with heartbeat and cursor, so a
 * job that runs twice or late does no harm.
 */
export interface Jobs {
  /** Registers the worker of a queue; called once, before `start`. */
  on(queue: string, work: (data: Record<string, string>) => Promise<void>): void;
  send(queue: string, data: Record<string, string>): Promise<void>;
}
