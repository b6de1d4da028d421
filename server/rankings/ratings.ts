import type { Criterion } from '#wire/project.ts';
import type { Ratings } from '#wire/ranking.ts';
import { Fault } from '../net/fault.ts';

/** The values of each scale, as they are stored and counted. */
const scales: Record<Criterion['scale'], { fits(value: unknown): boolean; said: string }> = {
  yes_no: {
    fits: (value) => typeof value === 'boolean' || value === 'yes' || value === 'no',
    said: 'true, false, "yes" or "no"'
  },
  likert5: {
    fits: (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 5,
    said: 'a whole number from 1 to 5'
  },
  acceptability: {
    fits: (value) => ['acceptable', 'minor', 'major', 'unacceptable'].includes(value as string),
    said: '"acceptable", "minor", "major" or "unacceptable"'
  }
};

/** Refuses ratings of unknown criteria or outputs, and values that are not on the criterion's scale. */
export function checkRatings(ratings: Ratings, criteria: Criterion[], outputs: readonly string[]): void {
  for (const [key, value] of Object.entries(ratings)) {
    const [id, output, ...rest] = key.split('/');
    const criterion = criteria.find((one) => one.id === id);
    if (!criterion) throw invalid(`ratings: the project has no criterion "${id!.slice(0, 40)}".`);
    if (!output || rest.length || !outputs.includes(output))
      throw invalid(`ratings: "${key.slice(0, 120)}" must be criterion/output with an output of this task.`);
    const scale = scales[criterion.scale];
    if (!scale.fits(value)) throw invalid(`ratings: ${criterion.id} takes ${scale.said}.`);
  }
}

const invalid = (detail: string) => new Fault(422, 'invalid', detail);
