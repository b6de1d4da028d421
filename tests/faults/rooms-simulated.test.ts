import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { log } from '../../server/net/log.ts';
import { scaled } from './scale.ts';
import { World, type Account, type Bug } from './simulation/world.ts';

// F1: nothing that was called saved is lost, nobody is told early, and in the end pages, log and rankings agree.
// One seed again: CONCORD_SEED=<seed> npx vitest run tests/faults/rooms-simulated.test.ts

const SEEDS = scaled(300, 20_000);
const OPERATIONS = 200;
const ONLY = process.env.CONCORD_SEED;
const seeds = ONLY ? [Number(ONLY)] : Array.from({ length: SEEDS }, (_, n) => n + 1);

beforeAll(() => {
  vi.spyOn(log, 'error').mockImplementation(() => {});
  // Each page of y-websocket's listens for the end of the process.
  process.setMaxListeners(0);
  vi.stubGlobal('location', { origin: 'http://simulated' });
});
afterAll(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test(
  `${seeds.length} stories of ${OPERATIONS} things that happen to a room`,
  { timeout: 3_600_000 },
  async () => {
    const total: Account = { edits: 0, saved: 0, submitted: 0, kills: 0 };
    for (const seed of seeds) {
      const world = new World(seed);
      const faults = await world.run(OPERATIONS);
      expect(faults, `seed ${seed}`).toEqual([]);
      for (const key of Object.keys(total) as (keyof Account)[]) total[key] += world.account[key];
    }
    console.log(`${seeds.length} seeds`, total);
    // A simulation in which nothing happens finds nothing.
    for (const count of Object.values(total)) expect(count).toBeGreaterThan(seeds.length);
  }
);

test.each<Bug>([
  'says committed before it is',
  'loses a row',
  'keeps the ranking and loses its edit',
  'a frame to a page is swallowed',
  'a page takes any word for saved'
])('the checks find it where %s', async (bug) => {
  const found: string[] = [];
  for (let seed = 1; seed <= 20 && !found.length; seed++)
    found.push(...(await new World(seed, bug).run(OPERATIONS)));
  expect(found).not.toEqual([]);
});
