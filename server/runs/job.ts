import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eq, sql } from 'drizzle-orm';
import type { Hyperparameters, Objective, RunMetrics } from '#wire/run.ts';
import { writeSafetensors } from '../../src/lib/tensors/safetensors.ts';
import type { Config } from '../config.ts';
import { findDataset, readRows } from '../datasets/index.ts';
import type { Database, Queryable } from '../db/index.ts';
import { log } from '../net/log.ts';
import { writeGroups, type GroupCounts } from './groups-file.ts';
import { jobOf, refuseKey, stepsOf } from './hyperparameters.ts';
import { modelFolder, readText } from './model-folder.ts';
import { findModel, type ModelRow } from './models.ts';
import { runFolder, type RunRow } from './rows.ts';
import { run } from './tables.ts';
import { inspect, TrainerRefusal } from './trainer.ts';

/** Why a run cannot go on, in a sentence for people. */
export class RunFailure extends Error {}

/** Adapters are a later room's; it is handed in by the composition root. */
export type FindAdapter = (
  db: Queryable,
  id: string
) => Promise<{ id: string; projectId: string; modelId: string; folder: string } | null>;

/** A prompt with two outputs of a token each, one of them chosen. */
const ONE_GROUP = writeSafetensors(
  [
    { name: 'tokens', dtype: 'I32', shape: [3], data: Int32Array.of(0, 0, 0) },
    { name: 'segments', dtype: 'I64', shape: [4], data: BigInt64Array.of(0n, 1n, 2n, 3n) },
    { name: 'group_segments', dtype: 'I64', shape: [2], data: BigInt64Array.of(0n, 3n) },
    { name: 'pairs', dtype: 'I32', shape: [1, 2], data: Int32Array.of(1, 2) }
  ],
  { format: 'groups.v1' }
);

/** Has the trainer read the job as it will be, so that a wrong value is refused while the person is still there. */
export async function checkJob(
  config: Config,
  runId: string,
  given: {
    objective: Objective;
    hyperparameters: Hyperparameters;
    model: ModelRow;
    hasEval: boolean;
    parent: string | null;
    reference: string | null;
  }
): Promise<void> {
  const folder = runFolder(config, runId);
  const model = modelFolder(config, given.model.path);
  const job = jobOf(given.objective, given.hyperparameters, { ...given, folder, model }, 1);
  await mkdir(folder, { recursive: true });
  try {
    const file = join(folder, 'job.json');
    await writeFile(file, JSON.stringify(job));
    // The dataset is turned into tokens later; the trainer reads the files that a job names, so one small group stands in.
    await writeFile(join(folder, 'train.safetensors'), ONE_GROUP);
    await writeFile(join(folder, 'eval.safetensors'), ONE_GROUP);
    await inspect(config, ['--model', model, '--job', file]);
  } catch (error) {
    if (error instanceof TrainerRefusal)
      throw refuseKey(`hyperparameters: ${error.sentence().replace(/^\S*job\.json: /, '')}`);
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes the files of a run: tokens of the dataset's two splits and the job. Again: the same bytes. */
export async function prepare(
  { config, db }: { config: Config; db: Database },
  findAdapter: FindAdapter,
  row: RunRow
): Promise<void> {
  const folder = runFolder(config, row.id);
  const dataset = await findDataset(db, row.datasetId);
  const base = await findModel(db, row.modelId);
  if (!dataset || !base) throw new RunFailure('The dataset or the model of this run is no longer there.');
  const model = modelFolder(config, base.path);
  await mkdir(folder, { recursive: true });
  // Templates may write the date: a run keeps to that of its beginning, so that its files are the same bytes again.
  const text = await readText(model, row.createdAt);
  const write = (split: 'train' | 'eval') =>
    writeGroups(join(folder, `${split}.safetensors`), readRows(db, row.datasetId, split), {
      text,
      objective: row.objective
    });
  const train = await write('train');
  if (!train.groups)
    throw new RunFailure(
      train.first_refusal ?? 'The dataset has no rows to train on; freeze one with more pairs.'
    );
  const held = await write('eval');
  await note(db, row, { train, eval: held });
  const folderOf = async (id: string | null | undefined) =>
    id ? ((await findAdapter(db, id))?.folder ?? null) : null;
  const files = {
    ...{ folder, model, hasEval: held.groups > 0 },
    parent: await folderOf(row.parentAdapterId),
    reference: await folderOf(row.hyperparameters.reference_adapter as string | null | undefined)
  };
  const steps = stepsOf(row.hyperparameters, train.groups);
  const job = jobOf(row.objective, row.hyperparameters, files, steps);
  await writeWhole(join(folder, 'job.json'), JSON.stringify(job, null, 2) + '\n');
}

/** What was left out of a run's data, or put into it in other words, stands among its metrics and in the log. */
async function note(db: Database, row: RunRow, splits: Record<string, GroupCounts>): Promise<void> {
  const found: RunMetrics = {};
  for (const [split, counts] of Object.entries(splits))
    for (const name of NOTED) if (counts[name]) found[`data/${split}/${name}`] = counts[name];
  if (!Object.keys(found).length) return;
  const why = Object.values(splits).find(({ first_refusal }) => first_refusal)?.first_refusal;
  log.warn('some rows of a run were left out or encoded in parts', {
    run: row.id,
    ...found,
    ...(why && { why })
  });
  await db
    .update(run)
    .set({ metrics: sql`${run.metrics} || ${JSON.stringify(found)}::jsonb` })
    .where(eq(run.id, row.id));
}
const NOTED = ['merged', 'dropped_empty', 'dropped_special_in_text', 'dropped_template_refused'] as const;

async function writeWhole(path: string, text: string): Promise<void> {
  const part = `${path}.part`;
  const file = await open(part, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, path);
}
