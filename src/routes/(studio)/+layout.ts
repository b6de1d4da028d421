import { isHttpError, redirect } from '@sveltejs/kit';
import { browser } from '$app/environment';
import { along } from '$lib/device/along.svelte.ts';
import { outbox } from '$lib/device/outbox.svelte.ts';
import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { Me } from '$lib/wire/me';
import type { Project } from '$lib/wire/project';
import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ fetch, depends, url, untrack }) => {
  depends('concord:projects');
  try {
    const [me, { items }] = await Promise.all([
      read<Me>(fetch, '/me'),
      read<List<Project>>(fetch, '/projects')
    ]);
    // What to do next depends on what lies on this device.
    if (browser) await Promise.all([along.read(me.user.id), outbox.read(me.user.id)]);
    return { me, projects: items };
  } catch (error) {
    if (!isHttpError(error, 401)) throw error;
    const next = untrack(() => url.pathname + url.search);
    redirect(303, next === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(next)}`);
  }
};
