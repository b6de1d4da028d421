import { m } from '$lib/paraglide/messages.js';
import { call, type Fetch } from '$lib/ui/api.ts';
import { pagesFor } from '$lib/ui/pages.ts';
import { shows } from '$lib/ui/roles.ts';
import { theme } from '$lib/ui/theme.svelte.ts';
import type { Adapter } from '$lib/wire/adapter';
import type { List } from '$lib/wire/list';
import type { Me } from '$lib/wire/me';
import type { Member, Project } from '$lib/wire/project';
import type { Run } from '$lib/wire/run';
import type { Task } from '$lib/wire/task';

export interface Find {
  id: string;
  text: string;
  /** What kind of thing it is, at the end of its line. */
  kind: string;
  href?: string;
  act?: () => void;
}

/** What is known without asking the server. */
export function places(me: Me, projects: Project[], current: Project | null): Find[] {
  const pages = (current ? pagesFor(current) : []).map(({ path, name }) => ({
    ...{ id: `page${path}`, text: name(), kind: current!.name },
    href: `/projects/${current!.id}${path}`
  }));
  const others = projects.map(({ id, name }) => ({
    ...{ id, text: name, kind: m.nav_label(), href: `/projects/${id}` }
  }));
  const command = (id: string, text: string, rest: Pick<Find, 'href' | 'act'>) => ({
    ...{ id, text, kind: m.palette_command() },
    ...rest
  });
  return [
    ...pages,
    ...others,
    command('home', m.nav_all_projects(), { href: '/' }),
    ...(me.instance_owner ? [command('new', m.nav_new_project(), { href: '/projects/new' })] : []),
    command('tokens', m.nav_tokens(), { href: '/account' }),
    command('light', m.palette_theme({ theme: m.nav_theme_light() }), { act: () => theme.set('light') }),
    command('dark', m.palette_theme({ theme: m.nav_theme_dark() }), { act: () => theme.set('dark') }),
    command('system', m.palette_theme({ theme: m.nav_theme_system() }), { act: () => theme.set('system') })
  ];
}

/** The project's runs, adapters and people; what is refused or not there is left out. */
export async function things(fetch: Fetch, project: Project): Promise<Find[]> {
  const root = `/projects/${project.id}`;
  const list = async <T>(path: string, shown: boolean, find: (item: T) => Find): Promise<Find[]> => {
    if (!shown) return [];
    const answer = await call<List<T>>(fetch, `${root}${path}`).catch(() => null);
    return answer?.items.map(find) ?? [];
  };
  const work = shows.work(project.role);
  const [runs, adapters, people] = await Promise.all([
    list<Run>('/runs', work, ({ id, name }) => ({
      id,
      text: name,
      kind: m.palette_run(),
      href: `${root}/runs/${id}`
    })),
    list<Adapter>('/adapters', work, ({ id, name }) => ({
      ...{ id, text: name, kind: m.palette_adapter(), href: `${root}/adapters/${id}` }
    })),
    list<Member>('/members', shows.people(project.role), ({ user }) => ({
      ...{ id: user.id, text: user.name, kind: m.palette_person(), href: `${root}/members` }
    }))
  ]);
  return [...runs, ...adapters, ...people];
}

/** Tasks by number, else by words of the prompt or an output. */
export async function tasks(
  fetch: Fetch,
  project: Project,
  typed: string,
  signal: AbortSignal
): Promise<Find[]> {
  const number = /^#?(\d{1,9})$/.exec(typed)?.[1];
  // A cursor is the number before: the page after it begins with the task that is asked for.
  const query = number ? { cursor: Number(number) - 1, limit: 1 } : { q: typed.slice(0, 200), limit: 8 };
  if (number === '0') return [];
  const { items } = await call<List<Task>>(fetch, `/projects/${project.id}/tasks`, { query, signal });
  return items
    .filter((task) => !number || task.number === Number(number))
    .map((task) => ({
      id: task.id,
      text: task.prompt.at(-1)?.content.slice(0, 120) ?? '',
      kind: m.palette_task({ number: task.number }),
      href: `/projects/${project.id}/review/${task.id}`
    }));
}

export function fits(find: Find, typed: string): boolean {
  const text = `${find.text} ${find.kind}`.toLocaleLowerCase();
  return typed
    .toLocaleLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
