/** Someone with this room open, once for each of their pages. */
export interface Here {
  user: string;
  name: string;
  /** The task they are on, in a lobby. */
  task: string | null;
  /** The output they hold, at a table. */
  output: string | null;
  /** The output they look at, at a table. */
  at: string | null;
}

/** The others, from the states that the server has put its word to. */
export function others(states: ReadonlyMap<number, Record<string, unknown>>, own: number): Here[] {
  return [...states].flatMap(([client, { user, task, output, at }]) => {
    const { id, name } = (user ?? {}) as { id?: string; name?: string };
    if (client === own || !id || !name) return [];
    return [{ user: id, name, task: text(task), output: text(output), at: text(at) }];
  });
}

const text = (value: unknown) => (typeof value === 'string' ? value : null);
