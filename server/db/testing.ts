import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { connect, disconnect, type Connection } from './connect.ts';
import type { Database } from './index.ts';

export interface TestDatabase {
  db: Database;
  connection: Connection;
  close(): Promise<void>;
}

/** A fresh, migrated PostgreSQL database of its own for one test file. */
export async function testDatabase(): Promise<TestDatabase> {
  const cluster = JSON.parse(process.env.CONCORD_TEST_CLUSTER ?? 'null') as Connection | null;
  if (!cluster) throw new Error('The test cluster is not running; run the tests through vitest.');
  const database = `test_${randomBytes(8).toString('hex')}`;
  await administer(cluster, `create database ${database} template concord`);
  const connection = { ...cluster, database };
  const db = connect(connection, 12);
  return {
    db,
    connection,
    async close() {
      await disconnect(db);
      await administer(cluster, `drop database ${database} with (force)`);
    }
  };
}

async function administer(cluster: Connection, sql: string): Promise<void> {
  const client = new pg.Client({ ...cluster, database: 'postgres' });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
