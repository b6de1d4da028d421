import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readText } from './recipe.ts';
import { measureRound, rankedGroups } from './round.ts';
import type { DemoTask } from './tasks.ts';
import { trainerIn } from './trainer.ts';

const at = (name: string) => new URL(name, import.meta.url).pathname;
const present = existsSync(at('../trainer/build/concord-trainer')) || Boolean(process.env.CI);
const tasks = readFileSync(at('tasks.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as DemoTask);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concord-round-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('pairs go from better to worse answers of one task', async () => {
  const text = await readText(at('model'));
  const [group] = rankedGroups(text, tasks.slice(0, 1));
  expect(group!.completions).toHaveLength(4);
  expect(group!.pairs!.length).toBeGreaterThan(0);
  expect(
    group!.pairs!.every(([chosen, rejected]) => chosen !== rejected && Math.max(chosen, rejected) < 4)
  ).toBe(true);
});

test.skipIf(!present)(
  'a round on fourteen ranked tasks prefers the better of answers it has not seen',
  async () => {
    const text = await readText(at('model'));
    const measured = await measureRound(
      await trainerIn(join(folder, 'trainer')),
      { model: at('model'), text, train: tasks.slice(0, 14), heldOut: tasks.slice(14) },
      undefined,
      60
    );
    expect(measured.pairs).toBeGreaterThan(40);
    expect(measured.heldOut.accuracy).toBeGreaterThan(0.6);
    expect(measured.heldOut.margin).toBeGreaterThan(0);
    expect(measured.greedy.after.withError).toBeLessThan(measured.greedy.before.withError - 0.1);
  },
  240_000
);
