import { expect, test } from 'vitest';
import { compose, FAULTS, goodAnswer, noisyAnswer } from '../answers.ts';
import { judge, rank } from '../judge.ts';
import { random } from '../random.ts';
import { inventedFindings } from './chest.ts';
import { inventedTerms } from './clause.ts';
import { FAMILIES, scenarioOf } from './index.ts';
import { missay, say } from './point.ts';

const scenarios = FAMILIES.flatMap((family) => Array.from({ length: 1500 }, (_, i) => scenarioOf(family, i)));

test('the same number gives the same text, another number another', () => {
  for (const family of FAMILIES) {
    expect(scenarioOf(family, 7)).toEqual(scenarioOf(family, 7));
    const prompts = new Set(Array.from({ length: 1000 }, (_, i) => scenarioOf(family, i).prompt));
    expect(prompts.size).toBeGreaterThan(950);
    expect([...prompts].filter((prompt) => /[{}]|undefined/.test(prompt))).toEqual([]);
  }
});

test('a good answer has no error, whichever way it is said', () => {
  for (const scenario of scenarios)
    for (let seed = 0; seed < 3; seed++) {
      const answer = goodAnswer(random(seed), scenario);
      expect([scenario.prompt, answer, judge(scenario, answer).errors]).toEqual([scenario.prompt, answer, 0]);
    }
});

test('each kind of error is found as what it is', () => {
  const source = random(1);
  for (const scenario of scenarios) {
    const { family, points } = scenario;
    const said = points.map((point) => say(source, point));
    const judged = (sentences: string[]) => judge(scenario, compose(family, sentences));
    const at = source.int(0, points.length - 1);
    const point = points[at]!;
    const context = [scenario.prompt, said, point.concept];
    const without = said.filter((_, i) => i !== at);
    expect([...context, judged(without).omitted]).toEqual([...context, [point.concept]]);
    const misread = missay(source, point);
    if (misread) {
      const { wrong, errors } = judged(said.with(at, misread));
      expect([...context, misread, wrong, errors]).toEqual([...context, misread, [point.concept], 1]);
    }
    const invention =
      family === 'chest_radiograph' ? inventedFindings(source, points) : inventedTerms(source);
    const invented = judged([...said, invention.sentence]);
    expect([...context, invention, invented.invented.length, invented.errors]).toEqual([
      ...context,
      invention,
      1,
      1
    ]);
    const hedge = source.pick(FAULTS[family].hedges);
    expect(judged(said.with(at, hedge(said[at]!)))).toMatchObject({ hedged: 1, errors: 1 });
    const filler = source.pick(FAULTS[family].closings);
    expect(judged([...said, filler])).toMatchObject({ padding: 1, errors: 1 });
    expect(judged([...said, 'Side the of of.'])).toMatchObject({ unclear: 1, errors: 1 });
  }
});

test('noisy answers are good and bad in a mixture', () => {
  const source = random(2);
  for (const family of FAMILIES) {
    const ours = scenarios.filter((one) => one.family === family);
    const clean =
      ours.filter((one) => judge(one, noisyAnswer(source, one)).errors === 0).length / ours.length;
    expect(clean).toBeGreaterThan(0.1);
    expect(clean).toBeLessThan(0.5);
  }
});

test('the ranking puts harm last and equal answers in one tier', () => {
  const scenario = scenarioOf('chest_radiograph', 0);
  const good = goodAnswer(random(1), scenario);
  const padded = compose(scenario.family, [
    ...scenario.points.map((point) => say(random(1), point)),
    'Clinical correlation is recommended.'
  ]);
  expect(rank(scenario, ['Normal chest radiograph.', good, padded, good])).toEqual([[1, 3], [2], [0]]);
});
