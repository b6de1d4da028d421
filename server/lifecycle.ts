import type { Server } from 'node:http';
import type { App } from './app.ts';
import { ConfigError, type Config } from './config.ts';
import { PostgresError } from './db/binaries.ts';
import { ifFull } from './db/disk.ts';
import { MigrationError } from './db/migrate.ts';
import { AlreadyRunningError } from './db/tenancy.ts';

const EXPECTED = [ConfigError, PostgresError, MigrationError, AlreadyRunningError];

/** One sentence for what a person can mend, the whole story for what only we can. */
export function explain(error: unknown): never {
  const known = EXPECTED.some((kind) => error instanceof kind);
  console.error(known ? `\n${(error as Error).message}\n` : error);
  process.exit(1);
}

type Serve = (server: Server, app: App, alsoClose?: () => Promise<void>) => void;

/**
 * On SIGTERM or Ctrl-C: no new requests, rooms and jobs finish what they hold, the database last. Called before anything
 * is started: what comes during the start takes effect at its end, or the database would stay behind; twice, at once.
 */
export function closeOnSignal(): Serve {
  let signals = 0;
  let close: (() => Promise<void>) | null = null;
  const onSignal = () => {
    signals++;
    if (!close && signals > 1) process.exit(1);
    if (signals === 1) void close?.();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return (server, app, alsoClose = async () => {}) => {
    close = async () => {
      server.close();
      server.closeAllConnections();
      await alsoClose();
      await app.close();
      process.exit(0);
    };
    if (signals) void close();
  };
}

/** Without its lock this process is no longer sure to be the only one: it stops at once and says so. */
export function lostDatabase({ dataDir }: Config): void {
  console.error(
    `\nThe database connection was lost; stopping, so that nothing is shown as saved that is not.${ifFull(dataDir)} Start again.\n`
  );
  process.exit(1);
}
