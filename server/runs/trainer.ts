import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { basename, join } from 'node:path';
import type { Config } from '../config.ts';
import { limits } from '../limits.ts';
import { Fault } from '../net/fault.ts';
import { isAlive, startOf, type ProcessId } from './process.ts';

/** What the trainer said on stderr when it refused, without its name, code and paths. */
export class TrainerRefusal extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  /** Its words as the end of a sentence, with a remedy where they bring none. */
  sentence(remedy?: string): string {
    if (/[.!?]$/.test(this.message)) return this.message;
    return remedy && !this.message.includes(';') ? `${this.message}; ${remedy}.` : `${this.message}.`;
  }
}

export const LOG = 'trainer.log';
const LAST_LINE = /^concord-trainer: (.*) \((\w+)\)$/;

function requireTrainer({ trainer }: Config): void {
  if (existsSync(trainer)) return;
  throw new Fault(
    503,
    'no_trainer',
    'The trainer is not built on this server; build it as the README says, or name it in CONCORD_TRAINER.'
  );
}

/** Runs `inspect` and answers its JSON; what it refuses is thrown as TrainerRefusal. */
export async function inspect(
  config: Config,
  args: string[],
  secondsMax: number = limits.runs.inspect_seconds_max
): Promise<unknown> {
  return JSON.parse(await ask(config, ['inspect', ...args], { secondsMax, does: 'read the model' }));
}

/** Runs `score` when nobody else needs the machine; on `stop` it is gone when this ends. */
export async function score(
  config: Config,
  args: string[],
  stop: AbortSignal,
  secondsMax: number = limits.scoring.seconds_max
): Promise<void> {
  const { PRIORITY_LOW: priority } = constants.priority;
  await ask(config, ['score', ...args], { secondsMax, does: 'score the outputs', stop, priority });
}

interface Asking {
  secondsMax: number;
  /** What it is asked to do, for people. */
  does: string;
  stop?: AbortSignal;
  priority?: number;
}

/** What a command that ends by itself writes to stdout. */
async function ask(config: Config, args: string[], asking: Asking): Promise<string> {
  const { secondsMax, does, stop, priority } = asking;
  requireTrainer(config);
  stop?.throwIfAborted();
  const child = spawn(config.trainer, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: secondsMax * 1_000,
    killSignal: 'SIGKILL'
  });
  const end = () => child.kill('SIGKILL');
  stop?.addEventListener('abort', end);
  if (priority !== undefined && child.pid) stepBack(child.pid, priority);
  let said = '';
  let refused = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (refused = (refused + text).slice(-8_000)));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  stop?.removeEventListener('abort', end);
  if (code === 0) return said;
  stop?.throwIfAborted();
  if (signal === 'SIGKILL')
    throw new TrainerRefusal('too_slow', `The trainer did not ${does} within ${secondsMax} seconds`);
  const refusal = refusalIn(config, refused);
  if (refusal) throw refusal;
  throw new TrainerRefusal('failed', `The trainer could not ${does}; files of the model may be damaged`);
}

/** Starts training in a session of its own, so that it goes on when this server ends, whatever ends it. */
export async function startTraining(config: Config, folder: string): Promise<ProcessId> {
  requireTrainer(config);
  const log = await open(join(folder, LOG), 'a', 0o600);
  try {
    const child = spawn(config.trainer, ['train', join(folder, 'job.json')], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', 'ignore', log.fd]
    });
    await once(child, 'spawn');
    const trainer = { pid: child.pid!, start: startOf(child.pid!) ?? 'gone' };
    stepBack(trainer.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    child.unref();
    return trainer;
  } finally {
    await log.close();
  }
}

/** People rank on the same machine: training takes what they leave, and scoring what training would. */
function stepBack(pid: number, priority: number): void {
  try {
    setPriority(pid, priority);
  } catch {
    // It has ended already, which is found out where it is followed.
  }
}

/** Nothing where it is no longer there. */
export function signalTrainer(trainer: ProcessId | null, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (trainer && isAlive(trainer)) process.kill(trainer.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The trainer's last sentence in what it wrote to stderr, if it ended with one. */
export function refusalIn(config: Config, stderr: string): TrainerRefusal | null {
  const last = LAST_LINE.exec(stderr.trimEnd().split('\n').at(-1) ?? '');
  return last && new TrainerRefusal(last[2]!, withoutPaths(config, last[1]!));
}

/** Absolute paths of this machine are nobody's business: only the last part of each stays. */
export function withoutPaths({ dataDir, modelsDir, root }: Config, text: string): string {
  const folders = [modelsDir, dataDir, root].sort((a, b) => b.length - a.length);
  const plain = folders.reduce((said, folder) => said.replaceAll(`${folder}/`, ''), text);
  return plain
    .replace(/\bruns\/run_[\w-]+\//g, '')
    .replace(/(?<![\w.-])\/(?:[^\s:;,"'()/]+\/)+[^\s:;,"'()/]+/g, (path) => basename(path));
}
