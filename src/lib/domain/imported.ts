import type { Message } from '#wire/task.ts';

/** A judgement that came with a row: tiers of indices into the row's outputs, best first. */
export interface ImportedVote {
  rater: string;
  tiers: number[][];
}

/** What a row of an imported file says, whatever its shape was. */
export interface ImportedTask {
  prompt: Message[];
  outputs: { text: string; source: string | null }[];
  votes: ImportedVote[];
  /** Whose members it is for; null: everybody's. */
  specialty: string | null;
  metadata: Record<string, unknown> | null;
}

/** Why a row cannot become a task; `detail` is one sentence without the row's text. */
export class RowFault extends Error {
  readonly code: string;

  constructor(code: string, detail: string) {
    super(detail);
    this.code = code;
  }
}
