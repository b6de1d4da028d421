import { redirect } from '@sveltejs/kit';
import type { PageServerLoad } from './$types';

/** Only a path of this site: `//elsewhere` and `/\elsewhere` would lead a person away with their session fresh. */
function inside(next: string | null): string {
  return next && /^\/(?![/\\])/.test(next) ? next : '/';
}

export const load: PageServerLoad = async ({ locals, url }) => {
  const next = inside(url.searchParams.get('next'));
  if (locals.actor) redirect(303, next);
  if (!(await locals.app.hasAccounts())) redirect(303, '/welcome');
  return { next };
};
