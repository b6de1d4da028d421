import { listOf } from '#wire/list.ts';
import { Adjudicate, Ranking, SubmitRanking, type Tiers } from '#wire/ranking.ts';
import { tiersFromRanks } from '#domain/tiers.ts';
import { appendAudit } from '../audit/index.ts';
import { Fault } from '../net/fault.ts';
import { json, type Call, type RoomApi, type Route } from '../net/route.ts';
import type { Services } from '../services.ts';
import { lockTask, revealTask, seesOthers, seesTable } from '../tasks/index.ts';
import { announceReveal, announceRankings, announceSubmission } from './announce.ts';
import { createProgress } from './progress.ts';
import { checkTiers, hashOf, submit, taskOrFault, type BallotRooms } from './submit.ts';
import { undoSubmission } from './undo.ts';
import { addVersion, rankingJson, rankingsOf, type RankingRow } from './versions.ts';

export { addImportedVotes, judgementsOf, valuesOf, type NamedJudgement } from './versions.ts';
export type { BallotRooms } from './submit.ts';

export function createRankings(services: Services, rooms: BallotRooms) {
  const progress = createProgress(services, rooms.tell);
  const put: Route = {
    method: 'PUT',
    path: '/tasks/{task}/ranking',
    summary: "Submits the caller's judgement; again: a new version",
    access: { who: 'member', action: 'task.judge', object: 'task' },
    body: SubmitRanking,
    answers: { 200: Ranking },
    async handle(call) {
      const { actor, params, body } = call;
      const row = await submit(services.db, rooms, actor, params.task!, body);
      await announceSubmission(rooms.tell, call, row);
      progress.tell(call.project.id);
      return json(200, rankingJson(row, actor.name));
    }
  };

  const undo: Route = {
    method: 'POST',
    path: '/tasks/{task}/ranking/undo',
    summary:
      "Takes back the caller's last submission, for some minutes and until the reveal; what stood before stands again",
    access: { who: 'member', action: 'task.judge', object: 'task' },
    answers: { 200: Ranking },
    async handle({ actor, params, project }) {
      const row = await undoSubmission(services.db, actor, params.task!);
      progress.tell(project.id);
      return json(200, rankingJson(row, actor.name));
    }
  };

  const consensus: Route = {
    method: 'POST',
    path: '/tasks/{task}/consensus',
    summary: 'Makes the ranking that stands in the table room the consensus',
    access: { who: 'member', action: 'task.judge', object: 'task' },
    answers: { 200: Ranking },
    async handle(call) {
      const task = await taskOrFault(services.db, call.params.task!);
      if (!(await seesTable(call, task)))
        throw new Fault(403, 'not_revealed', 'The consensus of a blind task is made after its reveal.');
      const { ranks } = await rooms.foldTable(task.id);
      const outputs = new Set(task.outputs.map(({ id }) => id));
      const known = Object.fromEntries(Object.entries(ranks).filter(([id]) => outputs.has(id)));
      const tiers = tiersFromRanks(known);
      if (!tiers.length) throw new Fault(422, 'nothing_ranked', 'Nothing is ranked on the table yet.');
      const made = await decide(call, 'consensus', tiers, null);
      announceRankings(rooms.tell, task.id);
      return json(200, made);
    }
  };

  const reveal: Route = {
    method: 'POST',
    path: '/tasks/{task}/reveal',
    summary: 'Opens the rankings of a task to those who judged it',
    access: { who: 'member', action: 'task.reveal', object: 'task' },
    answers: { 204: null },
    async handle(call) {
      const { actor, params, project } = call;
      const isNew = await services.db.transaction(async (tx) => {
        await lockTask(tx, params.task!);
        if (!(await revealTask(tx, params.task!))) return false;
        const entry = {
          actor,
          action: 'task.reveal',
          object: params.task!,
          projectId: project.id,
          facts: {}
        };
        await appendAudit(tx, entry);
        return true;
      });
      if (isNew) {
        await announceReveal(rooms.tell, call, params.task!);
        progress.tell(project.id);
      }
      return new Response(null, { status: 204 });
    }
  };

  const adjudicate: Route = {
    method: 'POST',
    path: '/tasks/{task}/adjudication',
    summary: 'Decides a task; stands before single rankings in pairs and erases none',
    access: { who: 'member', action: 'task.reveal', object: 'task' },
    body: Adjudicate,
    answers: { 200: Ranking },
    async handle(call) {
      const task = await taskOrFault(call.services.db, call.params.task!);
      const { tiers, reason } = call.body;
      checkTiers(task, tiers);
      if (!tiers.length) throw new Fault(422, 'nothing_ranked', 'tiers is empty; place at least one output.');
      const made = await decide(call, 'adjudication', tiers, reason);
      announceRankings(rooms.tell, task.id);
      return json(200, made);
    }
  };

  const api: RoomApi = { routes: [put, undo, list, reveal, adjudicate, consensus] };
  return { api, close: progress.close };
}

const list: Route = {
  method: 'GET',
  path: '/tasks/{task}/rankings',
  summary: 'Judgements of a task that the caller may see',
  access: { who: 'member', action: 'ranking.read', object: 'task' },
  answers: { 200: listOf(Ranking) },
  async handle(call) {
    const { db } = call.services;
    const task = await taskOrFault(db, call.params.task!);
    const all = await seesOthers(call, task);
    const rows = await rankingsOf(db, task.id);
    const items = rows.filter(({ row }) => all || row.userId === call.actor.id).map((one) => one.json);
    return json(200, { items, next_cursor: null });
  }
};

/** Adds a decision that stands for all raters. */
async function decide(
  { services, actor, params, project }: Call,
  kind: 'adjudication' | 'consensus',
  tiers: Tiers,
  reason: string | null
): Promise<Ranking> {
  const row: RankingRow = await services.db.transaction(async (tx) => {
    const task = (await lockTask(tx, params.task!))!;
    const given = { taskId: task.id, kind, userId: actor.id, tiers, reason, verdict: 'ranked' as const };
    const added = await addVersion(tx, { ...given, afterReveal: task.revealedAt !== null });
    await appendAudit(tx, {
      ...{ actor, action: `ranking.${kind}`, object: added.id, projectId: project.id },
      facts: { task: task.id, version: added.version, sha256: hashOf(added) }
    });
    return added;
  });
  return rankingJson(row, actor.name);
}
