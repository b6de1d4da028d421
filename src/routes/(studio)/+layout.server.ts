import { redirect } from '@sveltejs/kit';
import type { LayoutServerLoad } from './$types';

/** Untracked, so that walking from page to page does not ask the server again; the API refuses a session that ended. */
export const load: LayoutServerLoad = ({ locals, url, untrack }) => {
  const next = untrack(() => url.pathname + url.search);
  if (!locals.actor) redirect(303, next === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(next)}`);
};
