import type { Sampling } from './sampler.ts';

export interface SamplingForm extends Sampling {
  max_new_tokens: number;
}

/** Greedy at first: what differs between base and adapter is then the adapter's doing alone. */
export const firstSampling = (): SamplingForm => ({
  temperature: 0,
  top_p: 1,
  top_k: 0,
  seed: 1,
  max_new_tokens: 200
});
