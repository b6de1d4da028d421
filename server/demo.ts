import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NewProject } from '#wire/project.ts';
import { createProject, type Actor } from './auth/index.ts';
import type { Intake } from './intake/index.ts';
import { log } from './net/log.ts';
import type { Services } from './services.ts';

/**
 * Makes the project that the first account finds: `demo/project.json` with the tasks of `demo/tasks.jsonl`. An account
 * without it is still an account, so that what goes wrong here is logged and does not refuse the sign-up.
 */
export async function createDemoProject(
  { config, db }: Pick<Services, 'config' | 'db'>,
  intake: Pick<Intake, 'importFile'>,
  actor: Actor
): Promise<void> {
  const folder = join(config.root, 'demo');
  if (!existsSync(join(folder, 'project.json'))) return;
  try {
    const described = NewProject.parse(JSON.parse(await readFile(join(folder, 'project.json'), 'utf8')));
    const { id: projectId } = await createProject(db, actor, described);
    const path = join(folder, 'tasks.jsonl');
    const { rows_rejected } = await intake.importFile({
      ...{ projectId, userId: actor.id, path },
      contentType: 'application/jsonl'
    });
    if (rows_rejected) log.error('demo project', { rows_rejected });
  } catch (error) {
    log.error('demo project', { error });
  }
}
