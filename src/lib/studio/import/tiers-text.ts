import { indexOfLetter, letterOf } from '$lib/ui/letters.ts';

/** "A > B = C" as tiers of output indices, best first; null where it is not that, or names an output twice. */
export function parseTiers(text: string, outputs: number): number[][] | null {
  if (!text.trim()) return null;
  const tiers = text
    .split('>')
    .map((tier) => tier.split('=').map((one) => indexOfLetter(one.trim(), outputs)));
  const places = tiers.flat();
  if (places.includes(null) || new Set(places).size !== places.length) return null;
  return tiers as number[][];
}

export function tiersText(tiers: number[][]): string {
  return tiers.map((tier) => tier.map(letterOf).join(' = ')).join(' > ');
}

/** What a vote between two can say. */
export const ofTwo = ['A > B', 'B > A', 'A = B'];
