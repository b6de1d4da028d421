import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';
import type { Database } from './index.ts';

export interface Connection {
  /** `postgres://…` of a server; or the embedded one's socket. */
  connectionString?: string;
  host?: string;
  user?: string;
  password?: string;
  database?: string;
}

// Counts and sums come as bigint text; ours stay far below 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

export function connect(connection: Connection, poolSize = 16): Database {
  const pool = new pg.Pool({
    ...connection,
    max: poolSize,
    application_name: 'concord',
    idleTimeoutMillis: 60_000
  });
  // An idle connection that the server closed is replaced by the next query; without a listener it would end the process.
  pool.on('error', () => {});
  return drizzle(pool);
}

export async function disconnect(db: Database): Promise<void> {
  await db.$client.end();
}
