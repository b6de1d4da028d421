/** Runs a story for so many seeds, or for the one in CONCORD_SEED; what fails names its seed, to be told again. */
export async function stories(count: number, story: (seed: number) => Promise<void>): Promise<void> {
  const { CONCORD_SEED } = process.env;
  const seeds = CONCORD_SEED ? [Number(CONCORD_SEED)] : Array.from({ length: count }, (_, n) => n + 1);
  for (const seed of seeds)
    await story(seed).catch((error: unknown) => {
      throw new Error(`CONCORD_SEED=${seed}`, { cause: error });
    });
}
