import type { Services } from '../services.ts';
import { createBallots } from './ballots.ts';
import { createDoor } from './door.ts';
import { leaseRoute } from './lease.ts';
import { createOpenRooms } from './open.ts';

/** The live rooms: one process owns them all (db/tenancy.ts). */
export function createRooms(services: Services) {
  const open = createOpenRooms(services);
  const door = createDoor(services, open);
  const { editBallot, foldTable } = createBallots(services, open);
  return {
    upgrade: door.upgrade,
    api: { routes: [leaseRoute(open)] },
    editBallot,
    foldTable,
    closeFor: door.closeFor,
    gauges: {
      rooms_open: { help: 'Rooms in memory.', value: open.count },
      room_sockets: { help: 'Sockets in rooms.', value: door.count },
      room_commits: { help: 'Group commits since start.', value: open.commits }
    },
    async close() {
      door.close();
      await open.close();
    }
  };
}
