import type { Auth } from './auth/index.ts';
import type { Config } from './config.ts';
import type { Database } from './db/index.ts';
import type { Jobs } from './net/jobs.ts';

/** What every room is handed once, by the composition root; nothing here is a global. */
export interface Services {
  config: Config;
  db: Database;
  auth: Auth;
  jobs: Jobs;
}
