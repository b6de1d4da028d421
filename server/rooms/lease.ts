import { z } from 'zod';
import { LeaseClients, LeasedClients } from '#wire/client.ts';
import { Fault } from '../net/fault.ts';
import { json, type Route } from '../net/route.ts';
import { entryTo } from './access.ts';
import type { OpenRooms } from './open.ts';
import type { RoomStore } from './store.ts';

/** For work without a connection: ids under which edits may be delivered later. */
export const leaseRoute = (store: RoomStore, open: OpenRooms): Route => ({
  method: 'POST',
  path: '/rooms/clients',
  summary: "Yjs client ids for the caller's edits in a room, for work without a connection",
  access: { who: 'by_body', action: 'task.judge' },
  body: LeaseClients,
  answers: { 200: LeasedClients },
  async handle({ services, actor, body }) {
    const { room, count } = body as z.infer<typeof LeaseClients>;
    const entry = await entryTo(services, actor, room);
    if (entry?.right !== 'write')
      throw new Fault(403, 'not_allowed', 'You may not edit in this room, or there is no such room.');
    const ids = await store.issue(room, actor.id, count);
    const found = open.find(room);
    for (const id of ids) found?.clients.set(id, actor.id);
    return json(200, { ids });
  }
});
