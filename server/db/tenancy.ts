import pg from 'pg';
import type { Connection } from './connect.ts';

export class AlreadyRunningError extends Error {}

const LOCK = 0x636f6e64;

/**
 * Makes this process the only server on its database: rooms live in one process's memory. The lock is PostgreSQL's own
 * and hangs on an open connection, so that it is free the moment its holder dies, and never before; a heartbeat would
 * rob a holder that is merely slow.
 */
export async function becomeOnlyServer(
  connection: Connection,
  address: string,
  onLost: () => void
): Promise<() => Promise<void>> {
  const client = new pg.Client({
    ...connection,
    application_name: `concord ${process.pid} ${address}`.slice(0, 63)
  });
  await client.connect();
  const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [LOCK]);
  if (!rows[0]?.taken) {
    const holder = await findHolder(client);
    await client.end();
    throw new AlreadyRunningError(
      `Concord is already running on this data${holder}. Open that one, stop it, or choose another folder with CONCORD_DATA_DIR.`
    );
  }
  let released = false;
  client.on('error', () => {});
  client.on('end', () => {
    if (!released) onLost();
  });
  return async () => {
    released = true;
    await client.end();
  };
}

async function findHolder(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ application_name: string }>(
    `select a.application_name from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.objid = $1 and l.granted`,
    [LOCK]
  );
  const [, pid, address] = rows[0]?.application_name.split(' ') ?? [];
  return pid ? ` (process ${pid}, ${address})` : '';
}
