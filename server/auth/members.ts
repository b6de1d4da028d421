import { and, asc, eq, gt, isNull, sql } from 'drizzle-orm';
import type { z } from 'zod';
import type { ChangeMember, Member, NewMember, Role } from '#wire/project.ts';
import { appendAudit } from '../audit/index.ts';
import { newId, type Database, type Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { Fault, notFound } from '../net/fault.ts';
import type { Actor } from './actor.ts';
import { can } from './can.ts';
import { account, apiToken, invitation, member, project, user } from './tables.ts';
import { newSecret, secretHash } from './token.ts';

/**
 * Adds somebody who has no account yet, with a token that works in this project only and is marked as issued by the
 * caller. An existing account gets an invitation instead: nobody may put others' accounts into projects.
 */
export async function addMember(
  db: Database,
  actor: Actor,
  projectId: string,
  given: z.infer<typeof NewMember>
): Promise<{ user: { id: string }; token: string | null; invitation: string | null }> {
  return db.transaction(async (tx) => {
    const email = given.email.toLowerCase();
    const [known] = await tx.select({ id: user.id }).from(user).where(eq(user.email, email));
    if (known) {
      const invitation = await insertInvitation(tx, actor, projectId, email, given.role);
      return { user: { id: known.id }, token: null, invitation: invitation.secret };
    }
    const id = newId('id');
    const secret = newSecret();
    await tx.insert(user).values({ id, name: given.name, email });
    await tx.insert(member).values({ projectId, userId: id, role: given.role });
    const name = `issued to ${given.name}`;
    await tx.insert(apiToken).values({
      id: newId('token'),
      hash: secretHash(secret),
      userId: id,
      projectId,
      name,
      issuedBy: actor.id
    });
    await appendAudit(tx, {
      actor,
      action: 'member.add',
      object: id,
      projectId,
      facts: { role: given.role }
    });
    return { user: { id }, token: secret, invitation: null };
  });
}

/**
 * Changes what is given of a member; answers the specialties that they did not have before. A project keeps an owner: without one
 * nobody could change anything in it.
 */
export async function changeMember(
  tx: Queryable,
  projectId: string,
  userId: string,
  given: ChangeMember
): Promise<{ role: Role; specialties: string[]; gained: string[] }> {
  // Two owners who demote each other at once come one after the other.
  await tx.select({ id: project.id }).from(project).where(eq(project.id, projectId)).for('no key update');
  const rows = await tx.select().from(member).where(eq(member.projectId, projectId));
  const before = rows.find((row) => row.userId === userId);
  if (!before) throw notFound('member');
  const owners = rows.filter(({ role }) => role === 'owner').length;
  if (before.role === 'owner' && owners === 1 && (given.role ?? 'owner') !== 'owner')
    throw new Fault(
      409,
      'last_owner',
      'This is the only owner of the project; make somebody else an owner first.'
    );
  const { role = before.role } = given;
  const specialties = [...new Set(given.specialties ?? before.specialties)].sort();
  await tx
    .update(member)
    .set({ role, specialties })
    .where(and(eq(member.projectId, projectId), eq(member.userId, userId)));
  return { role, specialties, gained: specialties.filter((one) => !before.specialties.includes(one)) };
}

/** Refuses, by the name of the field that they stand in, whoever of these people may not judge in the project. */
export async function checkJudges(
  db: Queryable,
  projectId: string,
  ids: readonly string[],
  field: string
): Promise<void> {
  const rows = await db
    .select({ id: member.userId, role: member.role })
    .from(member)
    .where(eq(member.projectId, projectId));
  const judges = new Set(rows.filter(({ role }) => can(role, 'task.judge')).map(({ id }) => id));
  const stranger = ids.find((id) => !judges.has(id));
  if (stranger !== undefined)
    throw new Fault(422, 'not_a_judge', `${field}: ${stranger} may not judge in this project.`);
}

export async function membersOf(db: Queryable, projectId: string): Promise<Member[]> {
  const rows = await db
    .select({
      id: user.id,
      name: user.name,
      email: user.email,
      role: member.role,
      specialties: member.specialties,
      createdAt: member.createdAt
    })
    .from(member)
    .innerJoin(user, eq(user.id, member.userId))
    .where(eq(member.projectId, projectId))
    .orderBy(asc(member.createdAt));
  return rows.map(({ id, name, email, role, specialties, createdAt }) => ({
    user: { id, name, email },
    ...{ role, specialties },
    created_at: createdAt.toISOString()
  }));
}

/** What a member means to judge in a day; nobody else is told. */
export async function setGoal(
  db: Queryable,
  actor: Actor,
  projectId: string,
  perDay: number | null
): Promise<void> {
  await db
    .update(member)
    .set({ goal: perDay })
    .where(and(eq(member.projectId, projectId), eq(member.userId, actor.id)));
}

/** The secret of an invitation's link; it is shown once and kept only as a hash. */
export async function invite(db: Database, actor: Actor, projectId: string, email: string, role: Role) {
  return db.transaction((tx) => insertInvitation(tx, actor, projectId, email.toLowerCase(), role));
}

async function insertInvitation(tx: Queryable, actor: Actor, projectId: string, email: string, role: Role) {
  const secret = newSecret();
  const expiresAt = new Date(Date.now() + limits.auth.invitation_hours * 3_600_000);
  const id = newId('invitation');
  await tx
    .insert(invitation)
    .values({ id, hash: secretHash(secret), email, projectId, role, invitedBy: actor.id, expiresAt });
  await appendAudit(tx, { actor, action: 'member.invite', object: id, projectId, facts: { role } });
  return { id, secret, expiresAt };
}

export interface OpenInvitation {
  id: string;
  email: string;
  projectId: string;
  projectName: string;
  role: Role;
  hasAccount: boolean;
  invitedBy: string | null;
}

export async function openInvitation(db: Queryable, secret: string): Promise<OpenInvitation> {
  const [row] = await db
    .select({ invitation, projectName: project.name })
    .from(invitation)
    .innerJoin(project, eq(project.id, invitation.projectId))
    .where(
      and(
        eq(invitation.hash, secretHash(secret)),
        isNull(invitation.acceptedAt),
        gt(invitation.expiresAt, sql`now()`)
      )
    );
  if (!row)
    throw new Fault(
      404,
      'invitation_unknown',
      'This invitation was used, has expired or never was; ask for a new link.'
    );
  const { id, email, projectId, role, invitedBy } = row.invitation;
  const [signIn] = await db
    .select({ id: user.id })
    .from(user)
    .innerJoin(account, eq(account.userId, user.id))
    .where(eq(user.email, email));
  return { id, email, projectId, projectName: row.projectName, role, hasAccount: Boolean(signIn), invitedBy };
}

/**
 * Whether a link may give the person it names a password: whoever made the link holds it too, and would walk into every
 * project that this person is in already. So only where the maker owns all of them.
 */
export async function mayGivePassword(db: Queryable, { email, invitedBy }: OpenInvitation): Promise<boolean> {
  const found = await db.execute(sql`
    select 1 from member m join "user" u on u.id = m.user_id
    where u.email = ${email} and not exists (
      select 1 from member o
      where o.project_id = m.project_id and o.user_id = ${invitedBy} and o.role = 'owner') limit 1`);
  return found.rows.length === 0;
}

/** Makes the account's owner a member; once, and only the person whom it names. */
export async function acceptInvitation(
  db: Database,
  actor: Actor,
  secret: string
): Promise<{ project: string }> {
  return db.transaction(async (tx) => {
    const open = await openInvitation(tx, secret);
    if (open.email !== actor.email.toLowerCase())
      throw new Fault(
        403,
        'invitation_for_another',
        `This invitation is for ${open.email}; sign in with that address.`
      );
    await tx
      .update(invitation)
      .set({ acceptedAt: sql`now()` })
      .where(eq(invitation.id, open.id));
    await tx
      .insert(member)
      .values({ projectId: open.projectId, userId: actor.id, role: open.role })
      .onConflictDoNothing();
    await appendAudit(tx, {
      actor,
      action: 'member.join',
      object: actor.id,
      projectId: open.projectId,
      facts: { role: open.role }
    });
    return { project: open.projectId };
  });
}
