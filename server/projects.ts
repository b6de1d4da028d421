import { ChangeProject, Project } from '#wire/project.ts';
import { appendAudit } from './audit/index.ts';
import { changeProject, projectJson } from './auth/index.ts';
import { json, type RoomApi, type Route } from './net/route.ts';
import { moveOverlap } from './tasks/index.ts';

/** It stands beside the composition root: with the overlap changes what the project's tasks ask for. */
const change: Route = {
  method: 'PATCH',
  path: '/projects/{project}',
  summary:
    'Changes name, guidelines, categories of remarks, the overlap, the question of strength, the due day or the order of the queue',
  access: { who: 'member', action: 'project.write', object: 'project' },
  body: ChangeProject,
  answers: { 200: Project },
  async handle({ services, actor, project: { id, role }, body }) {
    const row = await services.db.transaction(async (tx) => {
      const { before, after } = await changeProject(tx, actor, id, body);
      const isMoved = before.overlap !== after.overlap;
      if (isMoved) await moveOverlap(tx, id, before.overlap, after.overlap);
      const facts = {
        changed: Object.keys(body).sort(),
        ...(isMoved ? { overlap: { before: before.overlap, after: after.overlap } } : {})
      };
      await appendAudit(tx, { actor, action: 'project.change', object: id, projectId: id, facts });
      return after;
    });
    return json(200, projectJson(row, role));
  }
};

export const api: RoomApi = { routes: [change] };
