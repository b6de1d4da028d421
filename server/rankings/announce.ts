import type { News } from '#wire/news.ts';
import type { Room } from '#wire/room.ts';
import type { Call } from '../net/route.ts';
import { findTask, peopleAtTable } from '../tasks/index.ts';
import type { RankingRow } from './versions.ts';

/** What this room needs of the live rooms to tell pages that something has changed. */
export type Tell = (room: Room, news: News, people?: ReadonlySet<string>) => void;

type About = Pick<Call, 'services' | 'project'>;

/** Tells those at the task's table that its rankings have changed. */
export const announceRankings = (tell: Tell, task: string) =>
  tell({ kind: 'table', task }, { kind: 'rankings' });

/** Tells those who may sit at it that the table of a task has just opened, and nobody else. */
export async function announceReveal(
  tell: Tell,
  { services, project }: About,
  taskId: string
): Promise<void> {
  const task = (await findTask(services.db, taskId))!;
  const people = await peopleAtTable(services.db, task, project.mode);
  tell(
    { kind: 'lobby', project: project.id },
    { kind: 'revealed', task: task.id, number: task.number },
    new Set(people.map(({ id }) => id))
  );
}

/** After a submission has committed: what the pages of others are told, which in a blind project is nothing before the reveal. */
export async function announceSubmission(tell: Tell, about: About, row: RankingRow): Promise<void> {
  announceRankings(tell, row.taskId);
  if (row.afterReveal) return;
  const task = await findTask(about.services.db, row.taskId);
  if (task?.revealedAt) await announceReveal(tell, about, row.taskId);
}
