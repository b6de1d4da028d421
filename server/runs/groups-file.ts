import { setImmediate as nextTurn } from 'node:timers/promises';
import { TextError, type Completion, type Text } from '../../src/lib/text/index.ts';
import type { Objective } from '#wire/run.ts';
import type { TrlPair } from '#wire/pair.ts';
import type { DatasetRow } from '../datasets/index.ts';
import { Segments } from './segments.ts';

export interface GroupCounts {
  groups: number;
  completions: number;
  pairs: number;
  tokens: number;
  /** Answers that the tokenizer would merge with the end of their prompt, and that were encoded by themselves. */
  merged: number;
  /** Answers without a token, which no model can be asked for: empty ones, where nothing ends an answer. */
  dropped_empty: number;
  /** Rows whose text contains a token that steers the model. */
  dropped_special_in_text: number;
  /** Rows that the chat template will not have. */
  dropped_template_refused: number;
  /** Why the first of these rows was left out. */
  first_refusal: string | null;
}

/** Rooms share this thread: tokenizing hands it back after so many milliseconds. */
const TURN_MS = 8;

/**
 * Writes frozen rows as the trainer's groups.v1 (trainer contract, Groups file): one group per task, its prompt encoded
 * once; for DPO the outputs that stand in pairs and the pairs between them, for SFT the chosen outputs. Rows of a task
 * stand together, as a dataset keeps them. A row that cannot be asked of the model is left out and counted. Where no
 * group comes of it there is no file. The file appears whole or not at all; throws what `text` throws of the model.
 */
export async function writeGroups(
  path: string,
  rows: AsyncIterable<DatasetRow>,
  { text, objective }: { text: Text; objective: Objective }
): Promise<GroupCounts> {
  const file = new DatasetGroups(text, objective);
  let turn = performance.now();
  for await (const { row } of rows) {
    file.add(row);
    if (performance.now() - turn < TURN_MS) continue;
    await nextTurn();
    turn = performance.now();
  }
  file.endGroup();
  if (file.counts.groups) await file.segments.write(path);
  return file.counts;
}

interface OpenGroup {
  /** Segment of each output, by id and whether its text was edited. */
  segments: Map<string, number>;
  pairs: Set<string>;
}

/** An output of a row that is to be a segment, unless it is one already. */
interface Side {
  key: string;
  completion: Completion | null;
}

class DatasetGroups {
  readonly counts: GroupCounts = {
    ...{ groups: 0, completions: 0, pairs: 0, tokens: 0, merged: 0 },
    ...{ dropped_empty: 0, dropped_special_in_text: 0, dropped_template_refused: 0, first_refusal: null }
  };
  readonly segments = new Segments();
  readonly #text: Text;
  readonly #objective: Objective;
  #task: string | null = null;
  #open: OpenGroup | null = null;

  constructor(text: Text, objective: Objective) {
    this.#text = text;
    this.#objective = objective;
  }

  add(row: TrlPair): void {
    if (this.#task !== row.task_id) this.endGroup();
    this.#task = row.task_id;
    try {
      const chosen = this.#side(
        row,
        `${row.chosen_output}${row.edited ? ` ${row.ranking_id}` : ''}`,
        row.chosen
      );
      const sides =
        this.#objective === 'sft' ? [chosen] : [chosen, this.#side(row, row.rejected_output, row.rejected)];
      if (sides.some(({ completion }) => completion?.ids.length === 0)) this.counts.dropped_empty++;
      else this.#keep(row, sides);
    } catch (error) {
      this.#refuse(error);
    }
  }

  endGroup(): void {
    if (this.#open) this.segments.endGroup();
    this.#open = null;
  }

  #side(row: TrlPair, key: string, said: TrlPair['chosen']): Side {
    if (this.#open?.segments.has(key)) return { key, completion: null };
    const answer = said.map(({ content }) => content).join('');
    return { key, completion: this.#text.completion(row.prompt, answer) };
  }

  #keep(row: TrlPair, sides: Side[]): void {
    const open = (this.#open ??= this.#begin(row));
    for (const { key, completion } of sides) {
      if (!completion || open.segments.has(key)) continue;
      open.segments.set(key, this.#segment(completion.ids, completion.mask));
      this.counts.completions++;
      if (completion.merged) this.counts.merged++;
    }
    const [chosen, rejected] = sides.map(({ key }) => open.segments.get(key)!);
    const pair = `${chosen} ${rejected}`;
    if (rejected === undefined || open.pairs.has(pair)) return;
    open.pairs.add(pair);
    this.segments.pair(chosen!, rejected);
    this.counts.pairs++;
  }

  #begin(row: TrlPair): OpenGroup {
    this.#segment(this.#text.prompt(row.prompt), null);
    this.counts.groups++;
    return { segments: new Map(), pairs: new Set() };
  }

  #refuse(error: unknown): void {
    if (!(error instanceof TextError)) throw error;
    if (error.code === 'special_in_text') this.counts.dropped_special_in_text++;
    else if (error.code === 'template_refused') this.counts.dropped_template_refused++;
    else throw error;
    this.counts.first_refusal ??= error.message;
  }

  #segment(ids: readonly number[], mask: Uint8Array | null): number {
    this.counts.tokens += ids.length;
    return this.segments.add(ids, mask);
  }
}
