import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { artifactsForRuns, createArtifacts } from './artifacts/index.ts';
import { api as assigningApi } from './assigning.ts';
import { createAuth, ensureBootstrapOwner, type Actor } from './auth/index.ts';
import { api as authApi } from './auth/index.ts';
import type { Config } from './config.ts';
import { connect, disconnect, type Connection } from './db/connect.ts';
import { api as datasetsApi } from './datasets/index.ts';
import { createDemoProject } from './demo.ts';
import { migrate } from './db/migrate.ts';
import { startPostgres } from './db/supervisor.ts';
import { becomeOnlyServer } from './db/tenancy.ts';
import { createIntake } from './intake/index.ts';
import { createJobs } from './net/jobs.ts';
import { log } from './net/log.ts';
import { createMetrics } from './net/metrics.ts';
import { createRouter } from './net/router.ts';
import { api as guidelinesApi } from './guidelines.ts';
import { api as membersApi } from './members.ts';
import { api as normingApi } from './norming/index.ts';
import { api as overviewApi } from './overview.ts';
import { api as pairsApi } from './pairs/index.ts';
import { keepPriority } from './priority/index.ts';
import { createPanels } from './panels/index.ts';
import { api as projectsApi } from './projects.ts';
import { createRankings } from './rankings/index.ts';
import { createRooms } from './rooms/index.ts';
import { createRuns } from './runs/index.ts';
import type { Services } from './services.ts';
import { intoTasks } from './sink.ts';
import { api as tasksApi } from './tasks/index.ts';
import { version } from './version.ts';

/** The server as its two faces (production, development) and SvelteKit's pages see it. */
export interface App {
  config: Config;
  /** Answers everything under `/api/v1`. */
  api(request: Request): Promise<Response>;
  /** better-auth's endpoints under `/api/auth`. */
  authentication(request: Request): Promise<Response>;
  /** Who is asking, by cookie or bearer token. */
  actor(headers: Headers): Promise<Actor | null>;
  /** False until the first account exists. */
  hasAccounts(): Promise<boolean>;
  health(): Promise<{ status: 'ok' | 'degraded'; version: string; database: string }>;
  metrics(): Promise<string>;
  /** Sockets under `/yjs/`. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): Promise<void>;
}

/**
 * The composition root: every part is made here once and handed to those that need it. `onLost` is called when the
 * database connection that makes this the only server is gone; going on would risk two owners of one room.
 */
export async function createApp(config: Config, onLost: () => void): Promise<App> {
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const step of closing.splice(0).reverse())
      await step().catch((error: unknown) => log.error('closing', { error }));
  };
  try {
    return await compose(config, closing, close, onLost);
  } catch (error) {
    await close();
    throw error;
  }
}

async function compose(
  config: Config,
  closing: (() => Promise<unknown>)[],
  close: () => Promise<void>,
  onLost: () => void
): Promise<App> {
  const connection = await openDatabase(config, closing, onLost);
  const db = connect(connection);
  closing.push(() => disconnect(db));
  await migrate(db, `${config.root}/drizzle`);
  const jobs = createJobs(connection);
  // The demo project needs the intake, which needs the accounts: the hook is filled in once both are there.
  let onFirstAccount: (actor: Actor) => Promise<void> = async () => {};
  const auth = await createAuth(config, db, (actor) => onFirstAccount(actor));
  await ensureBootstrapOwner(config, db);
  const services: Services = { config, db, auth, jobs };
  const intake = createIntake(services, intoTasks);
  onFirstAccount = (actor) => createDemoProject(services, intake, actor);
  closing.push(() => intake.close());
  await jobs.start();
  closing.push(() => jobs.stop());
  const rooms = createRooms(services);
  closing.push(() => rooms.close());
  const rankings = createRankings(services, rooms);
  closing.push(async () => rankings.close());
  const panels = createPanels(services, rooms);
  const priority = keepPriority(services);
  closing.push(() => priority.close());
  const runs = createRuns(services, artifactsForRuns(services));
  await runs.ensureDemoModel();
  runs.start();
  closing.push(() => runs.close());
  const artifacts = createArtifacts(services);

  const apis = [
    ...[authApi, intake.api, tasksApi, rooms.api, rankings.api, panels.api, normingApi],
    ...[pairsApi, datasetsApi, runs.api, artifacts.api, overviewApi],
    ...[guidelinesApi, projectsApi, membersApi, assigningApi]
  ];
  return {
    config,
    api: createRouter(services, apis),
    authentication: (request) => auth.handle(request),
    actor: (headers) => auth.actor(headers),
    hasAccounts: () => auth.hasAccounts(),
    health: () => health(services),
    metrics: createMetrics(rooms.gauges),
    upgrade: rooms.upgrade,
    close
  };
}

/** Starts the embedded PostgreSQL unless a server is named, and makes this process the only one on it. */
async function openDatabase(
  config: Config,
  closing: (() => Promise<unknown>)[],
  onLost: () => void
): Promise<Connection> {
  if (config.databaseUrl) {
    const connection = { connectionString: config.databaseUrl };
    closing.push(await becomeOnlyServer(connection, config.origin, onLost));
    return connection;
  }
  const postgres = await startPostgres(config.dataDir);
  // Stopped last, and only by the server that holds it: one that was refused must leave it to the first.
  const release = await becomeOnlyServer(postgres.connection, config.origin, onLost);
  closing.push(() => postgres.stop(), release);
  return postgres.connection;
}

async function health({
  db
}: Services): Promise<{ status: 'ok' | 'degraded'; version: string; database: string }> {
  try {
    await db.$client.query('select 1');
    return { status: 'ok', version, database: 'ok' };
  } catch {
    return { status: 'degraded', version, database: 'unreachable' };
  }
}
