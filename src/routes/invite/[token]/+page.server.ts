import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals }) => ({ signedInAs: locals.actor?.email ?? null });
