import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { desc, eq } from 'drizzle-orm';
import type { Adapter, AdapterFile } from '#wire/adapter.ts';
import type { Config } from '../config.ts';
import type { Queryable } from '../db/index.ts';
import { adapterIdOf, findModel, findRun, type NewAdapter } from '../runs/index.ts';
import type { Services } from '../services.ts';
import { adapter } from './tables.ts';

export type AdapterRow = typeof adapter.$inferSelect;

export const adapterFolder = (config: Config, id: string) => join(config.dataDir, 'adapters', id);

export async function findAdapter(db: Queryable, id: string): Promise<AdapterRow | null> {
  const [row] = await db.select().from(adapter).where(eq(adapter.id, id));
  return row ?? null;
}

export async function adaptersOf(db: Queryable, projectId: string, offset: number, limit: number) {
  return db
    .select()
    .from(adapter)
    .where(eq(adapter.projectId, projectId))
    .orderBy(desc(adapter.createdAt), desc(adapter.id))
    .offset(offset)
    .limit(limit);
}

/**
 * Keeps what a run has made, in the transaction that ends the run. The id follows from the run's, so that an end which
 * is repeated after a crash puts the same files in the same place.
 */
export async function addAdapter({ config }: Services, tx: Queryable, given: NewAdapter): Promise<string> {
  const { folder, ...lineage } = given;
  const id = adapterIdOf(given.runId);
  const base = (await findModel(tx, given.modelId))!;
  await mkdir(join(config.dataDir, 'adapters'), { recursive: true });
  const part = `${adapterFolder(config, id)}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part);
  try {
    await copyFolder(folder, part);
    await nameBase(join(part, 'adapter_config.json'), base.path);
    const files = await describeFiles(part);
    await rm(adapterFolder(config, id), { recursive: true, force: true });
    await rename(part, adapterFolder(config, id));
    await sync(join(config.dataDir, 'adapters'));
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    await tx.insert(adapter).values({ id, ...lineage, files, bytes });
    return id;
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  const entries = await readdir(from, { withFileTypes: true });
  for (const { name } of entries.filter((entry) => entry.isFile()))
    await copyFile(join(from, name), join(to, name));
}

/** PEFT's config names the base by its path on this machine; it leaves the house with the name it is registered by. */
async function nameBase(path: string, base: string): Promise<void> {
  const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(path, JSON.stringify({ ...config, base_model_name_or_path: base }, null, 2) + '\n');
}

async function describeFiles(folder: string): Promise<AdapterFile[]> {
  const files: AdapterFile[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash);
    await sync(path);
    files.push({ name, bytes: (await stat(path)).size, sha256: hash.digest('hex') });
  }
  return files;
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** With the dataset that its run learned from. */
export async function adapterJson(db: Queryable, row: AdapterRow): Promise<Adapter> {
  const { id, name, files, bytes } = row;
  const run = await findRun(db, row.runId);
  return {
    ...{ id, name, files, bytes },
    project: row.projectId,
    run: row.runId,
    model: row.modelId,
    dataset: run!.datasetId,
    parent_adapter: row.parentAdapterId,
    created_at: row.createdAt.toISOString()
  };
}
