import { createHash } from 'node:crypto';
import { sql } from 'drizzle-orm';
import { canonicalJson } from '#domain/canonical.ts';
import { splitPrompts } from '#domain/split.ts';
import type { DatasetCounts, DatasetPolicy, Split } from '#wire/dataset.ts';
import { appendAudit } from '../audit/index.ts';
import type { Actor } from '../auth/index.ts';
import { newId, type Database, type Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { eachTaskPairs, trlPair, type PairFilter } from '../pairs/index.ts';
import { dataset } from './tables.ts';

export interface Freeze {
  name: string;
  eval_fraction: number;
  seed: number;
  policy: DatasetPolicy;
}

type Sight = Pick<PairFilter, 'revealedOnly'>;

/** Stands for the split, which is known only when all prompts are; in JSON text its quotes would be escaped. */
const UNSPLIT = '"split":""';
const splitAs = (split: Split) => `"split":"${split}"`;
const LINES_AT_ONCE = 1_000;

/**
 * Freezes the pairs as an immutable version: all rows, the hash and the audit row in one transaction. The lines wait
 * in a temporary table, not in memory; not under REPEATABLE READ, whose old snapshot would hide the audit chain's head.
 */
export async function freeze(db: Database, actor: Actor, projectId: string, given: Freeze, sight: Sight) {
  return db.transaction(async (tx) => {
    await tx.execute(
      sql`create temporary table frozen (seq int primary key, prompt_hash text, split text, line text) on commit drop`
    );
    const found = await gather(tx, projectId, sight);
    if (!found.counts.pairs)
      throw new Fault(422, 'no_pairs', 'There are no pairs yet; rank a task or import preferences first.');
    const split = splitPrompts(found.prompts, given.eval_fraction, given.seed);
    await assign(tx, split);
    const { sha256, eval_pairs } = await hashLines(tx);
    const counts = { ...found.counts, eval_pairs, train_pairs: found.counts.pairs - eval_pairs };
    const [row] = await tx
      .insert(dataset)
      .values({
        ...{ id: newId('dataset'), projectId, name: given.name, policy: given.policy, seed: given.seed },
        ...{ sha256, counts, evalFraction: given.eval_fraction, createdBy: actor.id }
      })
      .returning();
    await tx.execute(
      sql`insert into dataset_row (dataset_id, seq, split, line) select ${row!.id}, seq, split, line from frozen`
    );
    const facts = { sha256, seed: given.seed, eval_fraction: given.eval_fraction, ...counts };
    await appendAudit(tx, { actor, action: 'dataset.freeze', object: row!.id, projectId, facts });
    return row!;
  });
}

type Waiting = { seq: number; prompt_hash: string; line: string };

async function gather(tx: Queryable, projectId: string, sight: Sight) {
  const prompts = new Set<string>();
  const raters = new Set<string>();
  const counts: DatasetCounts = { pairs: 0, train_pairs: 0, eval_pairs: 0, prompts: 0, tasks: 0, raters: 0 };
  let rows: Waiting[] = [];
  for await (const { pairs, ...rest } of eachTaskPairs(tx, projectId, { ...sight, picked: true })) {
    const { task } = rest;
    if (!pairs.length) continue;
    counts.tasks++;
    prompts.add(task.promptHash);
    for (const pair of pairs) {
      const line = canonicalJson({ ...trlPair({ ...rest, pair }), split: '' });
      rows.push({ seq: ++counts.pairs, prompt_hash: task.promptHash, line });
      for (const { rater } of pair.by) raters.add(rater);
    }
    if (rows.length < LINES_AT_ONCE) continue;
    await write(tx, rows);
    rows = [];
  }
  await write(tx, rows);
  return { prompts, counts: { ...counts, prompts: prompts.size, raters: raters.size } };
}

async function write(tx: Queryable, rows: Waiting[]): Promise<void> {
  if (!rows.length) return;
  await tx.execute(sql`insert into frozen (seq, prompt_hash, line)
    select seq, prompt_hash, line from json_to_recordset(${JSON.stringify(rows)}::json)
      as r(seq int, prompt_hash text, line text)`);
}

/** Writes each prompt's part into its lines. */
async function assign(tx: Queryable, split: Map<string, Split>): Promise<void> {
  const held = [...split].filter(([, part]) => part === 'eval').map(([hash]) => hash);
  await tx.execute(sql`update frozen set
    split = case when prompt_hash = any(${sql.param(held)}::text[]) then 'eval' else 'train' end`);
  await tx.execute(sql`update frozen set line = replace(line, ${UNSPLIT},
    case split when 'eval' then ${splitAs('eval')} else ${splitAs('train')} end)`);
}

async function hashLines(tx: Queryable): Promise<{ sha256: string; eval_pairs: number }> {
  const hash = createHash('sha256');
  let eval_pairs = 0;
  for (let last = 0; ; last += LINES_AT_ONCE) {
    const { rows } = await tx.execute<{ split: Split; line: string }>(
      sql`select split, line from frozen where seq > ${last} and seq <= ${last + LINES_AT_ONCE} order by seq`
    );
    if (!rows.length) return { sha256: hash.digest('hex'), eval_pairs };
    for (const { split, line } of rows) {
      hash.update(line).update('\n');
      if (split === 'eval') eval_pairs++;
    }
  }
}
