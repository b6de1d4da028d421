import type { News } from '#wire/news.ts';
import { roomName, type Room as RoomName } from '#wire/room.ts';
import type { Services } from '../services.ts';
import { createBallots } from './ballots.ts';
import { createDoor } from './door.ts';
import { newsFrame } from './frames.ts';
import { leaseRoute } from './lease.ts';
import { createOpenRooms } from './open.ts';
import { postgresStore } from './store.ts';

/** The live rooms: one process owns them all (db/tenancy.ts). */
export function createRooms(services: Services) {
  const store = postgresStore(services);
  const open = createOpenRooms(store);
  const door = createDoor(services, store, open);
  const { editBallot, foldTable } = createBallots(store, open);
  return {
    upgrade: door.upgrade,
    api: { routes: [leaseRoute(store, open)] },
    editBallot,
    foldTable,
    /** Tells the pages that have this room open, or of those the ones of these people; nobody else hears of it. */
    tell(room: RoomName, news: News, people?: ReadonlySet<string>) {
      const frame = newsFrame(news);
      for (const connection of open.find(roomName(room))?.connections ?? [])
        if (!people || people.has(connection.actor.id)) connection.send(frame);
    },
    gauges: {
      rooms_open: { help: 'Rooms in memory.', value: open.count },
      room_sockets: { help: 'Sockets in rooms.', value: door.count },
      room_commits: { help: 'Group commits since start.', value: open.commits }
    },
    async close() {
      await door.close();
      await open.close();
    }
  };
}
