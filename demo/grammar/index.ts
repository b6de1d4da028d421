import { random } from '../random.ts';
import { chestRadiograph } from './chest.ts';
import { contractClause } from './clause.ts';
import type { Family, Scenario } from './point.ts';

export type { Family, Point, Scenario } from './point.ts';

export const FAMILIES: readonly Family[] = ['chest_radiograph', 'contract_clause'];

/**
 * The scenario with this number: what is written about it (the prompt) and what is true of it (its points). Truth is
 * never stored beside a text: whoever has family and number can make it again.
 */
export function scenarioOf(family: Family, number: number): Scenario {
  // An odd constant spreads neighbouring numbers; each family has a stream of its own.
  const source = random(Math.imul(number + 1, 0x9e3779b1) ^ (family === 'chest_radiograph' ? 0 : 0x5bd1e995));
  return family === 'chest_radiograph' ? chestRadiograph(source, number) : contractClause(source, number);
}
