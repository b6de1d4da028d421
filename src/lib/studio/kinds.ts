import { m } from '$lib/paraglide/messages.js';
import type { RankingKind } from '$lib/wire/ranking';

const names: Record<RankingKind, () => string> = {
  review: m.work_kind_review,
  import: m.work_kind_import,
  consensus: m.work_kind_consensus,
  adjudication: m.work_kind_adjudication
};

export const kinds = Object.keys(names) as RankingKind[];

export function kindName(kind: RankingKind): string {
  return names[kind]();
}
