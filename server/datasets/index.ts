import { desc, eq } from 'drizzle-orm';
import type { z } from 'zod';
import { Dataset, ExportQuery, NewDataset } from '#wire/dataset.ts';
import { listOf, PageQuery } from '#wire/list.ts';
import { Fault, notFound } from '../net/fault.ts';
import { json, type Call, type RoomApi, type Route } from '../net/route.ts';
import { streamLines } from '../net/stream.ts';
import { anyUnrevealed, judgesIn } from '../tasks/index.ts';
import { csvHead, csvRecord } from './csv.ts';
import { freeze } from './freeze.ts';
import { datasetJson, eachLine, findDataset, tasksIn } from './rows.ts';
import { dataset } from './tables.ts';

export { findDataset, readRows, type DatasetRow } from './rows.ts';

const make: Route = {
  method: 'POST',
  path: '/projects/{project}/datasets',
  summary: 'Freezes the pairs of this moment as an immutable version, split by prompt',
  access: { who: 'member', action: 'work.write', object: 'project' },
  body: NewDataset,
  answers: { 201: Dataset },
  async handle(call) {
    const { services, actor, project, body } = call;
    const sight = { revealedOnly: await awaitsReveals(call) };
    return json(201, datasetJson(await freeze(services.db, actor, project.id, body, sight)));
  }
};

/** Who judges in a blind project would read the others' votes out of a dataset of tasks that are not revealed. */
async function awaitsReveals({ services: { db }, actor, project }: Call): Promise<boolean> {
  return project.mode === 'blind' && (await judgesIn(db, project.id, actor.id));
}

const list: Route = {
  method: 'GET',
  path: '/projects/{project}/datasets',
  summary: 'Dataset versions, the latest first',
  access: { who: 'member', action: 'work.read', object: 'project' },
  query: PageQuery,
  answers: { 200: listOf(Dataset) },
  async handle({ services, project, query }) {
    const offset = Number(query.cursor ?? 0);
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new Fault(422, 'invalid', 'cursor: take next_cursor of the page before.');
    const rows = await services.db
      .select()
      .from(dataset)
      .where(eq(dataset.projectId, project.id))
      .orderBy(desc(dataset.createdAt), desc(dataset.id))
      .offset(offset)
      .limit(query.limit + 1);
    const next_cursor = rows.length > query.limit ? String(offset + query.limit) : null;
    return json(200, { items: rows.slice(0, query.limit).map(datasetJson), next_cursor });
  }
};

const read: Route = {
  method: 'GET',
  path: '/datasets/{dataset}',
  summary: 'One dataset version',
  access: { who: 'member', action: 'work.read', object: 'dataset' },
  answers: { 200: Dataset },
  handle: async (call) => json(200, datasetJson(await found(call)))
};

const download: Route = {
  method: 'GET',
  path: '/datasets/{dataset}/export',
  summary: 'The frozen rows; trl-jsonl without a split is what sha256 is of',
  access: { who: 'member', action: 'work.read', object: 'dataset' },
  query: ExportQuery,
  answers: { 200: null },
  async handle(call) {
    const { format, split } = call.query as z.infer<typeof ExportQuery>;
    const row = await found(call);
    const { db } = call.services;
    if ((await awaitsReveals(call)) && (await anyUnrevealed(db, await tasksIn(db, row.id))))
      throw new Fault(
        403,
        'not_revealed',
        'This dataset holds tasks that are not revealed yet, and you judge in this project; export it after their reveal.'
      );
    const suffix = format === 'csv' ? 'csv' : 'jsonl';
    const name = `dataset-${row.sha256.slice(0, 12)}${split ? `-${split}` : ''}.${suffix}`;
    const headers = { 'content-disposition': `attachment; filename="${name}"` };
    const lines = eachLine(db, row.id, split);
    return format === 'csv'
      ? streamLines('text/csv', csvLines(lines), headers)
      : streamLines('application/jsonl', plainLines(lines), headers);
  }
};

type Lines = ReturnType<typeof eachLine>;

async function* plainLines(lines: Lines): AsyncGenerator<string> {
  for await (const rows of lines) yield rows.map(({ line }) => line + '\n').join('');
}

async function* csvLines(lines: Lines): AsyncGenerator<string> {
  yield csvHead;
  for await (const rows of lines) yield rows.map(({ line }) => csvRecord(JSON.parse(line))).join('');
}

async function found({ services, params }: Call) {
  const row = await findDataset(services.db, params.dataset!);
  if (!row) throw notFound('dataset');
  return row;
}

export const api: RoomApi = {
  routes: [make, list, read, download],
  locate: { dataset: async ({ db }, id) => (await findDataset(db, id))?.projectId ?? null }
};
