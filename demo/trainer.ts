import { spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCompletions, writeGroups, type Group } from './groups.ts';

const BINARY = fileURLToPath(new URL('../trainer/build/concord-trainer', import.meta.url));

/** The trainer's programs over files in one working folder. */
export interface Trainer {
  folder: string;
  init(config: unknown, seed: number): Promise<string>;
  /** Trains and gives the folder of the model or adapter that came of it. */
  train(name: string, job: Record<string, unknown>): Promise<string>;
  groups(name: string, groups: readonly Group[]): Promise<string>;
  generate(args: GenerateArgs): Promise<number[][][]>;
}

export interface GenerateArgs {
  model: string;
  adapter?: string;
  prompts: readonly number[][];
  samples?: number;
  temperature: number;
  maxNewTokens?: number;
  seed?: number;
}

export async function trainerIn(folder: string, { threads }: { threads?: number } = {}): Promise<Trainer> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const at = (name: string) => join(folder, name);
  const groups: Trainer['groups'] = async (name, all) => {
    await writeGroups(at(name), all);
    return at(name);
  };
  const run = (...args: string[]) => start(args, threads);

  return {
    folder,
    groups,
    async init(config, seed) {
      await writeFile(at('config.json'), JSON.stringify(config));
      await run('init', '--config', at('config.json'), '--seed', String(seed), '--out', at('init'));
      return at('init');
    },
    async train(name, job) {
      await writeFile(at(`${name}.json`), JSON.stringify({ output_dir: at(name), ...job }));
      await run('train', at(`${name}.json`));
      const events = (await readFile(join(at(name), 'events.jsonl'), 'utf8')).trimEnd().split('\n');
      const { model, adapter } = JSON.parse(events.at(-1)!) as { model?: string; adapter?: string };
      return (model ?? adapter)!;
    },
    async generate({ model, adapter, prompts, samples = 1, temperature, maxNewTokens = 160, seed = 1 }) {
      await groups(
        'prompts.safetensors',
        prompts.map((prompt) => ({ prompt, completions: [] }))
      );
      await run(
        ...['generate', '--model', model, ...(adapter ? ['--adapter', adapter] : [])],
        ...['--groups', at('prompts.safetensors'), '--out', at('samples.safetensors')],
        ...['--num-return-sequences', String(samples), '--temperature', String(temperature)],
        ...['--max-new-tokens', String(maxNewTokens), '--seed', String(seed)]
      );
      return readCompletions(at('samples.safetensors'));
    }
  };
}

function start(args: string[], threads?: number): Promise<void> {
  const env = threads ? { ...process.env, CONCORD_THREADS: String(threads) } : process.env;
  const child = spawn(BINARY, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (piece) => (said = (said + piece).slice(-2_000)));
  return new Promise((resolve, reject) => {
    child.on('error', (error) =>
      reject(
        new Error(
          `The trainer does not start (${error.message}); build it: cmake -S trainer -B trainer/build && cmake --build trainer/build.`
        )
      )
    );
    child.on('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`concord-trainer ${args[0]} ended with ${code}: ${said.trim()}`))
    );
  });
}
