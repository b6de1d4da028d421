import type { Mapping } from '$lib/wire/import';
import { ofTwo, parseTiers } from './tiers-text.ts';

type Row = Record<string, unknown>;

export interface Vote {
  key: number;
  column: string;
  rater: string;
  values: { value: string; tiers: string }[];
}

const promptLike = /prompt|instruction|question|query|^input$|context/i;
const outputLike = /response|output|answer|completion|candidate|reply/i;

/** What a person has pointed at so far. Begins with a guess by the columns' names. */
export class MappingDraft {
  readonly columns: string[];
  readonly #rows: Row[];
  prompt = $state('');
  outputs = $state<string[]>([]);
  votes = $state<Vote[]>([]);
  #nextKey = 1;

  constructor(columns: string[], rows: Row[]) {
    this.columns = columns;
    this.#rows = rows;
    const asked = columns.filter((column) => promptLike.test(column) && !outputLike.test(column));
    this.prompt = asked.map((column) => `{${column}}`).join('\n\n');
    this.outputs = columns.filter((column) => outputLike.test(column));
  }

  toggle(column: string): void {
    const on = this.outputs.includes(column);
    this.outputs = on ? this.outputs.filter((one) => one !== column) : [...this.outputs, column];
  }

  addVote(): void {
    const used = [...this.outputs, ...this.votes.map(({ column }) => column)];
    const column = this.columns.find((one) => !used.includes(one) && !this.prompt.includes(`{${one}}`));
    if (column === undefined) return;
    this.votes.push({ key: this.#nextKey++, column, rater: column, values: this.valuesOf(column) });
  }

  /** The values that the first rows have; a row further down may have others, which are added by hand. */
  valuesOf(column: string): Vote['values'] {
    const values = this.#rows.map((row) => String(row[column] ?? '').trim()).filter(Boolean);
    const once = values.filter((value, at) => values.indexOf(value) === at).sort();
    return once.map((value) => ({ value, tiers: this.outputs.length === 2 ? ofTwo[0]! : '' }));
  }

  /** As the API takes it; null while something is missing. */
  get mapping(): Mapping | null {
    if (!this.prompt.trim() || !this.outputs.length) return null;
    const votes = this.votes.map(({ column, rater, values }) => ({
      ...{ column, rater: rater.trim() },
      values: values.map(({ value, tiers }) => [value, parseTiers(tiers, this.outputs.length)] as const)
    }));
    if (votes.some(({ rater, values }) => !rater || !values.length || values.some(([, tiers]) => !tiers)))
      return null;
    return {
      ...{ prompt: this.prompt, outputs: [...this.outputs] },
      ...(votes.length
        ? {
            votes: votes.map((vote) => ({
              ...vote,
              values: Object.fromEntries(vote.values) as Record<string, number[][]>
            }))
          }
        : {})
    };
  }
}
