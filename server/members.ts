import { ChangeMember, Member } from '#wire/project.ts';
import { appendAudit } from './audit/index.ts';
import { changeMember, membersOf } from './auth/index.ts';
import { json, type RoomApi, type Route } from './net/route.ts';
import { passNoMore } from './tasks/index.ts';

/** It stands beside the composition root: whoever gains a specialty is led back to tasks that were passed over for them. */
const change: Route = {
  method: 'PATCH',
  path: '/projects/{project}/members/{user}',
  summary: 'Changes the role or the specialties of a member',
  access: { who: 'member', action: 'project.write', object: 'project' },
  body: ChangeMember,
  answers: { 200: Member },
  async handle({ services, actor, project, params, body }) {
    const userId = params.user!;
    await services.db.transaction(async (tx) => {
      const { gained, ...facts } = await changeMember(tx, project.id, userId, body);
      await passNoMore(tx, project.id, userId, gained);
      const entry = { actor, action: 'member.change', object: userId, projectId: project.id };
      await appendAudit(tx, { ...entry, facts });
    });
    const members = await membersOf(services.db, project.id);
    return json(
      200,
      members.find(({ user }) => user.id === userId)
    );
  }
};

export const api: RoomApi = { routes: [change] };
