import type { Split } from '#wire/dataset.ts';
import { byText, placeOf } from './order.ts';

/**
 * Splits prompts (by their hashes), so that no prompt is in both parts. Each prompt has a place drawn from seed and
 * prompt alone; the lowest `evalFraction` of them, rounded, are for evaluation: an exact share, unlike a coin per
 * prompt, and one more prompt moves at most one other. A fraction above 0 keeps at least one prompt on either side,
 * where there are two.
 */
export function splitPrompts(
  promptHashes: Iterable<string>,
  evalFraction: number,
  seed: number
): Map<string, Split> {
  const prompts = [...new Set(promptHashes)]
    .map((hash) => ({ hash, place: placeOf(`${seed}:${hash}`) }))
    .sort((a, b) => a.place - b.place || byText(a.hash, b.hash));
  const wanted = Math.round(prompts.length * evalFraction);
  const most = prompts.length - 1;
  const count = evalFraction > 0 ? Math.min(Math.max(wanted, 1), most) : 0;
  return new Map(prompts.map(({ hash }, i) => [hash, i < count ? 'eval' : 'train']));
}
