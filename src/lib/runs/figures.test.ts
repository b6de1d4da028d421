import { expect, test } from 'vitest';
import { chartsOf, latest, secondsLeft, withEvents } from './figures.ts';

const names = { train: 'training', held: 'held-out', chosen: 'chosen', rejected: 'rejected' };
const step = (at: number, more: object = {}) => ({
  event: 'step' as const,
  step: at,
  time: 100 + 2 * at,
  ...more
});

test('figures grow by name and step; events without any change nothing', () => {
  const one = withEvents({}, [step(1, { loss: 0.7 }), { event: 'checkpoint', step: 1 }]);
  const two = withEvents(one, [step(2, { loss: 0.6 }), { event: 'eval', step: 2, eval_loss: 0.65, time: 9 }]);
  expect(one.loss).toEqual([[1, 0.7]]);
  expect(two).toEqual({
    loss: [
      [1, 0.7],
      [2, 0.6]
    ],
    eval_loss: [[2, 0.65]],
    time: [
      [1, 102],
      [2, 104]
    ]
  });
  expect([latest(two, 'loss'), latest(two, 'grad_norm')]).toEqual([0.6, null]);
  expect(withEvents(two, [{ event: 'end' }])).toEqual(two);
});

test('time left follows the pace of the last steps', () => {
  expect(secondsLeft({}, 10)).toBe(null);
  expect(secondsLeft(withEvents({}, [step(1)]), 10)).toBe(null);
  expect(secondsLeft(withEvents({}, [step(1), step(2)]), null)).toBe(null);
  expect(secondsLeft(withEvents({}, [step(1), step(4)]), 10)).toBe(12);
});

test('DPO is watched in four charts, SFT in three; held-out figures are dashed', () => {
  const figures = withEvents({}, [
    step(1, { loss: 1, 'rewards/chosen': 0.2 }),
    { event: 'eval', step: 1, eval_loss: 2 }
  ]);
  const dpo = chartsOf('dpo', figures, names);
  expect(dpo.map(({ id }) => id)).toEqual(['loss', 'rewards', 'margins', 'accuracies']);
  expect(dpo[0]!.series).toEqual([
    { name: 'training', points: [[1, 1]], tone: 1 },
    { name: 'held-out', points: [[1, 2]], tone: 1, dashed: true }
  ]);
  expect(dpo[1]!.series.map(({ name }) => name)).toEqual([
    'chosen, training',
    'chosen, held-out',
    'rejected, training',
    'rejected, held-out'
  ]);
  expect(chartsOf('sft', figures, names).map(({ id }) => id)).toEqual(['loss', 'learning_rate', 'grad_norm']);
});
