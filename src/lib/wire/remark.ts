import { z } from 'zod';
import { PageQuery } from './list.ts';

/** PostgreSQL keeps neither; a page never makes them. */
const isKeepable = (text: string) => text.isWellFormed() && !text.includes('\0');

/** Something said at a task's table. `mentions`: ids of people at that table. */
export const NewRemark = z.strictObject({
  text: z
    .string()
    .trim()
    .min(1)
    .max(4_000)
    .refine(isKeepable, 'holds a NUL character or half of a surrogate pair; remove it'),
  mentions: z.array(z.string().max(64)).max(50).default([])
});
export type NewRemark = z.input<typeof NewRemark>;

export const Person = z.object({ id: z.string(), name: z.string() });
export type Person = z.infer<typeof Person>;

export const Remark = z.object({
  task: z.string(),
  /** Place in the discussion of its task, from 1. */
  number: z.number().int(),
  author: Person,
  text: z.string(),
  mentions: z.array(z.string()),
  sent_at: z.string()
});
export type Remark = z.infer<typeof Remark>;

/** `people`: who may sit at this table, and so be mentioned. `read`: the last remark that the caller has read. */
export const Discussion = z.object({
  items: z.array(Remark),
  next_cursor: z.string().nullable(),
  read: z.number().int(),
  people: z.array(Person)
});
export type Discussion = z.infer<typeof Discussion>;

export const MarkRead = z.strictObject({ number: z.number().int().min(0) });

/** A table that the caller may sit at. */
export const TableShown = z.object({
  task: z.object({ id: z.string(), number: z.number().int(), begin: z.string() }),
  rankings: z.number().int(),
  remarks: z.number().int(),
  /** Remarks of others that the caller has not read, and whether one of them mentions the caller. */
  unread: z.number().int(),
  mentioned: z.boolean()
});
export type TableShown = z.infer<typeof TableShown>;

export const TablesQuery = PageQuery.extend({ unread: z.enum(['true']).optional() });

/** Over all tables of a project: tables with remarks that the caller has not read, and those that mention the caller. */
export const Unread = z.object({ tables: z.number().int(), mentions: z.number().int() });
export type Unread = z.infer<typeof Unread>;
