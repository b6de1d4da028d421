import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, link, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { launcher, nativeFolder, PostgresError, type Launcher } from './binaries.ts';
import type { Connection } from './connect.ts';
import { ifFull } from './disk.ts';

export interface EmbeddedPostgres {
  connection: Connection;
  pid: number;
  /** Ends PostgreSQL cleanly; waits until it is gone. */
  stop(): Promise<void>;
}

interface Place {
  data: string;
  socket: string;
  log: string;
  passwordFile: string;
  native: string;
  launcher: Launcher;
  settings: string[];
}

const SOCKET_PATH_BYTES_MAX = 107;
const START_TIMEOUT_MS = 60_000;

/**
 * Runs PostgreSQL in `<folder>/postgres`, reachable only through a Unix socket. A server that survived the death of the
 * process that started it is taken over after a check that it serves this very folder; whatever else may listen
 * somewhere is never used.
 */
export async function startPostgres(folder: string, settings: string[] = []): Promise<EmbeddedPostgres> {
  const place = await prepare(folder, settings);
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const running = await adopt(place);
    if (running) return handle(place, running);
    const child = await launch(place);
    const pid = await ready(place, child, deadline);
    if (pid) return handle(place, pid);
    if (Date.now() > deadline)
      throw new PostgresError(
        `PostgreSQL did not start; its messages are in ${place.log}.${ifFull(place.data)}`
      );
    // Another one holds the folder: it is dying or just starting. Look again.
    await sleep(100);
  }
}

async function prepare(folder: string, settings: string[]): Promise<Place> {
  const native = nativeFolder();
  const data = join(folder, 'postgres');
  await mkdir(folder, { recursive: true });
  const place: Place = {
    data,
    socket: await socketFolder(folder),
    log: join(folder, 'postgres.log'),
    passwordFile: join(folder, 'postgres-password'),
    native,
    launcher: launcher([join(native, 'bin', 'postgres'), folder]),
    settings
  };
  if (!(await exists(join(data, 'PG_VERSION')))) await initialise(place);
  return place;
}

async function socketFolder(folder: string): Promise<string> {
  const beside = join(folder, 'socket');
  const fits = Buffer.byteLength(join(beside, '.s.PGSQL.5432')) <= SOCKET_PATH_BYTES_MAX;
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  const path = fits ? beside : join(tmpdir(), `concord-${name}`);
  await mkdir(path, { recursive: true, mode: 0o700 });
  return path;
}

/**
 * Makes the cluster beside its final place and renames it, so that a half-made one is never taken for a whole one. Of
 * two that start at once on a new folder each makes one; the first to be named is the one that both use.
 */
async function initialise(place: Place): Promise<void> {
  await removeHalfMade(place);
  const fresh = `${place.data}.new-${process.pid}`;
  await mkdir(fresh, { mode: 0o700 });
  const password = await settlePassword(place);
  const handed = `${fresh}.password`;
  await writeFile(handed, password, { mode: 0o600 });
  await give(place, fresh, handed, place.socket);
  const args = ['-D', fresh, '-U', 'concord', '--encoding=UTF8', '--locale=C', '--data-checksums'];
  await finish(place, join(place.native, 'bin', 'initdb'), [
    ...args,
    '--auth=scram-sha-256',
    `--pwfile=${handed}`
  ]);
  await rm(handed, { force: true });
  try {
    await rename(fresh, place.data);
  } catch (error) {
    if (!(await exists(join(place.data, 'PG_VERSION')))) throw error;
    await rm(fresh, { recursive: true });
  }
}

/** What a process that was killed has left. */
async function removeHalfMade({ data }: Place): Promise<void> {
  const half = /^\.new-(\d+)(\.password)?$/;
  for (const name of await readdir(dirname(data))) {
    const pid = name.startsWith(basename(data)) && half.exec(name.slice(basename(data).length))?.[1];
    if (pid && (Number(pid) === process.pid || !alive(Number(pid))))
      await rm(join(dirname(data), name), { recursive: true });
  }
}

/** One password for all that start on a folder: a link comes whole or not at all, and never in place of another. */
async function settlePassword({ passwordFile }: Place): Promise<string> {
  const mine = `${passwordFile}.${process.pid}`;
  await writeFile(mine, randomBytes(24).toString('base64url'), { mode: 0o600 });
  await link(mine, passwordFile).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(mine);
  return readFile(passwordFile, 'utf8');
}

async function give(place: Place, ...paths: string[]): Promise<void> {
  const { uid } = place.launcher;
  if (uid === null) return;
  for (const path of paths) await chown(path, uid, uid);
}

async function finish(place: Place, program: string, args: string[]): Promise<void> {
  const [command, wrapped] = place.launcher.wrap(program, args);
  const child = spawn(command, wrapped, { ...place.launcher.options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0)
    throw new PostgresError(
      `The database could not be made: ${output.trim().split('\n').at(-1)}.${ifFull(place.socket)}`
    );
}

async function launch(place: Place): Promise<ChildProcess> {
  await chmod(place.socket, 0o700);
  await give(place, place.socket);
  const settings = [
    'listen_addresses=',
    `unix_socket_directories=${place.socket}`,
    'unix_socket_permissions=0700'
  ];
  const tuning = ['max_connections=100', 'shared_buffers=64MB', ...place.settings];
  const args = ['-D', place.data, ...[...settings, ...tuning].flatMap((setting) => ['-c', setting])];
  const [command, wrapped] = place.launcher.wrap(join(place.native, 'bin', 'postgres'), args);
  const log = await open(place.log, 'a', 0o600);
  // Detached: Ctrl-C reaches our process only, which then stops PostgreSQL after its own last write.
  const child = spawn(command, wrapped, {
    ...place.launcher.options,
    detached: true,
    stdio: ['ignore', log.fd, log.fd]
  });
  child.on('error', () => {});
  child.unref();
  await log.close();
  return child;
}

/** The pid once the server answers; null when it gave up because another one holds the folder. */
async function ready(place: Place, child: ChildProcess, deadline: number): Promise<number | null> {
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) {
      if (await exists(join(place.data, 'postmaster.pid'))) return null;
      throw new PostgresError(
        `PostgreSQL ended while starting; its messages are in ${place.log}.${ifFull(place.data)}`
      );
    }
    if (await serves(place)) return child.pid!;
    await sleep(50);
  }
  return null;
}

async function adopt(place: Place): Promise<number | null> {
  const pid = await postmasterPid(place);
  if (pid === null || !alive(pid)) return null;
  return (await serves(place)) ? pid : null;
}

async function postmasterPid(place: Place): Promise<number | null> {
  try {
    const pid = Number((await readFile(join(place.data, 'postmaster.pid'), 'utf8')).split('\n')[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

/** True when the server behind our socket answers and says that its data folder is ours. */
async function serves(place: Place): Promise<boolean> {
  const client = new pg.Client({
    ...(await connectionOf(place)),
    database: 'postgres',
    connectionTimeoutMillis: 2_000
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ data_directory: string }>('show data_directory');
    return rows[0]?.data_directory === place.data;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function connectionOf(place: Place): Promise<Connection> {
  const password = await readFile(place.passwordFile, 'utf8');
  return { host: place.socket, user: 'concord', password, database: 'concord' };
}

async function handle(place: Place, pid: number): Promise<EmbeddedPostgres> {
  const connection = await connectionOf(place);
  await ensureDatabase(connection);
  return { connection, pid, stop: () => stop(pid) };
}

async function ensureDatabase(connection: Connection): Promise<void> {
  const client = new pg.Client({ ...connection, database: 'postgres' });
  await client.connect();
  try {
    const { rowCount } = await client.query("select 1 from pg_database where datname = 'concord'");
    if (!rowCount) await client.query('create database concord');
  } catch (error) {
    // Two servers at once: the other made it.
    if ((error as { code?: string }).code !== '42P04' && (error as { code?: string }).code !== '23505')
      throw error;
  } finally {
    await client.end();
  }
}

async function stop(pid: number): Promise<void> {
  // SIGINT is PostgreSQL's "fast shutdown": open transactions are rolled back, everything is flushed.
  if (alive(pid)) process.kill(pid, 'SIGINT');
  for (let i = 0; i < 300 && alive(pid); i++) await sleep(50);
  if (alive(pid)) process.kill(pid, 'SIGQUIT');
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await readFile(path);
    return true;
  } catch {
    return false;
  }
}
