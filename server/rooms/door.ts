import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { close as codes } from '#wire/room.ts';
import type { Actor } from '../auth/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import type { Services } from '../services.ts';
import { entryTo, type Entry } from './access.ts';
import type { Visit } from './connection.ts';
import { createCrowd, type Seat } from './crowd.ts';
import type { OpenRooms } from './open.ts';
import { keepChecking } from './recheck.ts';
import { notAllowed, Refusal } from './refusal.ts';
import type { Room } from './room.ts';
import type { RoomStore } from './store.ts';
import { createTrials } from './trials.ts';
import { welcome, type Guest } from './welcome.ts';

const MESSAGE_TOO_BIG = 1009;
const INTERNAL = 1011;

/** ws says 1009 when a frame is over its limit; the contract says 4413. */
class RoomSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code === MESSAGE_TOO_BIG ? codes.tooLarge : code, reason);
  }
}

/** Where sockets come in: who it is, from which site, into which room. Nothing of a room is sent before all three fit. */
export function createDoor(services: Services, store: RoomStore, open: OpenRooms) {
  const guests = new Set<Guest>();
  const crowd = createCrowd();
  const trials = createTrials();
  const handshake = { noServer: true, perMessageDeflate: false, WebSocket: RoomSocket };
  const server = new WebSocketServer({ ...handshake, maxPayload: limits.rooms.frame_bytes_max });
  const closeTimeout = limits.rooms.stranger_seconds_max * 1_000;
  const strangers = new WebSocketServer({
    ...{ ...handshake, closeTimeout },
    maxPayload: limits.rooms.stranger_frame_bytes_max
  });
  const stopChecking = keepChecking(services, () => [...guests].map(({ connection }) => connection));

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
  async function prepare(request: IncomingMessage): Promise<Visit & { seat: Seat }> {
    const { actor, entry, name } = await admit(request);
    const seat = await seatIn(name, actor.id);
    let room: Room | null = null;
    try {
      room = await open.enter(name);
      const clientId = await clientFor(room, actor, entry);
      return { actor, entry, room, clientId, work: seat.work, seat };
    } catch (error) {
      if (room) open.leave(room);
      seat.leave();
      throw error;
    }
  }

  /** A page whose line was cut comes back before its old socket is noticed to be dead: that one makes room. */
  async function seatIn(room: string, userId: string): Promise<Seat> {
    const why = crowd.full(room, userId);
    if (why === 'mine' || why === 'room') {
      const here = [...guests].filter(({ connection }) => connection.room.name === room);
      const asked = why === 'mine' ? here.filter(({ connection }) => connection.actor.id === userId) : here;
      await Promise.all(asked.map((guest) => guest.probe()));
    }
    return crowd.take(room, userId);
  }

  /** Only ids to edit under need to be remembered. */
  async function clientFor(room: Room, actor: Actor, entry: Entry): Promise<number> {
    if (entry.right !== 'write') return 1 + Math.floor(Math.random() * (2 ** 32 - 1));
    const [id] = await store.issue(room.name, actor.id, 1);
    room.clients.set(id!, actor.id);
    return id!;
  }

  async function upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): Promise<void> {
    raw.on('error', () => raw.destroy());
    const visit = await prepare(request).catch((error: unknown) =>
      error instanceof Error ? error : Error()
    );
    if (visit instanceof Error)
      return strangers.handleUpgrade(request, raw, head, (socket) => turnAway(socket, visit));
    const { room, seat } = visit;
    let settled = false;
    const giveUp = () => {
      if (settled) return;
      settled = true;
      open.leave(room);
      seat.leave();
    };
    // ws calls nobody where the handshake is wrong or the line is gone.
    if (raw.destroyed) return giveUp();
    raw.once('close', giveUp);
    server.handleUpgrade(request, raw, head, (socket) => {
      socket.on('error', () => {});
      try {
        guests.add(welcome(socket, visit, { open, trials, onGone: (guest) => leave(guest, seat) }));
        settled = true;
      } catch (error) {
        giveUp();
        turnAway(socket, error);
      }
    });
  }

  function leave(guest: Guest, seat: Seat): void {
    guests.delete(guest);
    seat.leave();
  }

  return {
    upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void upgrade(request, socket, head),
    count: () => guests.size,
    async close() {
      stopChecking();
      server.close();
      strangers.close();
      await trials.close();
    }
  };
}

/** A refusal is told through a close code: a page cannot read the status of a failed handshake. */
function turnAway(socket: WebSocket, error: unknown): void {
  socket.on('error', () => {});
  if (error instanceof Refusal) return socket.close(error.code, error.message);
  log.error('room upgrade', { error });
  socket.close(INTERNAL, 'Something went wrong here.');
}

function nameOf(request: IncomingMessage): string {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  try {
    return decodeURIComponent(path.slice('/yjs/'.length));
  } catch {
    return '';
  }
}
