import type { WebSocket } from 'ws';
import { keepAlive, type Beat } from './beat.ts';
import { createConnection, type Connection, type Visit } from './connection.ts';
import type { OpenRooms } from './open.ts';
import { tooFast } from './refusal.ts';
import type { Trials } from './trials.ts';

export interface Guest extends Beat {
  connection: Connection;
}

/** Lets a socket into the room that was held open for it. `onGone` is called when the socket has closed. */
export function welcome(
  socket: WebSocket,
  visit: Visit,
  { open, trials, onGone }: { open: OpenRooms; trials: Trials; onGone(guest: Guest): void }
): Guest {
  const { room, actor } = visit;
  if (room.dead) throw tooFast('Come back in a moment.');
  if (!room.clients.has(visit.clientId)) room.presence.expect(visit.clientId, actor.id);
  const connection = createConnection(socket, visit, {
    append: open.append,
    tryElsewhere: (update) => trials.run({ state: room.stateAhead(), update })
  });
  const guest: Guest = { connection, ...keepAlive(socket, () => connection.sendSaved()) };
  room.connections.add(connection);
  socket.on('close', () => {
    guest.stop();
    room.connections.delete(connection);
    room.presence.leave(connection);
    open.leave(room);
    onGone(guest);
  });
  return guest;
}
