import { invalidate, invalidateAll } from '$app/navigation';
import { navigating } from '$app/state';

/**
 * Runs the `load` functions again that depend on a key, or all of them. SvelteKit drops a navigation that is under way
 * when something is read again, and the click on a link would be lost: the navigation goes first.
 */
export async function readAgain(key?: string): Promise<void> {
  while (navigating.to) await navigating.complete?.catch(() => {});
  await (key === undefined ? invalidateAll() : invalidate(key));
}
