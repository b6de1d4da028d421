/** Message types on `/yjs/<room>`: y-websocket's own two, and ours, server to client. */
export const SYNC = 0;
export const AWARENESS = 1;
/** varUint8Array state vector of what is committed, then varUint: this connection's sync frames that have committed. */
export const SAVED = 100;
/** varUint: the Yjs client id that this page may edit under; sent first. */
export const CLIENT = 101;
/** varString: JSON of `News`; to pages in a lobby or at a table. */
export const NEWS = 102;

export const close = {
  malformed: 4400,
  notSignedIn: 4401,
  notAllowed: 4403,
  tooLarge: 4413,
  tooFast: 4529
} as const;

export type Room =
  | { kind: 'ballot'; task: string; user: string }
  | { kind: 'table'; task: string }
  | { kind: 'lobby'; project: string };

const ID = '[A-Za-z0-9_-]{1,64}';
const PATTERN = new RegExp(`^(?:ballot/(${ID})/(${ID})|table/(${ID})|lobby/(${ID}))$`);

/** Null where the name is none of the three kinds. */
export function parseRoom(name: string): Room | null {
  const found = PATTERN.exec(name);
  if (!found) return null;
  const [, task, user, table, lobby] = found;
  if (task && user) return { kind: 'ballot', task, user };
  if (table) return { kind: 'table', task: table };
  return { kind: 'lobby', project: lobby! };
}

export function roomName(room: Room): string {
  if (room.kind === 'ballot') return `ballot/${room.task}/${room.user}`;
  if (room.kind === 'table') return `table/${room.task}`;
  return `lobby/${room.project}`;
}
