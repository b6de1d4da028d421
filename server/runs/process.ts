import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A process that outlives this one: a pid alone may belong to another by now, so its start time goes with it. */
export interface ProcessId {
  pid: number;
  /** In the kernel's own words; only ever compared. */
  start: string;
}

/** When the process began; null where there is none, or where it has ended and only waits to be collected. */
export function startOf(pid: number): string | null {
  return process.platform === 'linux' ? startOnLinux(pid) : startByPs(pid);
}

export function isAlive({ pid, start }: ProcessId): boolean {
  return startOf(pid) === start;
}

/**
 * The trainer that works on this job, or null: a server that was killed after starting one and before noting its pid
 * finds it again so.
 */
export const findTrainer = (jobFile: string) => findCommand(` train ${jobFile}`);

export function findCommand(words: string): ProcessId | null {
  for (const command of commands()) {
    const { pid } = command;
    if (!command.words.includes(words)) continue;
    const start = startOf(pid);
    if (start !== null) return { pid, start };
  }
  return null;
}

function startOnLinux(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything; fields are counted from behind it: state first, start time 20th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!;
  } catch {
    return null;
  }
}

function startByPs(pid: number): string | null {
  const { stdout } = spawnSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' });
  const said = (stdout ?? '').trim();
  return said === '' || said.startsWith('Z') ? null : said.replace(/^\S+\s+/, '');
}

function commands(): { pid: number; words: string }[] {
  if (process.platform !== 'linux') {
    const { stdout } = spawnSync('ps', ['-axo', 'pid=,command='], { encoding: 'utf8' });
    return (stdout ?? '').split('\n').map((line) => ({ pid: Number.parseInt(line, 10), words: line }));
  }
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => ({ pid: Number(pid), words: commandOnLinux(pid) }));
}

function commandOnLinux(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
