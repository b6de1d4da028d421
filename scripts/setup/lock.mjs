import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const FILE = '.concord-setup';

/**
 * One set-up at a time in this folder. A set-up that was killed leaves its npm or compiler at work, and another beside
 * it would tear up what that one writes: so the programs that it started hold the folder too, until they have ended.
 */
export async function takeFolder() {
  for (let told = false; ; await sleep(300)) {
    const holder = holders().find(isAlive);
    if (!holder) break;
    if (!told)
      console.log(`Another set-up is at work in this folder (process ${holder.pid}); waiting for it.`);
    told = true;
  }
  writeFileSync(FILE, lineOf(process.pid));
  process.on('exit', () => rmSync(FILE, { force: true }));
}

export function holdFor(child) {
  if (child.pid) appendFileSync(FILE, lineOf(child.pid));
}

const lineOf = (pid) => `${pid} ${startOf(pid)}\n`;

function holders() {
  if (!existsSync(FILE)) return [];
  const lines = readFileSync(FILE, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => line.split(' ')).map(([pid, start]) => ({ pid: Number(pid), start }));
}

function isAlive({ pid, start }) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return startOf(pid) === start;
}

/** Numbers of processes come again; with the time of its start one is known for sure, where the system tells it. */
function startOf(pid) {
  try {
    const [, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) (?=[^)]*$)/);
    const [state, ...rest] = fields.split(' ');
    return state === 'Z' ? 'ended' : rest[18];
  } catch {
    return 'unknown';
  }
}
