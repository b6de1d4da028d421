import type { RoomApi } from '../net/route.ts';
import type { Services } from '../services.ts';
import type { Artifacts } from './end.ts';
import { ensureDemoModel, modelRoutes } from './models.ts';
import { createNews } from './news.ts';
import { findRun } from './rows.ts';
import { runRoutes } from './routes.ts';
import { Runner } from './runner.ts';
import { Scoring } from './scoring.ts';

export type { Artifacts, NewAdapter } from './end.ts';
export { DEMO, hashFolder, modelFolder, readText } from './model-folder.ts';
export { findModel, type ModelRow } from './models.ts';
export { adapterIdOf, findRun, runFolder } from './rows.ts';
export { scoredBy } from './scoring.ts';

export interface Runs {
  api: RoomApi;
  /** Finds trainers that an earlier server left, and goes on with the queue. */
  start(): void;
  ensureDemoModel(): Promise<void>;
  /** Stops following; a living trainer goes on and the next server finds it. */
  close(): Promise<void>;
}

export function createRuns(services: Services, artifacts: Artifacts): Runs {
  const news = createNews();
  const scoring = new Scoring(services, artifacts.findAdapter);
  const runner = new Runner(services, artifacts, news, scoring);
  return {
    api: {
      routes: [...modelRoutes, ...runRoutes(runner, news, artifacts.findAdapter)],
      locate: { run: async ({ db }, id) => (await findRun(db, id))?.projectId ?? null }
    },
    start: () => runner.start(),
    ensureDemoModel: () => ensureDemoModel(services),
    async close() {
      news.close();
      await runner.close();
    }
  };
}
