import type { PageServerLoad } from './$types';

export const load: PageServerLoad = ({ locals: { actor } }) => ({
  signedIn: actor && { id: actor.id, email: actor.email }
});
