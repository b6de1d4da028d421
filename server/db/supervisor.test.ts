import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, disconnect } from './connect.ts';
import { migrate } from './migrate.ts';
import { startPostgres } from './supervisor.ts';
import { AlreadyRunningError, becomeOnlyServer } from './tenancy.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concord-supervisor-'));
  await chmod(folder, 0o755);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const drizzleFolder = new URL('../../drizzle', import.meta.url).pathname;

test('starts, keeps what was committed over a kill -9 of itself, and is taken over by the next start', async () => {
  const first = await startPostgres(folder);
  const db = connect(first.connection, 2);
  await migrate(db, drizzleFolder);
  await db.$client.query('create table kept (n int)');
  await db.$client.query('insert into kept values (7)');

  const again = await startPostgres(folder);
  expect(again.pid).toBe(first.pid);

  await disconnect(db);
  process.kill(first.pid, 'SIGKILL');
  const second = await startPostgres(folder);
  expect(second.pid).not.toBe(first.pid);
  const reopened = connect(second.connection, 2);
  expect((await reopened.$client.query('select n from kept')).rows).toEqual([{ n: 7 }]);
  expect(await migrate(reopened, drizzleFolder)).toBe(0);
  await disconnect(reopened);
  await second.stop();
});

test('a second server on the same folder is refused and told who the first is', async () => {
  const postgres = await startPostgres(folder);
  const release = await becomeOnlyServer(postgres.connection, 'http://127.0.0.1:4000', () => {});
  const refused = becomeOnlyServer(postgres.connection, 'http://127.0.0.1:4001', () => {});
  await expect(refused).rejects.toThrow(AlreadyRunningError);
  await expect(refused).rejects.toThrow(`process ${process.pid}, http://127.0.0.1:4000`);
  await release();
  const next = await becomeOnlyServer(postgres.connection, 'http://127.0.0.1:4001', () => {});
  await next();
  await postgres.stop();
});

test('a holder that is killed frees the folder at once', async () => {
  const postgres = await startPostgres(folder);
  const script = `
    import { becomeOnlyServer } from ${JSON.stringify(new URL('./tenancy.ts', import.meta.url).href)};
    await becomeOnlyServer(${JSON.stringify(postgres.connection)}, 'http://a', () => {});
    console.log('held');
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit']
  });
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  await expect(becomeOnlyServer(postgres.connection, 'http://b', () => {})).rejects.toThrow(
    `process ${holder.pid}`
  );
  holder.kill('SIGKILL');
  await new Promise((resolve) => holder.once('exit', resolve));
  await expect
    .poll(() =>
      becomeOnlyServer(postgres.connection, 'http://b', () => {})
        .then((release) => release())
        .then(() => true)
        .catch(() => false)
    )
    .toBe(true);
  await postgres.stop();
});

test('a migration that was changed after it ran is refused by name', async () => {
  const postgres = await startPostgres(folder);
  const db = connect(postgres.connection, 2);
  await migrate(db, drizzleFolder);
  await db.$client.query("update migration set hash = 'other' where name like '0000%'");
  await expect(migrate(db, drizzleFolder)).rejects.toThrow(/Migration 0000_init was changed/);
  await db.$client.query(
    "delete from migration; insert into migration (name, hash) values ('9999_future', 'x')"
  );
  await expect(migrate(db, drizzleFolder)).rejects.toThrow(
    /9999_future, which this version of Concord does not know/
  );
  await disconnect(db);
  await postgres.stop();
});
