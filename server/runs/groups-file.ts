import { open, rename, rm } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeSafetensorsHeader, type TensorOut } from '../../src/lib/tensors/safetensors.ts';
import type { Text } from '../../src/lib/text/index.ts';
import type { Objective } from '#wire/run.ts';
import type { TrlPair } from '#wire/pair.ts';
import type { DatasetRow } from '../datasets/index.ts';
import { Growing } from './growing.ts';

export interface GroupCounts {
  groups: number;
  completions: number;
  pairs: number;
  tokens: number;
  /** Answers without a token, which no model can be asked for: empty ones, where nothing ends an answer. */
  dropped_empty: number;
}

/** Rooms share this thread: tokenizing hands it back after so many milliseconds. */
const TURN_MS = 8;

/**
 * Writes frozen rows as the trainer's groups.v1 (trainer contract, Groups file): one group per task, its prompt encoded
 * once; for DPO the outputs that stand in pairs and the pairs between them, for SFT the chosen outputs. Rows of a task
 * stand together, as a dataset keeps them. Where no group comes of it there is no file. The file appears whole or not at
 * all; throws what `text` throws.
 */
export async function writeGroups(
  path: string,
  rows: AsyncIterable<DatasetRow>,
  { text, objective }: { text: Text; objective: Objective }
): Promise<GroupCounts> {
  const file = new GroupsFile(text, objective);
  let turn = performance.now();
  for await (const { row } of rows) {
    file.add(row);
    if (performance.now() - turn < TURN_MS) continue;
    await nextTurn();
    turn = performance.now();
  }
  file.endGroup();
  if (file.counts.groups) await file.write(path);
  return file.counts;
}

interface OpenGroup {
  task: string;
  /** Segment of each output, by id and whether its text was edited. */
  segments: Map<string, number>;
  pairs: Set<string>;
}

class GroupsFile {
  readonly counts: GroupCounts = { groups: 0, completions: 0, pairs: 0, tokens: 0, dropped_empty: 0 };
  readonly #text: Text;
  readonly #objective: Objective;
  readonly #tokens = new Growing(Int32Array);
  readonly #segments = new Growing(BigInt64Array);
  readonly #groups = new Growing(BigInt64Array);
  readonly #pairs = new Growing(Int32Array);
  #open: OpenGroup | null = null;

  constructor(text: Text, objective: Objective) {
    this.#text = text;
    this.#objective = objective;
    this.#segments.push(0n);
    this.#groups.push(0n);
  }

  add(row: TrlPair): void {
    if (this.#open?.task !== row.task_id) {
      this.endGroup();
      this.#open = { task: row.task_id, segments: new Map(), pairs: new Set() };
      this.#segment(this.#text.prompt(row.prompt));
      this.counts.groups++;
    }
    const chosen = this.#completion(
      row,
      `${row.chosen_output}${row.edited ? ` ${row.ranking_id}` : ''}`,
      row.chosen
    );
    if (this.#objective === 'sft') return;
    const rejected = this.#completion(row, row.rejected_output, row.rejected);
    const pair = `${chosen} ${rejected}`;
    if (chosen === null || rejected === null || this.#open.pairs.has(pair)) return;
    this.#open.pairs.add(pair);
    this.#pairs.push(chosen, rejected);
    this.counts.pairs++;
  }

  endGroup(): void {
    if (this.#open) this.#groups.push(BigInt(this.#segments.length - 1));
    this.#open = null;
  }

  /** Its segment; null where it has no tokens. */
  #completion(row: TrlPair, key: string, said: TrlPair['chosen']): number | null {
    const known = this.#open!.segments.get(key);
    if (known !== undefined) return known;
    const ids = this.#text.completion(row.prompt, said.map(({ content }) => content).join(''));
    if (!ids.length) {
      this.counts.dropped_empty++;
      return null;
    }
    const segment = this.#segment(ids);
    this.#open!.segments.set(key, segment);
    this.counts.completions++;
    return segment;
  }

  #segment(ids: readonly number[]): number {
    this.#tokens.append(ids);
    this.#segments.push(BigInt(this.#tokens.length));
    this.counts.tokens += ids.length;
    return this.#segments.length - 2;
  }

  async write(path: string): Promise<void> {
    const part = `${path}.part`;
    const tensors = this.#tensors();
    const out = await open(part, 'w', 0o600);
    try {
      await out.writeFile(encodeSafetensorsHeader(tensors, { format: 'groups.v1' }));
      for (const { values } of tensors) await out.writeFile(values.bytes());
      await out.sync();
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    } finally {
      await out.close();
    }
    await rename(part, path);
  }

  #tensors(): (TensorOut & { values: Growing<Int32Array> | Growing<BigInt64Array> })[] {
    const line = (
      name: string,
      dtype: 'I32' | 'I64',
      values: Growing<Int32Array> | Growing<BigInt64Array>
    ) => ({
      ...{ name, dtype, values },
      shape: [values.length]
    });
    const tensors = [
      line('tokens', 'I32', this.#tokens),
      line('segments', 'I64', this.#segments),
      line('group_segments', 'I64', this.#groups)
    ];
    if (this.#objective === 'sft') return tensors;
    return [...tensors, { ...line('pairs', 'I32', this.#pairs), shape: [this.counts.pairs, 2] }];
  }
}
