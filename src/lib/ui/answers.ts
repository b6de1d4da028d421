import type { z } from 'zod';
import { Adapter } from '$lib/wire/adapter';
import { AssignedTasks } from '$lib/wire/assigning';
import { Dataset } from '$lib/wire/dataset';
import { Import } from '$lib/wire/import';
import { listOf } from '$lib/wire/list';
import { Model } from '$lib/wire/model';
import { Overview } from '$lib/wire/overview';
import { Pair } from '$lib/wire/pair';
import { InvitationCreated, Member, Project } from '$lib/wire/project';
import { Ranking } from '$lib/wire/ranking';
import { Discussion, Remark, TableShown, Unread } from '$lib/wire/remark';
import { Run } from '$lib/wire/run';
import { Task } from '$lib/wire/task';

/** What pages expect of each answer; loaded in development and tests only. */
const answers: [method: string, path: RegExp, schema: z.ZodType][] = [
  ['GET', /^\/projects$/, listOf(Project)],
  ['GET', /^\/projects\/[^/]+$/, Project],
  ['GET', /^\/projects\/[^/]+\/overview$/, Overview],
  ['POST', /^\/projects$/, Project],
  ['GET', /^\/projects\/[^/]+\/members$/, listOf(Member)],
  ['PATCH', /^\/projects\/[^/]+\/members\/[^/]+$/, Member],
  ['POST', /^\/projects\/[^/]+\/invitations$/, InvitationCreated],
  ['GET', /^\/projects\/[^/]+\/tasks$/, listOf(Task)],
  ['POST', /^\/projects\/[^/]+\/tasks\/assign$/, AssignedTasks],
  ['GET', /^\/tasks\/[^/]+$/, Task],
  ['GET', /^\/tasks\/[^/]+\/rankings$/, listOf(Ranking)],
  ['GET', /^\/tasks\/[^/]+\/remarks$/, Discussion],
  ['POST', /^\/tasks\/[^/]+\/remarks$/, Remark],
  ['GET', /^\/projects\/[^/]+\/tables$/, listOf(TableShown)],
  ['GET', /^\/projects\/[^/]+\/unread$/, Unread],
  ['GET', /^\/projects\/[^/]+\/pairs$/, listOf(Pair)],
  ['GET', /^\/projects\/[^/]+\/datasets$/, listOf(Dataset)],
  ['GET', /^\/datasets\/[^/]+$/, Dataset],
  ['GET', /^\/projects\/[^/]+\/runs$/, listOf(Run)],
  ['GET', /^\/runs\/[^/]+$/, Run],
  ['GET', /^\/projects\/[^/]+\/adapters$/, listOf(Adapter)],
  ['GET', /^\/adapters\/[^/]+$/, Adapter],
  ['GET', /^\/models$/, listOf(Model)],
  ['GET', /^\/imports\/[^/]+$/, Import]
];

/** Throws where an answer is not what the vocabulary says, naming call and field. */
export function check(method: string, path: string, value: unknown): void {
  const found = answers.find(([of, pattern]) => of === method && pattern.test(path));
  const result = found?.[2].safeParse(value);
  if (result && !result.success)
    throw new Error(`${method} ${path} answered off its schema: ${result.error.message}`);
}
