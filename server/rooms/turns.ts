/** What waits for the log, room by room. */
export interface Turns<Entry> {
  readonly count: number;
  add(entry: Entry): void;
  /** Entries of the rooms that have waited longest, no more than `most`: of all rooms, or of half of them. */
  take(share: 'all' | 'half', most: number): Entry[];
  /** Takes out what these rooms have here. */
  drop(rooms: Iterable<string>): Entry[];
}

export function createTurns<Entry extends { room: string }>(): Turns<Entry> {
  /** The room that has waited longest first. */
  const waiting = new Map<string, Entry[]>();
  let count = 0;

  function takeFrom(room: string, most: number): Entry[] {
    const entries = waiting.get(room) ?? [];
    const taken = entries.splice(0, most);
    if (!entries.length) waiting.delete(room);
    count -= taken.length;
    return taken;
  }

  return {
    get count() {
      return count;
    },
    add(entry) {
      const entries = waiting.get(entry.room);
      if (entries) entries.push(entry);
      else waiting.set(entry.room, [entry]);
      count++;
    },
    take(share, most) {
      const rooms = [...waiting.keys()];
      const taken: Entry[] = [];
      for (const room of share === 'all' ? rooms : rooms.slice(0, Math.ceil(rooms.length / 2)))
        taken.push(...takeFrom(room, most - taken.length));
      return taken;
    },
    drop: (rooms) => [...rooms].flatMap((room) => takeFrom(room, Infinity))
  };
}
