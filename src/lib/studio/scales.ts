import { m } from '$lib/paraglide/messages.js';
import type { Criterion } from '$lib/wire/project';

type Scale = Criterion['scale'];

const names: Record<Scale, () => string> = {
  yes_no: m.work_new_scale_yes_no,
  likert5: m.work_new_scale_likert5,
  acceptability: m.work_new_scale_acceptability
};

export const scales = Object.keys(names) as Scale[];

export function scaleName(scale: Scale): string {
  return names[scale]();
}
