import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realServer, type RealServer } from '../real-server.ts';
import { pick, scaled } from './scale.ts';
import { Writers } from './writers.ts';

// F2 and F3: the processes are killed at random moments under eight clients that write; what was called saved is there.

let server: RealServer;
let writers: Writers;
beforeEach(async () => {
  server = await realServer({ bootstrap: true });
  writers = new Writers(server);
  await writers.prepare();
});
afterEach(() => server.stop());

async function fallAndRise(rounds: number, fall: () => Promise<void>): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await writers.writeUntil(60 + Math.random() * 350, fall);
    await server.start();
    await writers.expectKept();
  }
  await writers.expectDelivered();
  console.log(`${rounds} falls`, writers.promised);
  expect(writers.promised.submissions).toBeGreaterThan(rounds / 2);
  expect(writers.promised.edits).toBeGreaterThan(rounds * 10);
}

const SERVER_KILLS = scaled(10, 50);
test(`${SERVER_KILLS} kills of the server lose nothing that it called saved`, { timeout: 900_000 }, () =>
  fallAndRise(SERVER_KILLS, () => server.kill())
);

const DATABASE_KILLS = scaled(6, 50);
test(
  `${DATABASE_KILLS} kills of PostgreSQL lose nothing that was called saved, and end the server`,
  { timeout: 900_000 },
  async () => {
    const pid = async () =>
      Number((await readFile(join(server.dataDir, 'postgres/postmaster.pid'), 'utf8')).split('\n')[0]);
    /** One of its processes: PostgreSQL ends them all, as none can trust the shared memory any more. */
    const backend = async () =>
      Number(
        pick(
          Math.random,
          execFileSync('pgrep', ['-P', String(await pid())], { encoding: 'utf8' })
            .trim()
            .split('\n')
        )
      );
    const ways = [
      async () => process.kill(await pid(), 'SIGKILL'),
      async () => process.kill(await pid(), 'SIGQUIT'),
      async () => process.kill(await backend(), 'SIGKILL')
    ];
    let round = 0;
    await fallAndRise(DATABASE_KILLS, async () => {
      await ways[round++ % ways.length]!();
      await server.ended();
    });
  }
);
