import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { asc, eq } from 'drizzle-orm';
import { listOf, PageQuery } from '#wire/list.ts';
import { Model, NewModel } from '#wire/model.ts';
import type { Actor } from '../auth/index.ts';
import { appendAudit } from '../audit/index.ts';
import { newId, type Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { log } from '../net/log.ts';
import { json, type Route } from '../net/route.ts';
import type { Services } from '../services.ts';
import { checkPath, DEMO, hashFolder, modelFolder, readModel } from './model-folder.ts';
import { model } from './tables.ts';

export type ModelRow = typeof model.$inferSelect;

export async function findModel(db: Queryable, id: string): Promise<ModelRow | null> {
  const [row] = await db.select().from(model).where(eq(model.id, id));
  return row ?? null;
}

async function modelAt(db: Queryable, path: string): Promise<ModelRow | null> {
  const [row] = await db.select().from(model).where(eq(model.path, path));
  return row ?? null;
}

function modelJson({ id, name, path, facts, sha256, createdAt }: ModelRow): Model {
  return { id, name, path, facts, sha256, created_at: createdAt.toISOString() };
}

const unknown = () =>
  new Fault(404, 'not_found', 'There is no such model; GET /models lists those that are registered.');

const register: Route = {
  method: 'POST',
  path: '/models',
  summary: 'Registers a base model by its folder below CONCORD_MODELS_DIR; again: the one that is there',
  access: { who: 'member_somewhere', action: 'work.write' },
  body: NewModel,
  answers: { 200: Model, 201: Model },
  async handle({ services, actor, body }) {
    const { config, db } = services;
    const path = (body.path as string).replace(/\/+$/, '');
    if (path !== DEMO) await checkPath(config, path);
    const known = await modelAt(db, path);
    if (known) return json(200, modelJson(await unchanged(services, known)));
    if (path === DEMO) throw unknown();
    const reading = await readModel(config, path);
    return json(
      201,
      modelJson(await keep(services, actor, { id: newId('model'), path, name: path, ...reading }))
    );
  }
};

/** Adapters were trained on these very weights, so a folder whose files were changed is another model. */
async function unchanged({ config }: Services, row: ModelRow): Promise<ModelRow> {
  if ((await hashFolder(modelFolder(config, row.path))) === row.sha256) return row;
  throw new Fault(
    409,
    'model_changed',
    `The files of "${row.path}" were changed since it was registered; put the new model into a folder of its own.`
  );
}

type NewModelRow = Pick<ModelRow, 'id' | 'path' | 'name' | 'facts' | 'sha256'>;

async function keep({ db }: Services, actor: Actor | 'system', row: NewModelRow): Promise<ModelRow> {
  const createdBy = actor === 'system' ? null : actor.id;
  return db.transaction(async (tx) => {
    const [kept] = await tx
      .insert(model)
      .values({ ...row, createdBy })
      .onConflictDoNothing()
      .returning();
    // Registered by somebody else in this very moment.
    if (!kept) return (await modelAt(tx, row.path))!;
    const facts = { path: row.path, sha256: row.sha256 };
    await appendAudit(tx, { actor, action: 'model.register', object: row.id, projectId: null, facts });
    return kept;
  });
}

const list: Route = {
  method: 'GET',
  path: '/models',
  summary: 'Registered base models',
  access: { who: 'member_somewhere', action: 'work.read' },
  query: PageQuery,
  answers: { 200: listOf(Model) },
  async handle({ services, query }) {
    const offset = Number(query.cursor ?? 0);
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new Fault(422, 'invalid', 'cursor: take next_cursor of the page before.');
    const rows = await services.db
      .select()
      .from(model)
      .orderBy(asc(model.createdAt), asc(model.id))
      .offset(offset)
      .limit(query.limit + 1);
    const next_cursor = rows.length > query.limit ? String(offset + query.limit) : null;
    return json(200, { items: rows.slice(0, query.limit).map(modelJson), next_cursor });
  }
};

const read: Route = {
  method: 'GET',
  path: '/models/{model}',
  summary: 'One base model',
  access: { who: 'member_somewhere', action: 'work.read' },
  answers: { 200: Model },
  async handle({ services, params }) {
    const row = await findModel(services.db, params.model!);
    if (!row) throw unknown();
    return json(200, modelJson(row));
  }
};

/** Registers the base that comes with the repository; without it, or without a trainer, there is just no demo base. */
export async function ensureDemoModel(services: Services): Promise<void> {
  const { config, db } = services;
  const folder = modelFolder(config, DEMO);
  if (!existsSync(join(folder, 'config.json'))) return;
  try {
    const known = await modelAt(db, DEMO);
    if (known && known.sha256 === (await hashFolder(folder))) return;
    const reading = await readModel(config, DEMO);
    if (known) await db.update(model).set(reading).where(eq(model.id, known.id));
    else await keep(services, 'system', { id: 'model_demo', path: DEMO, name: 'Demo base', ...reading });
  } catch (error) {
    log.error('demo model', { error });
  }
}

export const modelRoutes = [register, list, read];
