import { call, Refusal } from '$lib/ui/api.ts';
import type { Invitation } from '$lib/wire/me';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, data }) => {
  try {
    return {
      ...data,
      invitation: await call<Invitation>(fetch, `/invitations/${params.token}`),
      refused: null
    };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return { ...data, invitation: null, refused: thrown.message };
  }
};
