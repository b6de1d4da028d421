import type { Random } from '../random.ts';

/** What one word or phrase of a point must be, among what it could be mistaken for. */
export interface Slot {
  value: string;
  values: readonly string[];
}

/** One thing that a good answer says, how it may be said, and how a reader knows that it is being said. */
export interface Point {
  concept: string;
  /** Templates: `{side}` stands for the slot of that name; every way holds every slot. */
  ways: readonly string[];
  slots: Readonly<Record<string, Slot>>;
  mention: RegExp;
}

/** A sentence that no text of the grammar gives reason for, with the words that betray it. */
export interface Invention {
  sentence: string;
  mention: RegExp;
}

export type Family = 'chest_radiograph' | 'contract_clause';

export interface Scenario {
  family: Family;
  number: number;
  prompt: string;
  /** In the order of a good answer. */
  points: Point[];
}

export const slot = (value: string, values: readonly string[]): Slot => ({ value, values });
export const draw = (random: Random, values: readonly string[]): Slot => slot(random.pick(values), values);

/** The template with each slot's value, or with another where `instead` names one. */
export function fill(
  template: string,
  slots: Readonly<Record<string, Slot>>,
  instead: Record<string, string> = {}
): string {
  const text = template.replace(/\{(\w+)\}/g, (_, name: string) => instead[name] ?? slots[name]!.value);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A point said rightly. */
export const say = (random: Random, point: Point): string => fill(random.pick(point.ways), point.slots);

/** A point said with one slot wrong (another side, number or party); null where it has none to get wrong. */
export function missay(random: Random, point: Point): string | null {
  const names = Object.keys(point.slots).filter((name) => point.slots[name]!.values.length > 1);
  if (!names.length) return null;
  const name = random.pick(names);
  const { value, values } = point.slots[name]!;
  const other = random.pick(values.filter((one) => one !== value));
  return fill(random.pick(point.ways), point.slots, { [name]: other });
}
