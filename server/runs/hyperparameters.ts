import { join } from 'node:path';
import type { Hyperparameters, Objective } from '#wire/run.ts';
import { Fault } from '../net/fault.ts';

/** Keys of a job that the studio sets itself, and what to say instead. */
const STUDIO_KEYS: Record<string, string> = {
  model_name_or_path: 'name the base in "model"',
  train_file: 'name the rows in "dataset"',
  eval_file: 'the held-out split of "dataset" is used',
  output_dir: 'the studio chooses the folder',
  adapter_name_or_path: 'name the adapter to go on from in "parent_adapter"',
  objective: 'name it in "objective", beside "hyperparameters"',
  resume_from_checkpoint: 'the studio goes on at the newest checkpoint by itself'
};

/** Losses of the trainer that read what a frozen dataset does not hold. */
const OTHER_DATA: Record<string, string> = {
  kto: 'votes on single outputs',
  plackett_luce: 'rankings as tiers'
};

/** What the studio refuses before it asks the trainer, which knows its own keys and ranges best. */
export function checkStudioKeys(hyperparameters: Hyperparameters): void {
  for (const key of Object.keys(hyperparameters)) {
    if (Object.hasOwn(STUDIO_KEYS, key))
      throw refuseKey(`hyperparameters.${key}: the studio sets it; ${STUDIO_KEYS[key]}.`);
  }
  const reads = OTHER_DATA[String(hyperparameters.loss_type)];
  if (reads)
    throw refuseKey(
      `hyperparameters.loss_type: ${hyperparameters.loss_type} learns from ${reads}, and a dataset holds pairs; use the trainer itself.`
    );
  if ('finetuning_type' in hyperparameters && hyperparameters.finetuning_type !== 'lora')
    throw refuseKey(
      'hyperparameters.finetuning_type: a run makes an adapter, so it is "lora"; use the trainer itself for "full".'
    );
}

export const refuseKey = (detail: string) => new Fault(422, 'bad_hyperparameters', detail);

export interface JobFiles {
  folder: string;
  model: string;
  hasEval: boolean;
  /** Folders of adapters. */
  parent: string | null;
  reference: string | null;
}

/** The trainer's job (trainer contract, Job). `steps`: how many there will be, for checkpoints and evaluations in between. */
export function jobOf(
  objective: Objective,
  { reference_adapter: _, ...given }: Hyperparameters,
  files: JobFiles,
  steps: number
): Record<string, unknown> {
  const tenth = Math.max(1, Math.ceil(steps / 10));
  return {
    save_steps: tenth,
    ...(files.hasEval ? { eval_steps: tenth } : {}),
    ...given,
    model_name_or_path: files.model,
    train_file: join(files.folder, 'train.safetensors'),
    ...(files.hasEval ? { eval_file: join(files.folder, 'eval.safetensors') } : {}),
    output_dir: join(files.folder, 'output'),
    objective,
    ...(files.parent ? { adapter_name_or_path: files.parent } : {}),
    ...(files.reference ? { reference_adapter: files.reference } : {}),
    resume_from_checkpoint: 'auto'
  };
}

/** As the trainer counts them; its own word comes with its first event. */
export function stepsOf(hyperparameters: Hyperparameters, groups: number): number {
  const { max_steps, num_train_epochs = 1, groups_per_step = 8 } = hyperparameters;
  if (typeof max_steps === 'number') return max_steps;
  return Math.ceil(Number(num_train_epochs) * Math.ceil(groups / Number(groups_per_step)));
}
