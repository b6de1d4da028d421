import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import type { Database } from './index.ts';

export class MigrationError extends Error {}

interface Migration {
  name: string;
  hash: string;
  statements: string[];
}

const LOCK = 0x636f6e63;

/**
 * Brings the database to the newest schema: each migration in a transaction of its own, all under one advisory lock, so
 * that two servers that start at once do it once. Drizzle's own migrator takes no lock and never checks the hashes it
 * stores; a file that was changed after it ran would go unnoticed.
 */
export async function migrate(db: Database, folder: string): Promise<number> {
  const migrations = await readMigrations(folder);
  const client = await db.$client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await client.query(
      'create table if not exists migration (name text primary key, hash text not null, applied_at timestamptz not null default now())'
    );
    const { rows } = await client.query<{ name: string; hash: string }>('select name, hash from migration');
    const applied = new Map(rows.map((row) => [row.name, row.hash]));
    checkApplied(applied, migrations);
    const missing = migrations.filter((migration) => !applied.has(migration.name));
    for (const migration of missing) await apply(client, migration);
    return missing.length;
  } finally {
    await client.query('select pg_advisory_unlock($1)', [LOCK]);
    client.release();
  }
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const journal = JSON.parse(await readFile(join(folder, 'meta', '_journal.json'), 'utf8')) as {
    entries: { tag: string }[];
  };
  return Promise.all(
    journal.entries.map(async ({ tag }) => {
      const sql = await readFile(join(folder, `${tag}.sql`), 'utf8');
      return {
        name: tag,
        hash: createHash('sha256').update(sql).digest('hex'),
        statements: sql.split('--> statement-breakpoint')
      };
    })
  );
}

function checkApplied(applied: Map<string, string>, migrations: Migration[]): void {
  const known = new Map(migrations.map((migration) => [migration.name, migration.hash]));
  for (const [name, hash] of applied) {
    if (!known.has(name))
      throw new MigrationError(
        `The database has migration ${name}, which this version of Concord does not know: it was used with a newer version. Start that version, or restore a backup.`
      );
    if (known.get(name) !== hash)
      throw new MigrationError(
        `Migration ${name} was changed after it had been applied to this database. Restore the file drizzle/${name}.sql as it was, and add a new migration instead.`
      );
  }
}

async function apply(client: pg.PoolClient, migration: Migration): Promise<void> {
  await client.query('begin');
  try {
    for (const statement of migration.statements) await client.query(statement);
    await client.query('insert into migration (name, hash) values ($1, $2)', [
      migration.name,
      migration.hash
    ]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw new MigrationError(
      `Migration ${migration.name} failed and was undone: ${(error as Error).message}`
    );
  }
}
