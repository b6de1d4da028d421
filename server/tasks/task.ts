import { and, asc, eq, inArray, sql } from 'drizzle-orm';
import { canonicalJson } from '#domain/canonical.ts';
import type { ImportedVote } from '#domain/imported.ts';
import type { Message, TaskStatus } from '#wire/task.ts';
import { project } from '../auth/tables.ts';
import { newId, type Queryable } from '../db/index.ts';
import { sha256 } from './hash.ts';
import { holdOverlap } from './overlap.ts';
import { lease, output, task, taskMargin, taskUncertainty } from './tables.ts';
import { count } from './tally.ts';

export interface TaskOutput {
  id: string;
  position: number;
  text: string;
  source: string | null;
}

export interface TaskRecord {
  id: string;
  projectId: string;
  number: number;
  status: TaskStatus;
  prompt: Message[];
  promptHash: string;
  raters: number;
  /** Rankings by different people that reveal it, or revealed it: its own, else the project's. */
  overlap: number;
  /** For certain people alone. */
  assigned: boolean;
  outputs: TaskOutput[];
  revealedAt: Date | null;
}

export interface NewTask {
  projectId: string;
  prompt: Message[];
  outputs: { text: string; source?: string | null }[];
  /** As `specialtyOf` makes it. */
  specialty?: string | null;
  metadata?: Record<string, unknown> | null;
  importId?: string | null;
  line?: number | null;
  /** Default: that of the content without votes. */
  contentHash?: string;
}

export interface AddedTask {
  id: string;
  number: number;
  /** In the order given. */
  outputIds: string[];
}

export const promptHashOf = (prompt: Message[]) => sha256(canonicalJson(prompt));

/** Equal for rows that say the same: prompt, outputs with their sources, and votes. */
export function contentHashOf(
  content: Pick<NewTask, 'prompt' | 'outputs'> & { votes?: ImportedVote[] }
): string {
  const outputs = content.outputs.map(({ text, source }) => ({ text, source: source ?? null }));
  return sha256(canonicalJson({ prompt: content.prompt, outputs, votes: content.votes ?? [] }));
}

export async function findTask(db: Queryable, id: string): Promise<TaskRecord | null> {
  return (await findTasks(db, [id]))[0] ?? null;
}

/** The tasks that exist among these, by number. */
export async function findTasks(db: Queryable, ids: string[]): Promise<TaskRecord[]> {
  if (!ids.length) return [];
  const found = await db
    .select({ task, projectOverlap: project.overlap })
    .from(task)
    .innerJoin(project, eq(project.id, task.projectId))
    .where(inArray(task.id, ids))
    .orderBy(asc(task.number));
  const outputs = await db
    .select()
    .from(output)
    .where(inArray(output.taskId, ids))
    .orderBy(asc(output.position));
  const byTask = Map.groupBy(outputs, ({ taskId }) => taskId);
  return found.map(({ task, projectOverlap }) => {
    const { id, projectId, number, status, prompt, promptHash, raters, assigned, revealedAt } = task;
    return {
      ...{ id, projectId, number, status, prompt, promptHash, raters, assigned, revealedAt },
      overlap: task.overlap ?? projectOverlap,
      outputs: (byTask.get(id) ?? []).map(({ id, position, text, source }) => ({
        id,
        position,
        text,
        source
      }))
    };
  });
}

export async function addTask(tx: Queryable, given: NewTask): Promise<AddedTask> {
  return (await addTasks(tx, given.projectId, [given]))[0]!;
}

/** Numbers follow the project's last without gap; writers of one project wait for each other until commit. */
export async function addTasks(tx: Queryable, projectId: string, given: NewTask[]): Promise<AddedTask[]> {
  if (!given.length) return [];
  await holdOverlap(tx, projectId);
  await tx.execute(sql`select pg_advisory_xact_lock(hashtext(${'task_number/' + projectId}))`);
  const last = await tx.execute<{ last: number }>(
    sql`select coalesce(max(number), 0)::int as last from task where project_id = ${projectId}`
  );
  const first = last.rows[0]!.last + 1;
  const tasks = given.map((one, i) => ({
    id: newId('task'),
    number: first + i,
    prompt: one.prompt,
    prompt_hash: promptHashOf(one.prompt),
    content_hash: one.contentHash ?? contentHashOf(one),
    specialty: one.specialty ?? null,
    metadata: one.metadata ?? null,
    import_id: one.importId ?? null,
    line: one.line ?? null
  }));
  const outputs = tasks.map(({ id }, i) =>
    given[i]!.outputs.map(({ text, source }, position) => ({
      ...{ id: newId('output'), task_id: id, position, text },
      source: source ?? null
    }))
  );
  // One parameter for all rows: a parameter per cell is three times slower, and PostgreSQL takes 65,535 of them.
  await tx.execute(sql`insert into task
      (id, project_id, number, prompt, prompt_hash, content_hash, specialty, metadata, status, import_id, line)
    select id, ${projectId}, number, prompt, prompt_hash, content_hash, specialty, metadata, 'open', import_id, line
    from json_to_recordset(${JSON.stringify(tasks)}::json) as r(id text, number int, prompt jsonb,
      prompt_hash text, content_hash text, specialty text, metadata jsonb, import_id text, line int)`);
  await tx.execute(sql`insert into output (id, task_id, position, text, source)
    select id, task_id, position, text, source from json_to_recordset(${JSON.stringify(outputs.flat())}::json)
      as r(id text, task_id text, position int, text text, source text)`);
  // In order, as everybody locks these rows.
  const specialties = sql.param(tasks.map(({ specialty }) => specialty ?? ''));
  await tx.execute(sql`
    insert into task_tally as y (project_id, specialty, total, wanted)
    select p.id, of.specialty, count(*), count(*) * p.overlap
    from project p, unnest(${specialties}::text[]) of(specialty) where p.id = ${projectId}
    group by p.id, of.specialty order by of.specialty
    on conflict (project_id, specialty, assigned) do update
      set total = y.total + excluded.total, wanted = y.wanted + excluded.wanted`);
  return tasks.map(({ id, number }, i) => ({ id, number, outputIds: outputs[i]!.map((row) => row.id) }));
}

/** Which of these contents the project already has. */
export async function knownContent(tx: Queryable, projectId: string, hashes: string[]): Promise<Set<string>> {
  if (!hashes.length) return new Set();
  const rows = await tx
    .selectDistinct({ hash: task.contentHash })
    .from(task)
    .where(sql`${task.projectId} = ${projectId} and ${task.contentHash} = any(${sql.param(hashes)}::text[])`);
  return new Set(rows.map(({ hash }) => hash));
}

/** Opens a task's rankings to those who judged it; what it asked for is its own from then on. False where it was revealed before; the caller holds the task's lock. */
export async function revealTask(tx: Queryable, id: string): Promise<boolean> {
  const rows = await tx
    .update(task)
    .set({
      status: 'revealed',
      revealedAt: sql`clock_timestamp()`,
      overlap: sql`coalesce(${task.overlap}, (select overlap from project where id = ${task.projectId}))`
    })
    .where(sql`${task.id} = ${id} and ${task.revealedAt} is null`)
    .returning({ id: task.id });
  if (!rows.length) return false;
  await tx.update(lease).set({ open: false }).where(eq(lease.taskId, id));
  await tx.delete(taskUncertainty).where(eq(taskUncertainty.taskId, id));
  await tx.delete(taskMargin).where(eq(taskMargin.taskId, id));
  await count(tx, id, { revealed: 1 });
  return true;
}

/** Notes that so many more judgements of a task stand, or fewer. */
export async function noteJudgements(tx: Queryable, id: string, change: number): Promise<void> {
  await tx
    .update(task)
    .set({ judged: true })
    .where(and(eq(task.id, id), eq(task.judged, false)));
  if (change) await count(tx, id, { judgements: change });
}

/** Of tasks that have just been added, by id: one for each judgement. */
export async function noteImportedJudgements(tx: Queryable, ids: string[]): Promise<void> {
  await tx
    .update(task)
    .set({ judged: true })
    .where(inArray(task.id, [...new Set(ids)]));
  await tx.execute(sql`
    update task_tally y set judgements = y.judgements + new.judgements
    from (select project_id, coalesce(specialty, '') as specialty, assigned, count(*) as judgements
      from unnest(${sql.param(ids)}::text[]) as each(id) join task using (id) group by 1, 2, 3) new
    where (y.project_id, y.specialty, y.assigned) = (new.project_id, new.specialty, new.assigned)`);
}

/** Whether any of these tasks still awaits its reveal. */
export async function anyUnrevealed(db: Queryable, ids: string[]): Promise<boolean> {
  const found = await db.execute(
    sql`select 1 from task where id = any(${sql.param(ids)}::text[]) and revealed_at is null limit 1`
  );
  return found.rows.length > 0;
}

/** Locks a task until the transaction ends, so that two who submit at once are counted one after the other. */
export async function lockTask(tx: Queryable, id: string): Promise<TaskRecord | null> {
  await holdOverlap(tx, sql`select project_id from task where id = ${id}`);
  await tx.select({ id: task.id }).from(task).where(eq(task.id, id)).for('update');
  return findTask(tx, id);
}
