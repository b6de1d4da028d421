import type { Point, Series } from '$lib/ui/chart';
import type { Objective, TrainerEvent } from '$lib/wire/run';

/** Figures of a run by their TRL name, in order of steps; `time` is when the trainer said so, in seconds. */
export type Figures = Readonly<Record<string, readonly Point[]>>;

/** New arrays for what has grown, so that what watches them sees it. */
export function withEvents(figures: Figures, events: readonly TrainerEvent[]): Figures {
  const grown = new Map<string, Point[]>();
  for (const { event, step, ...values } of events) {
    if (event !== 'step' && event !== 'eval') continue;
    for (const [name, value] of Object.entries(values)) {
      if (typeof value !== 'number' || (name === 'time' && event === 'eval')) continue;
      let points = grown.get(name);
      if (!points) grown.set(name, (points = [...(figures[name] ?? [])]));
      points.push([Number(step), value]);
    }
  }
  return { ...figures, ...Object.fromEntries(grown) };
}

export interface RunChart {
  id: 'loss' | 'rewards' | 'margins' | 'accuracies' | 'learning_rate' | 'grad_norm';
  series: Series[];
  yBounds?: [number, number];
}

interface Names {
  train: string;
  held: string;
  chosen: string;
  rejected: string;
}

/** What is worth watching of each objective; training drawn, held-out dashed. */
export function chartsOf(objective: Objective, figures: Figures, names: Names): RunChart[] {
  const pair = (name: string, tone: 1 | 2 | 3 = 1, label = ''): Series[] => [
    { name: label + names.train, points: figures[name] ?? [], tone },
    { name: label + names.held, points: figures[`eval_${name}`] ?? [], tone, dashed: true }
  ];
  const alone = (name: string): Series[] => [{ name: names.train, points: figures[name] ?? [], tone: 1 }];
  const loss: RunChart = { id: 'loss', series: pair('loss') };
  if (objective === 'sft')
    return [
      loss,
      { id: 'learning_rate', series: alone('learning_rate') },
      { id: 'grad_norm', series: alone('grad_norm') }
    ];
  return [
    loss,
    {
      id: 'rewards',
      series: [
        ...pair('rewards/chosen', 1, `${names.chosen}, `),
        ...pair('rewards/rejected', 2, `${names.rejected}, `)
      ]
    },
    { id: 'margins', series: pair('rewards/margins', 3) },
    { id: 'accuracies', series: pair('rewards/accuracies'), yBounds: [0, 1] }
  ];
}

/** By the pace of the last steps; null until there are two. */
export function secondsLeft(figures: Figures, maxSteps: number | null): number | null {
  const times = (figures.time ?? []).slice(-30);
  const [first, last] = [times[0], times.at(-1)];
  if (!maxSteps || !first || !last || last[0] <= first[0]) return null;
  return ((last[1] - first[1]) / (last[0] - first[0])) * (maxSteps - last[0]);
}

export function latest(figures: Figures, name: string): number | null {
  return figures[name]?.at(-1)?.[1] ?? null;
}
