import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { close as codes } from '#wire/room.ts';
import type { Actor } from '../auth/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import type { Services } from '../services.ts';
import { entryTo, type Entry } from './access.ts';
import { issueClients } from './clients.ts';
import { createConnection, type Connection } from './connection.ts';
import type { OpenRooms } from './open.ts';
import { notAllowed, Refusal, tooFast } from './refusal.ts';
import type { Room } from './room.ts';

const MESSAGE_TOO_BIG = 1009;
const INTERNAL = 1011;

interface Visit {
  actor: Actor;
  entry: Entry;
  room: Room;
  clientId: number;
}

/** ws says 1009 when a frame is over its limit; the contract says 4413. */
class RoomSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code === MESSAGE_TOO_BIG ? codes.tooLarge : code, reason);
  }
}

/** Where sockets come in: who it is, from which site, into which room. Nothing of a room is sent before all three fit. */
export function createDoor(services: Services, open: OpenRooms) {
  const sockets = new Set<Connection>();
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: limits.rooms.frame_bytes_max,
    perMessageDeflate: false,
    WebSocket: RoomSocket
  });

  async function admit(request: IncomingMessage): Promise<{ actor: Actor; entry: Entry; name: string }> {
    const headers = new Headers();
    for (const name of ['authorization', 'cookie'])
      if (request.headers[name]) headers.set(name, String(request.headers[name]));
    const actor = await services.auth.actor(headers);
    if (!actor) throw new Refusal(codes.notSignedIn, 'Sign in first.');
    // A cookie goes along with sockets that foreign pages open; a bearer header does not.
    if (!headers.has('authorization') && !isOurs(request))
      throw notAllowed('This page belongs to another site.');
    const name = nameOf(request);
    const entry = await entryTo(services, actor, name);
    if (!entry) throw notAllowed('There is no such room, or it is not open to you.');
    return { actor, entry, name };
  }

  function isOurs({ headers }: IncomingMessage): boolean {
    const { origin } = headers;
    return origin !== undefined && services.auth.origins.includes(origin);
  }

  /** Everything that takes time comes before the handshake: a page sends its first frame right after it. */
  async function prepare(request: IncomingMessage): Promise<Visit> {
    const { actor, entry, name } = await admit(request);
    const room = await open.enter(name);
    try {
      checkCrowd(room, actor);
      return { actor, entry, room, clientId: await clientFor(room, actor, entry) };
    } catch (error) {
      open.leave(room);
      throw error;
    }
  }

  /** Only ids to edit under need to be remembered. */
  async function clientFor(room: Room, actor: Actor, entry: Entry): Promise<number> {
    const [id] =
      entry.right === 'write'
        ? await issueClients(services.db, room.name, actor.id, 1)
        : [1 + Math.floor(Math.random() * (2 ** 32 - 1))];
    if (entry.right === 'write') room.clients.set(id!, actor.id);
    return id!;
  }

  function checkCrowd(room: Room, actor: Actor): void {
    const mine = [...room.connections].filter((one) => one.actor.id === actor.id).length;
    const { sockets_per_room_max, sockets_per_user_and_room_max, sockets_max } = limits.rooms;
    if (mine >= sockets_per_user_and_room_max) throw tooFast('You have this open in too many windows.');
    if (room.connections.size >= sockets_per_room_max || sockets.size >= sockets_max)
      throw tooFast('It is full here; come back later.');
  }

  function connect(socket: WebSocket, visit: Visit): void {
    const { room, actor } = visit;
    if (room.dead) throw tooFast('Come back in a moment.');
    const connection = createConnection(socket, visit, ({ seq, bytes }) =>
      open.append(room, { seq, bytes, userId: actor.id })
    );
    room.connections.add(connection);
    sockets.add(connection);
    const stopBeating = keepAlive(socket, connection);
    socket.on('close', () => {
      stopBeating();
      sockets.delete(connection);
      room.connections.delete(connection);
      room.presence.leave(connection);
      open.leave(room);
    });
  }

  async function upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): Promise<void> {
    raw.on('error', () => raw.destroy());
    const visit = await prepare(request).catch((error: unknown) =>
      error instanceof Error ? error : Error()
    );
    if (raw.destroyed) {
      if (!(visit instanceof Error)) open.leave(visit.room);
      return;
    }
    // A refusal is told through a close code: a page cannot read the status of a failed handshake.
    server.handleUpgrade(request, raw, head, (socket) => {
      socket.on('error', () => {});
      try {
        if (visit instanceof Error) throw visit;
        connect(socket, visit);
      } catch (error) {
        if (!(visit instanceof Error)) open.leave(visit.room);
        if (error instanceof Refusal) return socket.close(error.code, error.message);
        log.error('room upgrade', { error });
        socket.close(INTERNAL, 'Something went wrong here.');
      }
    });
  }

  return {
    upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void upgrade(request, socket, head),
    count: () => sockets.size,
    /** A member was removed, or a session ended: what they have open closes now. */
    closeFor(userId: string, projectId?: string) {
      for (const one of sockets)
        if (one.actor.id === userId && (projectId === undefined || one.projectId === projectId))
          one.close(codes.notAllowed, 'You are no longer a member, or have signed out.');
    },
    close() {
      server.close();
    }
  };
}

const BEAT_MS = 15_000;

/** A dead line is noticed and freed; a living page hears from us before it takes the silence for one. */
function keepAlive(socket: WebSocket, connection: Connection): () => void {
  let answered = true;
  socket.on('pong', () => (answered = true));
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
    connection.sendSaved();
  }, BEAT_MS);
  return () => clearInterval(timer);
}

function nameOf(request: IncomingMessage): string {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  try {
    return decodeURIComponent(path.slice('/yjs/'.length));
  } catch {
    return '';
  }
}
