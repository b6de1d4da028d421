import { derivePairs, strengthOf, type DerivedPair } from '#domain/pairs.ts';
import type { Pair, Picked, TrlPair } from '#wire/pair.ts';
import type { RankingKind } from '#wire/ranking.ts';
import type { Queryable } from '../db/index.ts';
import { judgementsOf, type NamedJudgement } from '../rankings/index.ts';
import { eachJudgedTask, findTask, pickedOf, type TaskRecord } from '../tasks/index.ts';

export interface TaskPairs {
  task: TaskRecord;
  pairs: NamedPair[];
  /** Why each rater was handed the task, by `<task>/<rater>`; there where the filter asks for it. */
  picked?: Map<string, Picked>;
}

export type NamedPair = Omit<DerivedPair, 'by'> & { by: NamedJudgement[] };

export interface PairFilter {
  task?: string;
  rater?: string;
  kind?: RankingKind;
  /** Leave out tasks that are not revealed yet. */
  revealedOnly?: boolean;
  /** Say why raters were handed the task: one more query for each page of tasks, for exports. */
  picked?: boolean;
}

/**
 * The judged tasks of a project by number with their pairs (which may be none), derived anew each time: what is not stored cannot
 * drift from the rankings. Holds one page of tasks at a time.
 */
export async function* eachTaskPairs(
  db: Queryable,
  projectId: string,
  filter: PairFilter = {},
  after = 0,
  atOnce = 500
): AsyncGenerator<TaskPairs> {
  for await (const tasks of filter.task
    ? one(db, projectId, filter.task)
    : eachJudgedTask(db, projectId, after, atOnce)) {
    const shown = filter.revealedOnly ? tasks.filter(({ revealedAt }) => revealedAt) : tasks;
    const ids = shown.map(({ id }) => id);
    const judgements = await judgementsOf(db, ids);
    const picked = filter.picked ? { picked: await pickedOf(db, ids) } : {};
    for (const task of tasks) {
      const derived = derivePairs(
        task.outputs.map(({ id }) => id),
        judgements.get(task.id) ?? []
      ) as NamedPair[];
      const pairs = derived.filter((pair) => fits(pair, filter));
      yield { task, pairs, ...picked };
    }
  }
}

async function* one(db: Queryable, projectId: string, id: string): AsyncGenerator<TaskRecord[]> {
  const task = await findTask(db, id);
  if (task?.projectId === projectId) yield [task];
}

function fits({ by }: NamedPair, { rater, kind }: PairFilter): boolean {
  return by.some((one) => (!rater || one.rater === rater) && (!kind || one.kind === kind));
}

const textOf = (task: TaskRecord, output: string) => task.outputs.find(({ id }) => id === output)!.text;

export function pairJson({ task, pair }: { task: TaskRecord; pair: NamedPair }): Pair {
  const { chosen, rejected, editedText, by, votes } = pair;
  const first = by[0]!;
  return {
    id: `${task.id}.${editedText === null ? 'ranked' : first.id}.${chosen}.${rejected}`,
    task: task.id,
    task_number: task.number,
    prompt: task.prompt,
    chosen: { output: chosen, text: editedText ?? textOf(task, chosen), edited: editedText !== null },
    rejected: { output: rejected, text: textOf(task, rejected) },
    ranking: {
      ...{ id: first.id, kind: first.kind, version: first.version },
      rater: first.raterName,
      submitted_at: first.submittedAt
    },
    raters: by.map(({ raterName }) => raterName),
    votes
  };
}

/** A pair as TRL reads it; people stand in it by id, so that a file that outlives them names nobody. */
export function trlPair({ task, pair, picked }: Omit<TaskPairs, 'pairs'> & { pair: NamedPair }): TrlPair {
  const { chosen, rejected, editedText, by, votes } = pair;
  const answer = (content: string) => [{ role: 'assistant' as const, content }];
  return {
    prompt: task.prompt,
    chosen: answer(editedText ?? textOf(task, chosen)),
    rejected: answer(textOf(task, rejected)),
    task_id: task.id,
    chosen_output: chosen,
    rejected_output: rejected,
    ranking_id: by[0]!.id,
    rater: by[0]!.rater,
    ranked_at: by[0]!.submittedAt,
    ranking_ids: by.map(({ id }) => id),
    raters: by.map(({ rater }) => rater),
    picked: by.map(({ kind, rater }) => (kind === 'review' && picked?.get(`${task.id}/${rater}`)) || null),
    edited: editedText !== null,
    strength: editedText === null ? strengthOf(chosen, rejected, by) : null,
    votes_for: votes.for,
    votes_against: votes.against,
    votes_tie: votes.tie
  };
}
