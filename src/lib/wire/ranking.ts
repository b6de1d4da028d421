import { z } from 'zod';

/** Output ids, best tier first; two in one tier are a tie; outputs left out are unranked. */
export const Tiers = z.array(z.array(z.string()).min(1)).max(26);
export type Tiers = z.infer<typeof Tiers>;
export const Verdict = z.enum(['ranked', 'all_bad', 'cannot_judge']);
export type Verdict = z.infer<typeof Verdict>;
/** What a version says; `withdrawn`: its rater took back the only judgement they had given. */
export const RecordedVerdict = z.enum([...Verdict.options, 'withdrawn']);
export type RecordedVerdict = z.infer<typeof RecordedVerdict>;
export const RankingKind = z.enum(['review', 'import', 'adjudication', 'consensus']);
export type RankingKind = z.infer<typeof RankingKind>;
/** `criterion/output` → value on the criterion's scale. */
export const Ratings = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]));
export type Ratings = z.infer<typeof Ratings>;
export const EditedOutput = z.strictObject({ output: z.string(), text: z.string().min(1).max(200_000) });
export type EditedOutput = z.infer<typeof EditedOutput>;

/** How much better the first place is than the second: slightly, clearly, much. */
export const Strength = z.number().int().min(1).max(3);
export type Strength = z.infer<typeof Strength>;
/** A remark on a stretch of an output; `start` and `end` count UTF-16 code units of its text, and may not cut a character in two. */
export const Span = z.strictObject({
  output: z.string().max(64),
  start: z.number().int().min(0),
  end: z.number().int().min(1),
  category: z.string().min(1).max(60),
  text: z.string().max(2_000)
});
export type Span = z.infer<typeof Span>;
/** As it is kept: with the words it is about. */
export const QuotedSpan = Span.extend({ quote: z.string() });
export type QuotedSpan = z.infer<typeof QuotedSpan>;

export const SubmitRanking = z.strictObject({
  tiers: Tiers,
  verdict: Verdict.default('ranked'),
  reason: z.string().max(2_000).optional(),
  ratings: Ratings.optional(),
  edited: EditedOutput.optional(),
  strength: Strength.optional(),
  spans: z.array(Span).max(200).optional(),
  /** In which order the outputs were on screen; kept where it is an order that the server gave to the caller. */
  shown_order: z.array(z.string()).max(26).optional(),
  comment: z.string().max(20_000).optional()
});
export type SubmitRanking = z.infer<typeof SubmitRanking>;

export const Ranking = z.object({
  id: z.string(),
  task: z.string(),
  kind: RankingKind,
  rater: z.object({ id: z.string().nullable(), name: z.string() }),
  version: z.number().int(),
  tiers: Tiers,
  verdict: RecordedVerdict,
  /** The version that this one takes back; null where it was submitted. */
  undoes: z.number().int().nullable(),
  reason: z.string().nullable(),
  ratings: Ratings,
  edited: EditedOutput.nullable(),
  strength: Strength.nullable(),
  spans: z.array(QuotedSpan),
  comment: z.string().nullable(),
  /** Output ids in the order in which the rater was shown them; null where that is not known. */
  shown_order: z.array(z.string()).nullable(),
  after_reveal: z.boolean(),
  submitted_at: z.string()
});
export type Ranking = z.infer<typeof Ranking>;

export const Adjudicate = z.strictObject({ tiers: Tiers, reason: z.string().min(1).max(2_000) });
