import type { z } from 'zod';
import { listOf, type List } from '#wire/list.ts';
import { Pair, type PairQuery as Query, PairQuery } from '#wire/pair.ts';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { json, type RoomApi, type Route } from '../net/route.ts';
import { streamLines } from '../net/stream.ts';
import { judgesIn } from '../tasks/index.ts';
import { eachTaskPairs, pairJson, trlPair, type PairFilter } from './derive.ts';

export { eachTaskPairs, trlPair, type PairFilter } from './derive.ts';

const list: Route = {
  method: 'GET',
  path: '/projects/{project}/pairs',
  summary: 'Preference pairs with who, when and from which ranking; format=trl: JSON lines of all',
  access: { who: 'member', action: 'work.read', object: 'project' },
  query: PairQuery,
  answers: { 200: null },
  async handle({ services: { db }, actor, project, query }) {
    const { task, rater, kind } = query as z.infer<typeof Query>;
    // Who judges in a blind project would read the others' votes from the pairs.
    const revealedOnly = project.mode === 'blind' && (await judgesIn(db, project.id, actor.id));
    const filter = { task, rater, kind, revealedOnly };
    if (query.format === 'trl') return streamLines('application/jsonl', trlLines(db, project.id, filter));
    return json(200, PairList.parse(await page(db, project.id, filter, query)));
  }
};

const PairList = listOf(Pair);

async function* trlLines(db: Queryable, projectId: string, filter: PairFilter): AsyncGenerator<string> {
  for await (const { pairs, ...rest } of eachTaskPairs(db, projectId, { ...filter, picked: true }))
    yield pairs.map((pair) => JSON.stringify(trlPair({ ...rest, pair })) + '\n').join('');
}

/** The cursor is the last pair's task number and its place in that task. */
async function page(
  db: Queryable,
  projectId: string,
  filter: PairFilter,
  { limit, cursor }: { limit: number; cursor?: string }
): Promise<List<Pair>> {
  const { number, place } = readCursor(cursor);
  const items: { pair: Pair; place: number }[] = [];
  for await (const { task, pairs } of eachTaskPairs(db, projectId, filter, number - 1, limit + 1)) {
    const from = task.number === number ? place + 1 : 0;
    for (let i = from; i < pairs.length; i++) {
      if (items.length === limit) {
        const last = items.at(-1)!;
        return { items: items.map((one) => one.pair), next_cursor: `${last.pair.task_number}-${last.place}` };
      }
      items.push({ pair: pairJson({ task, pair: pairs[i]! }), place: i });
    }
  }
  return { items: items.map((one) => one.pair), next_cursor: null };
}

function readCursor(cursor: string | undefined): { number: number; place: number } {
  if (cursor === undefined) return { number: 1, place: -1 };
  const found = /^(\d{1,9})-(\d{1,6})$/.exec(cursor);
  if (!found) throw new Fault(422, 'invalid', 'cursor: take next_cursor of the page before.');
  return { number: Number(found[1]), place: Number(found[2]) };
}

export const api: RoomApi = { routes: [list] };
