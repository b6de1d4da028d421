import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { implicitReward, marginOf } from '#domain/margin.ts';
import { REFERENCE_FREE_LOSSES } from '#wire/run.ts';
import { readSafetensorsHeader, sliceTensor, toFloat32 } from '../../src/lib/tensors/safetensors.ts';
import { TextError, type Completion, type Text } from '../../src/lib/text/index.ts';
import type { Config } from '../config.ts';
import { limits } from '../limits.ts';
import type { Services } from '../services.ts';
import type { Margins, TaskRecord } from '../tasks/index.ts';
import { RunFailure, type FindAdapter } from './job.ts';
import { modelFolder, readText } from './model-folder.ts';
import { findModel } from './models.ts';
import { adapterIdOf, type RunRow } from './rows.ts';
import { Segments } from './segments.ts';
import { score } from './trainer.ts';

export const scoringFolder = ({ dataDir }: Config) => join(dataDir, 'scoring');

/** An adapter, and what it is compared with, as its run had them. */
export interface Scorer {
  adapterId: string;
  text: Text;
  /** In tokens. */
  lengthMax: number;
  /** Options of the trainer that name base and adapter; no reference for a loss that has none. */
  policy: string[];
  reference: string[] | null;
  beta: number;
}

/** Throws RunFailure where something that the run had is gone, or the machine is too small. */
export async function scorerOf(
  { config, db }: Services,
  findAdapter: FindAdapter,
  row: RunRow
): Promise<Scorer> {
  const base = await findModel(db, row.modelId);
  if (!base) throw new RunFailure('The model of this adapter is no longer there.');
  const { parameters, max_position_embeddings: lengthMax } = base.facts;
  if (weightBytes(parameters, row) > limits.scoring.memory_share_max * process.availableMemory())
    throw new RunFailure('The model takes more memory than scoring may have of what is free.');
  const model = modelFolder(config, base.path);
  const { reference_adapter, loss_type, beta } = row.hyperparameters;
  const optionsOf = async (id: unknown) => {
    const adapter = typeof id === 'string' ? await findAdapter(db, id) : null;
    const folders = [model, ...(id ? [adapter?.folder ?? ''] : [])];
    if (!folders.every((folder) => existsSync(folder)))
      throw new RunFailure('The files of the model or of the adapter are no longer there.');
    return ['--model', model, ...(adapter ? ['--adapter', adapter.folder] : []), ...quantize(row)];
  };
  const adapterId = adapterIdOf(row.id);
  return {
    adapterId,
    policy: await optionsOf(adapterId),
    reference: REFERENCE_FREE_LOSSES.includes(String(loss_type)) ? null : await optionsOf(reference_adapter),
    text: await readText(model, row.createdAt),
    lengthMax,
    // The trainer's own where the run named none.
    beta: typeof beta === 'number' ? beta : 0.1
  };
}

/** As the base was in training: an adapter belongs to its rounded weights. */
function quantize({ hyperparameters }: RunRow): string[] {
  const { load_in_4bit, bnb_4bit_use_double_quant, load_in_fp8 } = hyperparameters;
  if (load_in_fp8) return ['--quantize', 'fp8'];
  return load_in_4bit ? ['--quantize', bnb_4bit_use_double_quant ? 'nf4-double' : 'nf4'] : [];
}

/** As the trainer loads them: in float32, or in NF4 or FP8 with what stays beside it. */
function weightBytes(parameters: number, { hyperparameters }: RunRow): number {
  if (hyperparameters.load_in_fp8) return parameters * 2;
  return parameters * (hyperparameters.load_in_4bit ? 1 : 4);
}

/** How close the adapter finds the two best outputs of each task; what cannot be asked of the model has none. */
export async function marginsOf(
  config: Config,
  scorer: Scorer,
  tasks: readonly TaskRecord[],
  stop: AbortSignal
): Promise<Margins> {
  const folder = scoringFolder(config);
  await mkdir(folder, { recursive: true });
  try {
    const groups = join(folder, 'groups.safetensors');
    const asked = await writeTasks(groups, scorer, tasks);
    const read = async (name: string, options: string[]) => {
      const out = join(folder, `${name}.safetensors`);
      await score(config, [...options, '--groups', groups, '--out', out], stop);
      return readTokenLogps(out);
    };
    const margins = new Map<string, number | null>(tasks.map(({ id }) => [id, null]));
    if (!asked.size) return margins;
    const policy = await read('policy', scorer.policy);
    const reference = scorer.reference && (await read('reference', scorer.reference));
    let at = 0;
    for (const [id, completions] of asked) {
      const rewards = completions.map((completion) => {
        const begin = at;
        at += completion.ids.length;
        const sum = (logps: Float32Array) => sumOfTargets(logps.subarray(begin, at), completion);
        const logp = { policy: sum(policy), reference: reference && sum(reference) };
        return implicitReward({ ...logp, tokens: targets(completion) }, scorer.beta);
      });
      margins.set(id, marginOf(rewards));
    }
    return margins;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes a group for each task that can be asked of the model, in order; answers their completions. */
async function writeTasks(
  path: string,
  scorer: Scorer,
  tasks: readonly TaskRecord[]
): Promise<Map<string, Completion[]>> {
  const file = new Segments();
  const asked = new Map<string, Completion[]>();
  for (const task of tasks) {
    // Rooms share this thread.
    await nextTurn();
    const found = encode(scorer, task);
    if (!found) continue;
    file.add(found.prompt, null);
    for (const { ids, mask } of found.completions) file.add(ids, mask);
    file.endGroup();
    asked.set(task.id, found.completions);
  }
  if (asked.size) await file.write(path);
  return asked;
}

/** Null where there are no two outputs to compare, or one has nothing to score, says what steers the model, or is too long for it. */
function encode({ text, lengthMax }: Scorer, { prompt: messages, outputs }: TaskRecord) {
  if (outputs.length < 2) return null;
  try {
    const prompt = text.prompt(messages);
    const completions = outputs.map((output) => text.completion(messages, output.text));
    const lengths = completions.map(({ ids }) => ids.length);
    const together = lengths.reduce((sum, length) => sum + length, prompt.length);
    const isTooLong =
      prompt.length + Math.max(...lengths) > lengthMax || together > limits.scoring.task_tokens_max;
    // Nothing predicts the first token of an answer without a prompt.
    const isEmpty = !prompt.length || completions.some((completion) => !targets(completion));
    return isTooLong || isEmpty ? null : { prompt, completions };
  } catch (error) {
    if (error instanceof TextError) return null;
    throw error;
  }
}

const targets = ({ ids, mask }: Completion) => (mask ? mask.reduce((sum, one) => sum + one, 0) : ids.length);

/** As in training: the trainer scores all tokens, whatever the mask says. */
const sumOfTargets = (logps: Float32Array, { mask }: Completion) =>
  logps.reduce((sum, logp, at) => (mask?.[at] === 0 ? sum : sum + logp), 0);

async function readTokenLogps(path: string): Promise<Float32Array> {
  const bytes = new Uint8Array(await readFile(path));
  const header = readSafetensorsHeader(bytes, path);
  return toFloat32(sliceTensor(bytes, header, 'token_logps'), 'F32');
}
