// A thousand reviewers in a hundred rooms, and how many edits a second until a tenth of a second is not enough, beside
// Hocuspocus 4 with its database extension: same machine, same PostgreSQL, same documents, edits and people. Concord calls
// an edit saved, and shows it to others, after it is on disk; Hocuspocus before.
//   npm run build && npm ci --prefix bench/rooms && node bench/rooms/run.ts [people] [rooms]
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { freePort, realServer } from '../../tests/real-server.ts';
import { Crowd, type Measured, type Seat } from './load.ts';
import { concord, hocuspocus, type Protocol } from './protocol.ts';

const [people = 1_000, rooms = 100] = process.argv.slice(2).map(Number);
const ROUNDS = 3;
const BASE = people / 2;
const RATES = [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48].map((times) => times * BASE);
const P99_MAX = 100;

interface Runner {
  name: string;
  pid: number;
  crowd: Crowd;
}

const server = await realServer({ bootstrap: true });
const seats = await invite();
const database = {
  host: join(server.dataDir, 'socket'),
  password: readFileSync(join(server.dataDir, 'postgres-password'), 'utf8')
};
const peer = await startPeer();
const runners: Runner[] = [];
await add('Concord', Number(new URL(server.origin).port), server.pid(), concord);
await add('Hocuspocus', peer.port, peer.child.pid!, hocuspocus);

console.log(
  `${people} people in ${rooms} rooms, ${people / rooms - 1} others hear each edit; Node ${process.version}\n`
);
console.log(`At one edit every two seconds each (${BASE} a second), ${ROUNDS} rounds:`);
for (let round = 0; round < ROUNDS; round++) for (const one of runners) await measure(one, BASE, 10);
console.log(`\nMore and more, until the median p99 of ${ROUNDS} rounds is over ${P99_MAX} ms:`);
const most = new Map<string, number>();
let able = runners;
for (const rate of RATES) {
  const rounds = new Map<Runner, Measured[]>(able.map((one) => [one, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const one of able) rounds.get(one)!.push(await measure(one, rate, 4));
  able = able.filter((one) => {
    const { p99, heard, due } = rounds.get(one)!.sort((a, b) => a.p99 - b.p99)[Math.floor(ROUNDS / 2)]!;
    return p99 <= P99_MAX && heard >= due;
  });
  for (const { name } of able) most.set(name, rate);
}
const [ours, theirs] = runners.map(({ name }) => most.get(name) ?? 0);
console.log(
  `\nWithin ${P99_MAX} ms: ${ours} and ${theirs} edits a second, ${(ours! / theirs!).toFixed(1)} times.`
);
for (const { crowd } of runners) crowd.leave();
// Without a last word: it would store what it holds to a database that ends too.
peer.child.kill('SIGKILL');
await server.stop();

async function add(name: string, port: number, pid: number, protocol: Protocol): Promise<void> {
  const crowd = new Crowd(protocol, seats);
  await crowd.come(port);
  runners.push({ name, pid, crowd });
}

async function measure({ name, pid, crowd }: Runner, rate: number, seconds: number): Promise<Measured> {
  const edits = crowd.prepare(rate * (seconds + 2));
  const [serverBefore, databaseBefore] = [cpuOf(pid), databaseCpu()];
  const [ownBefore, at] = [process.cpuUsage(), performance.now()];
  const measured = await crowd.write(edits, rate, people / rooms - 1);
  const passed = performance.now() - at;
  const own = process.cpuUsage(ownBefore);
  const { sent, heard, due, p50, p99 } = measured;
  const share = (ms: number) => `${((100 * ms) / passed).toFixed(0)} %`;
  const cells = [
    name.padEnd(10),
    `${rate}/s`.padStart(7),
    `p50 ${p50.toFixed(1)} ms`.padStart(14),
    `p99 ${p99.toFixed(1)} ms`.padStart(15),
    `heard ${((100 * heard) / due).toFixed(1)} % of ${sent} edits`,
    `server ${share(cpuOf(pid) - serverBefore)} of a core, ${memoryOf(pid)} MB`,
    `PostgreSQL ${share(databaseCpu() - databaseBefore)}`,
    `load ${share((own.user + own.system) / 1_000)}`
  ];
  console.log(cells.join('  ') + (crowd.closed ? `  ${crowd.closed} sockets closed` : ''));
  return measured;
}

/** People who were invited, each in the room of a task with as many others. */
async function invite(): Promise<Seat[]> {
  const review = { mode: 'open', overlap: 20 };
  const { id: project } = await call('POST', '/projects', { name: 'Bench', review, criteria: [] });
  const lines = Array.from({ length: rooms }, (_, n) =>
    JSON.stringify({ prompt: `p${n}`, outputs: ['a', 'b'] })
  );
  const { id } = await call('POST', `/projects/${project}/imports`, lines.join('\n'));
  while ((await call('GET', `/imports/${id}`)).status !== 'done') await new Promise((r) => setTimeout(r, 50));
  const { items: tasks } = await call('GET', `/projects/${project}/tasks?limit=${rooms}`);
  const seats: Seat[] = [];
  for (let n = 0; n < people; n++) {
    const given = { email: `p${n}@example.org`, name: `Person ${n}`, role: 'reviewer' };
    const { token } = await call('POST', `/projects/${project}/members`, given);
    const task = tasks[n % rooms];
    seats.push({ room: `table/${task.id}`, token, key: `c${Math.floor(n / rooms)}/${task.outputs[0].id}` });
  }
  return seats;
}

async function call(method: string, path: string, body?: object | string): Promise<any> {
  const isText = typeof body === 'string';
  const type = isText ? 'application/jsonl' : 'application/json';
  const response = await fetch(`${server.origin}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${server.owner}`, 'content-type': type },
    body: isText ? body : JSON.stringify(body)
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
  return response.json();
}

async function startPeer(): Promise<{ child: ChildProcess; port: number }> {
  const client = new pg.Client({ ...database, user: 'concord', database: 'postgres' });
  await client.connect();
  await client.query('create database hocuspocus');
  await client.end();
  const port = await freePort();
  const env = { ...process.env, NODE_ENV: 'production', PORT: String(port), PGHOST: database.host };
  const child = spawn(process.execPath, [join(import.meta.dirname, 'hocuspocus.js')], {
    env: { ...env, PGPASSWORD: database.password },
    stdio: ['ignore', 'pipe', 'inherit']
  });
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return { child, port };
}

/** Of all processes of the one PostgreSQL that both write to. */
function databaseCpu(): number {
  const postmaster = Number(
    readFileSync(join(server.dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]
  );
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8').trim().split(' ');
  return cpuOf(postmaster, true) + children.reduce((sum, pid) => sum + cpuOf(Number(pid)), 0);
}

/** Milliseconds of processor time that a process has had, and those of its children that have ended; Linux only. */
function cpuOf(pid: number, withEnded = false): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  const TICK_MS = 10;
  return fields.slice(11, withEnded ? 15 : 13).reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0);
}

function memoryOf(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024);
}
