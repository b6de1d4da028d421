import { inventedFindings } from './grammar/chest.ts';
import { inventedTerms } from './grammar/clause.ts';
import { missay, say, type Family, type Point, type Scenario } from './grammar/point.ts';
import type { Random } from './random.ts';

/**
 * How a family goes wrong. Habits are frequent enough that the most likely answer of a base model trained on them shows
 * them, which is what a preference round can unlearn; slips are rarer and make single samples differ.
 */
interface Faults {
  hedges: readonly ((sentence: string) => string)[];
  openings: readonly string[];
  closings: readonly string[];
  hedged(point: Point): number;
  opened: number;
  closed: number;
  /** How often this point is left out from habit. */
  dropped(point: Point, last: boolean): number;
}

const lower = (sentence: string) =>
  /^[A-Z]{2}|^T\d/.test(sentence) ? sentence : sentence.charAt(0).toLowerCase() + sentence.slice(1);

const HEDGED_FINDINGS = ['pneumonia', 'nodule', 'edema', 'cardiomegaly', 'lymphadenopathy', 'atelectasis'];

export const FAULTS: Record<Family, Faults> = {
  chest_radiograph: {
    hedges: [(sentence) => `Possible ${lower(sentence)}`, (sentence) => `There may be ${lower(sentence)}`],
    openings: [],
    closings: ['Clinical correlation is recommended.', 'Please see the findings above for details.'],
    hedged: ({ concept }) => (HEDGED_FINDINGS.includes(concept) ? 0.5 : 0.05),
    opened: 0,
    closed: 0.5,
    dropped: ({ slots }) => (slots.verdict?.value === 'in satisfactory position' ? 0.5 : 0)
  },
  contract_clause: {
    hedges: [(sentence) => `It seems that ${lower(sentence)}`, (sentence) => `Perhaps ${lower(sentence)}`],
    openings: [
      'This clause is an important part of the agreement.',
      'Contracts often have a clause like this.'
    ],
    closings: ['Please read the clause with care before you sign.'],
    hedged: () => 0.12,
    opened: 0.5,
    closed: 0.15,
    dropped: (_, last) => (last ? 0.5 : 0)
  }
};

const WRONG = 0.12;
const INVENTED = 0.12;
const OMITTED = 0.08;

/** The answer an expert would give. */
export const goodAnswer = (random: Random, scenario: Scenario): string =>
  compose(
    scenario.family,
    scenario.points.map((point) => say(random, point))
  );

/** An answer as the base model's teachers gave it: right more often than not in each thing, seldom in all. */
export function noisyAnswer(random: Random, scenario: Scenario): string {
  const { family, points } = scenario;
  const faults = FAULTS[family];
  const slips = { wrong: random.chance(WRONG), omitted: random.chance(OMITTED) };
  const victim = random.int(0, points.length - 1);
  const kept = points.filter((point, i) => {
    const forgotten = slips.omitted && i === victim;
    const last = i === points.length - 1 && points.length > 2;
    return !forgotten && !random.chance(faults.dropped(point, last));
  });
  const sentences = (kept.length ? kept : points.slice(0, 1)).map((point) => {
    const misread = slips.wrong && point === points[victim] ? missay(random, point) : null;
    const said = misread ?? say(random, point);
    return random.chance(faults.hedged(point)) ? random.pick(faults.hedges)(said) : said;
  });
  if (random.chance(INVENTED)) {
    const invention =
      family === 'chest_radiograph' ? inventedFindings(random, points) : inventedTerms(random);
    sentences.splice(random.int(1, sentences.length), 0, invention.sentence);
  }
  if (random.chance(faults.opened)) sentences.unshift(random.pick(faults.openings));
  if (random.chance(faults.closed)) sentences.push(random.pick(faults.closings));
  return compose(family, sentences);
}

/** Impressions are numbered lines, explanations are running text. */
export function compose(family: Family, sentences: readonly string[]): string {
  if (family === 'contract_clause') return sentences.join(' ');
  return sentences.length === 1 ? sentences[0]! : sentences.map((one, i) => `${i + 1}. ${one}`).join('\n');
}
