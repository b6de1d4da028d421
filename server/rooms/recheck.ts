import { close as codes } from '#wire/room.ts';
import { standings, type Standing } from '../auth/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import type { Services } from '../services.ts';
import { entryTo } from './access.ts';
import type { Connection } from './connection.ts';

const COME_BACK = 1012;

/**
 * Asks again and again whether those who are in may still be: whoever signed out, lost a token, a membership or a right
 * is out within a second, however that came about. One query for all of them; a room is asked about only where the role
 * has changed, or where the right hangs on more than the role.
 */
export function keepChecking(services: Services, connections: () => Iterable<Connection>): () => void {
  let running: Promise<void> | null = null;

  async function check(): Promise<void> {
    const all = [...connections()];
    if (!all.length) return;
    const asked = new Map(
      all.map((one) => [keyOf(one), { actor: one.actor, projectId: one.entry.projectId }])
    );
    const answers = await standings(services.db, [...asked.values()]);
    const standing = new Map([...asked.keys()].map((key, place) => [key, answers[place]!]));
    await Promise.all(all.map((one) => checkOne(one, standing.get(keyOf(one))!)));
  }

  async function checkOne(connection: Connection, { signedIn, role }: Standing): Promise<void> {
    const { entry, actor } = connection;
    if (!signedIn)
      return connection.close(codes.notSignedIn, 'You have signed out, or your token was revoked.');
    if (role === null)
      return connection.close(codes.notAllowed, 'You are no longer a member of this project.');
    if (role === entry.role && !hangsOnMore(connection)) return;
    const now = await entryTo(services, actor, connection.room.name);
    if (!now) connection.close(codes.notAllowed, 'This room is no longer open to you.');
    else if (now.right !== entry.right) connection.close(COME_BACK, 'Your rights have changed; come back.');
    else entry.role = now.role;
  }

  const timer = setInterval(() => {
    running ??= check()
      .catch((error: unknown) => log.error('recheck', { error }))
      .finally(() => (running = null));
  }, limits.rooms.recheck_ms);
  timer.unref();
  return () => clearInterval(timer);
}

/** Who adjudicates reads others' ballots until they judge the task themselves. */
function hangsOnMore({ entry: { name }, actor }: Connection): boolean {
  return name.kind === 'ballot' && name.user !== actor.id;
}

const keyOf = ({ actor, entry }: Connection) => `${actor.via.kind} ${actor.via.id} ${entry.projectId}`;
