import type { Random } from '../random.ts';
import { DEVICES, place } from './devices.ts';
import { FINDINGS, pointOf } from './findings.ts';
import { fill, type Invention, type Point, type Scenario } from './point.ts';

const NORMAL: Point = {
  concept: 'normal',
  ways: ['No acute cardiopulmonary abnormality.', 'Normal chest radiograph.'],
  slots: {},
  mention: /no acute cardiopulmonary|normal chest/i
};

const ROUTINE = [
  'annual follow-up',
  'preoperative assessment',
  'positive tuberculin test',
  'atypical chest pain'
];
const CLEAR = ['The lungs are otherwise clear.', 'The mediastinal contours are normal.'];

interface Told {
  point: Point;
  described: string;
  priority: number;
}

/** A chest radiograph: what was seen, and what its impression must say. */
export function chestRadiograph(random: Random, number: number): Scenario {
  const chosen = random.chance(0.05) ? [] : random.some(FINDINGS, random.int(1, 3));
  // One of the two forms of pneumothorax at most: each would contradict the other.
  const tension = chosen.some(({ concept }) => concept === 'tension pneumothorax');
  const findings = chosen.filter(({ concept }) => !(tension && concept === 'pneumothorax'));
  const portable = findings.length > 0 && random.chance(0.5);
  const told: Told[] = findings.map((finding) => {
    const slots = finding.slots(random);
    const described = fill(random.pick(finding.described), slots);
    return { point: pointOf(finding, slots), described, priority: finding.priority };
  });
  if (portable)
    for (const device of random.some(DEVICES, random.int(1, 2))) {
      const { point, described, malpositioned } = place(random, device);
      told.push({ point, described: fill(described, point.slots), priority: malpositioned ? 2 : 8 });
    }
  const leading = [...findings].sort((a, b) => a.priority - b.priority)[0];
  const history = random.pick(leading?.histories ?? ROUTINE);
  const points = [...told].sort((a, b) => a.priority - b.priority).map(({ point }) => point);
  return {
    family: 'chest_radiograph',
    number,
    prompt: report(random, { told, portable, history }),
    points: points.length ? points : [NORMAL]
  };
}

function report(
  random: Random,
  { told, portable, history }: { told: Told[]; portable: boolean; history: string }
): string {
  const present = new Set(told.map(({ point }) => point.concept));
  if (present.has('tension pneumothorax')) present.add('pneumothorax');
  if (present.has('compression fracture')) present.add('rib fracture');
  const absent = FINDINGS.filter(({ concept, negative }) => negative && !present.has(concept));
  const negatives = random.some(absent, random.int(1, 2)).map(({ negative }) => negative!);
  const patient = `${random.int(24, 89)}-year-old ${random.pick(['woman', 'man'])}`;
  return [
    'Write the impression of this chest radiograph.',
    '',
    `Examination: ${portable ? 'Portable AP chest' : 'PA and lateral chest'}.`,
    `History: ${patient}; ${history}.`,
    `Findings: ${[...random.some(told, told.length).map(({ described }) => described), ...negatives, random.pick(CLEAR)].join(' ')}`
  ].join('\n');
}

/** Every concept of a chest radiograph, so that one that was not seen is known when it is named. */
export const chestConcepts: readonly { concept: string; mention: RegExp }[] = [
  ...FINDINGS,
  ...DEVICES,
  NORMAL
].map(({ concept, mention }) => ({ concept, mention }));

/** Lines about things that the radiograph does not show. */
export function inventedFindings(random: Random, points: readonly Point[]): Invention {
  const present = points.map(({ concept }) => concept);
  const finding = random.pick(
    FINDINGS.filter(({ concept }) => !present.some((one) => one.includes(concept) || concept.includes(one)))
  );
  return {
    sentence: fill(random.pick(finding.ways), finding.slots(random)),
    mention: finding.mention
  };
}
