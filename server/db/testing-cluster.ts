import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, disconnect } from './connect.ts';
import { migrate } from './migrate.ts';
import { startPostgres } from './supervisor.ts';

/** One throw-away PostgreSQL for a whole test run, with a migrated database that each test's own is copied from. */
export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'concord-test-'));
  await chmod(folder, 0o755);
  // Nobody asks a test's data to survive a power cut.
  const postgres = await startPostgres(folder, ['fsync=off', 'full_page_writes=off', 'max_connections=300']);
  const db = connect(postgres.connection, 2);
  await migrate(db, new URL('../../drizzle', import.meta.url).pathname);
  await disconnect(db);
  process.env.CONCORD_TEST_CLUSTER = JSON.stringify(postgres.connection);
  return async () => {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  };
}
