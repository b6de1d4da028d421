export interface Sampling {
  /** 0: greedy. */
  temperature: number;
  /** 1: off. Keeps the smallest set whose probability reaches it. */
  top_p: number;
  /** 0: off. */
  top_k: number;
  seed: number;
}

/**
 * From logits to a token as the trainer's `generate` does: temperature, top-k, top-p, each on what the one before left;
 * of equal logits the smaller id is the better one.
 */
export function pick(logits: Float32Array, sampling: Sampling, uniform: number): number {
  if (sampling.temperature === 0) return best(logits);
  const ids = Array.from(logits, (_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (sampling.top_k > 0) ids.length = Math.min(ids.length, sampling.top_k);
  const top = logits[ids[0]!]!;
  const weights = ids.map((id) => Math.exp((logits[id]! - top) / sampling.temperature));
  const kept = nucleus(weights, sampling.top_p);
  let left = uniform * sum(weights.slice(0, kept));
  for (let i = 0; i < kept; i++) {
    left -= weights[i]!;
    if (left < 0) return ids[i]!;
  }
  // Rounding left a remainder.
  return ids[0]!;
}

function best(logits: Float32Array): number {
  let found = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[found]!) found = id;
  return found;
}

/** How many of the weights, best first, are the smallest set whose share reaches `top_p`. */
function nucleus(weights: number[], top_p: number): number {
  if (top_p >= 1) return weights.length;
  const wanted = top_p * sum(weights);
  let before = 0;
  let kept = 0;
  while (kept < weights.length && (kept === 0 || before < wanted)) before += weights[kept++]!;
  return kept;
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
