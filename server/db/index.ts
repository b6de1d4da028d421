import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import type pg from 'pg';

/** One pool for the process; `db.$client` is the pg pool for hand-written SQL (group commit, streaming). */
export type Database = NodePgDatabase & { $client: pg.Pool };
/** A transaction, or the database itself: what functions that only need to query take. */
export type Queryable = Pick<
  NodePgDatabase,
  | 'select'
  | 'insert'
  | 'update'
  | 'delete'
  | 'execute'
  | 'transaction'
  | 'selectDistinct'
  | 'selectDistinctOn'
  | '$count'
>;

export { newId } from './id.ts';
