import { m } from '$lib/paraglide/messages.js';
import type { Model } from '$lib/wire/model';
import { PAIR_LOSSES, type Hyperparameters, type Objective } from '$lib/wire/run';

/** A job key of the trainer as a field: TRL's or PEFT's own name, a sentence, and what an empty field means. */
export interface Setting {
  key: string;
  label: () => string;
  hint: () => string;
  otherwise: (objective: Objective) => string;
  kind: 'number' | 'words' | 'choice' | 'switch';
  choices?: string[];
  objective?: Objective;
  /** Comes from the parent adapter where there is one. */
  ofAdapter?: boolean;
  shown?: boolean;
}

const same = (text: string) => () => text;

export const settings: Setting[] = [
  {
    ...{ key: 'learning_rate', label: m.runs_set_learning_rate, hint: m.runs_set_learning_rate_hint },
    ...{ otherwise: (objective) => (objective === 'dpo' ? '1e-5' : '2e-4'), kind: 'number', shown: true }
  },
  {
    ...{ key: 'num_train_epochs', label: m.runs_set_epochs, hint: m.runs_set_epochs_hint },
    ...{ otherwise: same('1'), kind: 'number', shown: true }
  },
  {
    ...{ key: 'beta', label: m.runs_set_beta, hint: m.runs_set_beta_hint },
    ...{ otherwise: same('0.1'), kind: 'number', objective: 'dpo', shown: true }
  },
  {
    ...{ key: 'groups_per_step', label: m.runs_set_groups, hint: m.runs_set_groups_hint },
    ...{ otherwise: same('8'), kind: 'number' }
  },
  {
    ...{ key: 'max_steps', label: m.runs_set_max_steps, hint: m.runs_set_max_steps_hint },
    ...{ otherwise: m.runs_set_none, kind: 'number' }
  },
  {
    ...{ key: 'r', label: m.runs_set_r, hint: m.runs_set_r_hint },
    ...{ otherwise: same('8'), kind: 'number', ofAdapter: true }
  },
  {
    ...{ key: 'lora_alpha', label: m.runs_set_alpha, hint: m.runs_set_alpha_hint },
    ...{ otherwise: same('16'), kind: 'number', ofAdapter: true }
  },
  {
    ...{ key: 'target_modules', label: m.runs_set_modules, hint: m.runs_set_modules_hint },
    ...{ otherwise: same('all-linear'), kind: 'words', ofAdapter: true }
  },
  {
    ...{ key: 'lr_scheduler_type', label: m.runs_set_schedule, hint: m.runs_set_schedule_hint },
    ...{
      otherwise: same('linear'),
      kind: 'choice',
      choices: ['linear', 'cosine', 'constant', 'constant_with_warmup']
    }
  },
  {
    ...{ key: 'warmup_ratio', label: m.runs_set_warmup, hint: m.runs_set_warmup_hint },
    ...{ otherwise: same('0'), kind: 'number' }
  },
  {
    ...{ key: 'weight_decay', label: m.runs_set_decay, hint: m.runs_set_decay_hint },
    ...{ otherwise: same('0'), kind: 'number' }
  },
  {
    ...{ key: 'max_grad_norm', label: m.runs_set_norm, hint: m.runs_set_norm_hint },
    ...{ otherwise: same('1'), kind: 'number' }
  },
  {
    ...{ key: 'loss_type', label: m.runs_set_loss, hint: m.runs_set_loss_hint },
    ...{ otherwise: same('sigmoid'), kind: 'choice', choices: PAIR_LOSSES, objective: 'dpo' }
  },
  {
    ...{ key: 'label_smoothing', label: m.runs_set_smoothing, hint: m.runs_set_smoothing_hint },
    ...{ otherwise: same('0'), kind: 'number', objective: 'dpo' }
  },
  {
    ...{ key: 'max_length', label: m.runs_set_length, hint: m.runs_set_length_hint },
    ...{ otherwise: m.runs_set_of_model, kind: 'number' }
  },
  {
    ...{ key: 'truncation_mode', label: m.runs_set_truncation, hint: m.runs_set_truncation_hint },
    ...{ otherwise: same('drop'), kind: 'choice', choices: ['drop', 'keep_start', 'keep_end'] }
  },
  {
    ...{ key: 'eval_steps', label: m.runs_set_eval, hint: m.runs_set_eval_hint },
    ...{ otherwise: m.runs_set_tenth, kind: 'number' }
  },
  {
    ...{ key: 'save_steps', label: m.runs_set_save, hint: m.runs_set_save_hint },
    ...{ otherwise: m.runs_set_tenth, kind: 'number' }
  },
  {
    ...{ key: 'load_best_model_at_end', label: m.runs_set_best, hint: m.runs_set_best_hint },
    ...{ otherwise: same('false'), kind: 'switch' }
  },
  {
    ...{ key: 'seed', label: m.runs_set_seed, hint: m.runs_set_seed_hint },
    ...{ otherwise: same('42'), kind: 'number' }
  }
];

export type Values = Record<string, string>;

export function settingsFor(objective: Objective, hasParent: boolean): Setting[] {
  return settings.filter(
    (one) => (!one.objective || one.objective === objective) && !(hasParent && one.ofAdapter)
  );
}

const SMALL_PARAMETERS = 50_000_000;

/** A small base learns little from the rates of large ones; measured on the demo base (demo/round.ts). */
export function suggested(model: Model | undefined, objective: Objective): Values {
  if (!model || model.facts.parameters > SMALL_PARAMETERS) return {};
  const size = { r: '16', lora_alpha: '32' };
  if (objective === 'sft')
    return { learning_rate: '2e-3', num_train_epochs: '6', groups_per_step: '4', ...size };
  return { learning_rate: '7e-4', num_train_epochs: '12', groups_per_step: '6', ...size };
}

/** What stands in the fields, as job keys; the trainer checks the values and names what is wrong. */
export function hyperparametersOf(values: Values, shown: Setting[]): Hyperparameters {
  const given = shown.filter(({ key }) => (values[key] ?? '').trim() !== '');
  return Object.fromEntries(
    given.map((setting) => [setting.key, valueOf(setting, values[setting.key]!.trim())])
  );
}

function valueOf({ kind, key }: Setting, text: string): unknown {
  if (kind === 'switch') return text === 'true';
  if (kind === 'number') return Number.isNaN(Number(text)) ? text : Number(text);
  if (key === 'target_modules' && text !== 'all-linear') return text.split(/[\s,]+/);
  return text;
}

/** The other way: what an earlier run was given. */
export function valuesOf(hyperparameters: Hyperparameters): Values {
  const words = (value: unknown) => (Array.isArray(value) ? value.join(', ') : String(value));
  return Object.fromEntries(
    Object.entries(hyperparameters)
      .filter(([key, value]) => value != null && settings.some((one) => one.key === key))
      .map(([key, value]) => [key, words(value)])
  );
}
