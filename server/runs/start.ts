import { and, eq } from 'drizzle-orm';
import type { z } from 'zod';
import { REFERENCE_FREE_LOSSES, type Hyperparameters, type NewRun, type Objective } from '#wire/run.ts';
import { can, memberOf, type Actor } from '../auth/index.ts';
import { appendAudit } from '../audit/index.ts';
import { findDataset } from '../datasets/index.ts';
import { newId, type Queryable } from '../db/index.ts';
import { Fault, notFound } from '../net/fault.ts';
import type { Services } from '../services.ts';
import { checkStudioKeys, refuseKey } from './hyperparameters.ts';
import { checkJob, type FindAdapter } from './job.ts';
import { findModel } from './models.ts';
import type { RunRow } from './rows.ts';
import { run } from './tables.ts';

type Given = z.infer<typeof NewRun>;

/** Puts a run into the queue, once everything that can be known of it now is right. */
export async function startRun(
  services: Services,
  findAdapter: FindAdapter,
  actor: Actor,
  given: Given
): Promise<RunRow> {
  const { config, db } = services;
  const dataset = await writableDataset(services, actor, given.dataset);
  const model = await findModel(db, given.model);
  if (!model)
    throw new Fault(
      422,
      'unknown_model',
      'model: there is no such model; GET /models lists those there are.'
    );
  if (!dataset.counts.train_pairs)
    throw new Fault(
      422,
      'empty_dataset',
      'dataset: it has no pairs to train on; freeze one with more pairs.'
    );
  checkStudioKeys(given.hyperparameters ?? {});
  const adapterOf = async (key: string, id: string) => {
    const found = await findAdapter(db, id);
    if (!found || found.projectId !== dataset.projectId)
      throw new Fault(422, 'unknown_adapter', `${key}: there is no such adapter in this project.`);
    if (found.modelId !== model.id)
      throw new Fault(422, 'other_model', `${key}: that adapter was trained on another base model.`);
    return found.folder;
  };
  const hyperparameters = withReference(given);
  const { reference_adapter: reference } = hyperparameters;
  if (reference != null && typeof reference !== 'string')
    throw refuseKey('hyperparameters.reference_adapter: give the id of an adapter, or null for the base.');
  const id = newId('run');
  await checkJob(config, id, {
    ...{ objective: given.objective, hyperparameters, model, hasEval: dataset.counts.eval_pairs > 0 },
    parent: given.parent_adapter ? await adapterOf('parent_adapter', given.parent_adapter) : null,
    reference: reference ? await adapterOf('hyperparameters.reference_adapter', reference) : null
  });
  return db.transaction(async (tx) => {
    const [row] = await tx
      .insert(run)
      .values({
        ...{ id, projectId: dataset.projectId, datasetId: dataset.id, modelId: model.id },
        name: given.name ?? (await freeName(tx, dataset, given.objective)),
        ...{ parentAdapterId: given.parent_adapter ?? null, objective: given.objective, hyperparameters },
        ...{ status: 'queued', metrics: {}, createdBy: actor.id }
      })
      .returning();
    const facts = {
      dataset: dataset.sha256,
      model: model.sha256,
      objective: given.objective,
      hyperparameters
    };
    await appendAudit(tx, { actor, action: 'run.start', object: id, projectId: dataset.projectId, facts });
    return row!;
  });
}

/** What it learns from and how; numbered from the second on. */
async function freeName(
  tx: Queryable,
  { id, name }: { id: string; name: string },
  objective: Objective
): Promise<string> {
  const earlier = await tx.$count(run, and(eq(run.datasetId, id), eq(run.objective, objective)));
  const suffix = ` · ${objective.toUpperCase()}${earlier ? ` ${earlier + 1}` : ''}`;
  return name.slice(0, 120 - suffix.length) + suffix;
}

/** DPO from a parent learns how to differ from that parent, unless told otherwise; the run says which it is. */
function withReference({ objective, parent_adapter, hyperparameters = {} }: Given): Hyperparameters {
  if (objective !== 'dpo' || !parent_adapter || 'reference_adapter' in hyperparameters)
    return hyperparameters;
  if (REFERENCE_FREE_LOSSES.includes(String(hyperparameters.loss_type))) return hyperparameters;
  return { ...hyperparameters, reference_adapter: parent_adapter };
}

async function writableDataset({ db }: Services, actor: Actor, id: string) {
  const dataset = await findDataset(db, id);
  const membership = dataset && (await memberOf(db, actor, dataset.projectId));
  if (!membership) throw notFound('dataset');
  if (!can(membership.role, 'work.write'))
    throw new Fault(
      403,
      'not_allowed',
      `Your role in this project (${membership.role}) does not allow that.`
    );
  return dataset;
}
