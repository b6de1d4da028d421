import { owner, readOne, within, type Answer } from './store.ts';

/** Beyond that an answer that lies on the device is better than one that may still come. */
export const PATIENCE_MS = 2_500;

/** Keeps answers of the API for pages that cannot ask it. */
export async function keepAnswers(user: string, answers: readonly Answer[]): Promise<void> {
  await within(user, 'answers', async (store) => {
    for (const answer of answers) store.put(answer);
  });
}

export async function forgetAnswers(user: string, paths: readonly string[]): Promise<void> {
  await within(user, 'answers', async (store) => {
    for (const path of paths) store.delete(path);
  });
}

/** What lies on this device for a path, of the person who took tasks along; undefined where nothing does. */
export async function keptAnswer(path: string): Promise<unknown> {
  if (typeof localStorage === 'undefined') return undefined;
  const user = owner.get();
  if (!user) return undefined;
  try {
    return (await readOne(user, 'answers', path))?.value;
  } catch {
    return undefined;
  }
}
