import type { Random } from '../random.ts';
import { CONDUCT_KINDS } from './clause-kinds-conduct.ts';
import { CLAUSE_KINDS, type ClauseKind, type Parties } from './clause-kinds.ts';
import { fill, type Invention, type Scenario, type Slot } from './point.ts';

const KINDS: readonly ClauseKind[] = [...CLAUSE_KINDS, ...CONDUCT_KINDS];

const PARTIES: readonly Parties[] = [
  ['Customer', 'Supplier'],
  ['Client', 'Consultant'],
  ['Licensee', 'Licensor'],
  ['Buyer', 'Seller'],
  ['Company', 'Contractor'],
  ['Subscriber', 'Provider']
].map(([a, b]) => ({ a: `the ${a}`, b: `the ${b}` }));

const WORDS: Record<string, string> = {
  ...{ 2: 'two', 3: 'three', 5: 'five', 6: 'six', 7: 'seven', 10: 'ten', 12: 'twelve', 14: 'fourteen' },
  ...{ 15: 'fifteen', 18: 'eighteen', 20: 'twenty', 24: 'twenty-four', 30: 'thirty', 45: 'forty-five' },
  ...{ 48: 'forty-eight', 60: 'sixty', 72: 'seventy-two', 90: 'ninety' }
};

/** "30 days" as contracts write it: "thirty (30) days". */
function inWords(value: string): string {
  const [number, unit] = value.split(' ');
  const word = number && WORDS[number];
  return word ? `${word} (${number}) ${unit}` : value;
}

/** A clause of a contract, and what its explanation in plain English must say. */
export function contractClause(random: Random, number: number): Scenario {
  const kind = random.pick(KINDS);
  const slots = kind.slots(random, random.pick(PARTIES));
  const points = kind.statements.map(({ concept, mention, ways }) => ({
    ...{ concept, mention, ways },
    slots: usedIn(ways, slots)
  }));
  return { family: 'contract_clause', number, prompt: clauseText(random, kind, slots), points };
}

function clauseText(random: Random, kind: ClauseKind, slots: Record<string, Slot>): string {
  const spelled = Object.entries(slots).map(([name, { value }]) => [
    `${name}_in_words`,
    { value: inWords(value), values: [] }
  ]);
  const text = fill(random.pick(kind.texts), { ...slots, ...Object.fromEntries(spelled) });
  const sentences = text.replace(
    /([.] )([a-z])/g,
    (_, end: string, letter: string) => end + letter.toUpperCase()
  );
  return `Explain this clause in plain English.\n\n${random.int(2, 24)}. ${kind.title}. ${sentences}`;
}

function usedIn(ways: readonly string[], slots: Record<string, Slot>): Record<string, Slot> {
  return Object.fromEntries(Object.entries(slots).filter(([name]) => ways[0]!.includes(`{${name}}`)));
}

const INVENTIONS: readonly Invention[] = [
  { sentence: 'A penalty of 10,000 dollars applies.', mention: /penalty/i },
  { sentence: 'Notice must go by registered mail.', mention: /registered mail/i },
  { sentence: 'The deposit is not refunded.', mention: /deposit/i },
  { sentence: 'Disputes go to arbitration first.', mention: /arbitration/i },
  { sentence: 'Prices can rise once a quarter.', mention: /prices/i }
];

export const clauseConcepts: readonly { concept: string; mention: RegExp }[] = [
  ...KINDS.flatMap(({ statements }) => statements.map(({ concept, mention }) => ({ concept, mention }))),
  ...INVENTIONS.map(({ sentence, mention }) => ({ concept: `invented: ${sentence}`, mention }))
];

export const inventedTerms = (random: Random): Invention => random.pick(INVENTIONS);
