import { z } from 'zod';
import { AcceptInvitation, Invitation, Me, NewToken, Token, TokenCreated } from '#wire/me.ts';
import {
  InvitationCreated,
  Member,
  MemberCreated,
  NewInvitation,
  NewMember,
  NewProject,
  Project
} from '#wire/project.ts';
import { SetGoal } from '#wire/progress.ts';
import { Fault, notFound } from '../net/fault.ts';
import { json, type Call, type RoomApi, type Route } from '../net/route.ts';
import type { Services } from '../services.ts';
import {
  acceptInvitation,
  addMember,
  invite,
  mayGivePassword,
  membersOf,
  openInvitation,
  setGoal
} from './members.ts';
import { memberOf, projectById } from './membership.ts';
import { createProject, projectJson, projectsOf } from './projects.ts';
import { createToken, revokeToken, tokensOf } from './tokens.ts';

const me: Route = {
  method: 'GET',
  path: '/me',
  summary: 'Who is asking',
  access: { who: 'signed_in' },
  answers: { 200: Me },
  async handle({ actor }) {
    const { id, name, email, instanceOwner } = actor;
    return json(200, { user: { id, name, email }, instance_owner: instanceOwner });
  }
};

const projects: Route[] = [
  {
    method: 'POST',
    path: '/projects',
    summary: 'Makes a project; the caller is its owner',
    access: { who: 'instance_owner' },
    body: NewProject,
    answers: { 201: Project },
    handle: async ({ services, actor, body }) => json(201, await createProject(services.db, actor, body))
  },
  {
    method: 'GET',
    path: '/projects',
    summary: "The caller's projects",
    access: { who: 'signed_in' },
    answers: { 200: z.object({ items: z.array(Project), next_cursor: z.null() }) },
    handle: async ({ services, actor }) =>
      json(200, { items: await projectsOf(services.db, actor), next_cursor: null })
  },
  {
    method: 'GET',
    path: '/projects/{project}',
    summary: 'One project',
    access: { who: 'member', action: 'project.read', object: 'project' },
    answers: { 200: Project },
    async handle({ services, project }) {
      return json(200, projectJson((await projectById(services.db, project.id))!, project.role));
    }
  }
];

const linkOf = ({ config }: Services, secret: string) => `${config.origin}/invite/${secret}`;

const members: Route[] = [
  {
    method: 'GET',
    path: '/projects/{project}/members',
    summary: 'The people of a project',
    access: { who: 'member', action: 'project.read', object: 'project' },
    answers: { 200: z.object({ items: z.array(Member), next_cursor: z.null() }) },
    handle: async ({ services, project }) =>
      json(200, { items: await membersOf(services.db, project.id), next_cursor: null })
  },
  {
    method: 'POST',
    path: '/projects/{project}/members',
    summary: 'Adds a member with a token of their own; an existing account is invited instead',
    access: { who: 'member', action: 'project.write', object: 'project' },
    body: NewMember,
    answers: { 201: MemberCreated },
    async handle({ services, actor, project, body }) {
      const added = await addMember(services.db, actor, project.id, body);
      const invitation = added.invitation && linkOf(services, added.invitation);
      return json(201, { ...added, invitation });
    }
  },
  {
    method: 'PUT',
    path: '/projects/{project}/goal',
    summary: 'How many tasks the caller means to judge in a day; nobody else is told',
    access: { who: 'member', action: 'task.judge', object: 'project' },
    body: SetGoal,
    answers: { 204: null },
    async handle({ services, actor, project, body }) {
      await setGoal(services.db, actor, project.id, body.per_day);
      return new Response(null, { status: 204 });
    }
  },
  {
    method: 'POST',
    path: '/projects/{project}/invitations',
    summary: 'Makes a link that lets one person join; it is shown once',
    access: { who: 'member', action: 'project.write', object: 'project' },
    body: NewInvitation,
    answers: { 201: InvitationCreated },
    async handle({ services, actor, project, body }) {
      const { id, secret, expiresAt } = await invite(services.db, actor, project.id, body.email, body.role);
      return json(201, { id, link: linkOf(services, secret), expires_at: expiresAt.toISOString() });
    }
  }
];

const invitations: Route[] = [
  {
    method: 'GET',
    path: '/invitations/{secret}',
    summary: 'What an invitation is for',
    access: { who: 'anyone' },
    answers: { 200: Invitation },
    async handle({ services, params }) {
      const open = await openInvitation(services.db, params.secret!);
      const project = { id: open.projectId, name: open.projectName };
      return json(200, { email: open.email, project, role: open.role, has_account: open.hasAccount });
    }
  },
  {
    method: 'POST',
    path: '/invitations/{secret}/accept',
    summary: 'Joins the project, making an account where there is none',
    access: { who: 'anyone' },
    body: AcceptInvitation,
    answers: { 200: z.object({ project: z.string() }) },
    handle: accept
  }
];

async function accept(call: Call): Promise<Response> {
  const { services, request, params, body } = call;
  const known = await services.auth.actor(request.headers);
  if (known) return json(200, await acceptInvitation(services.db, known, params.secret!));
  const open = await openInvitation(services.db, params.secret!);
  if (open.hasAccount)
    throw new Fault(401, 'sign_in_first', `${open.email} has an account; sign in, then open the link again.`);
  if (!(await mayGivePassword(services.db, open)))
    throw new Fault(
      403,
      'has_other_projects',
      `${open.email} works in other projects too; accept with the token from there, or ask their owner for a link to set a password.`
    );
  if (!body.name || !body.password)
    throw new Fault(
      422,
      'name_and_password_needed',
      'Choose a name and a password of at least 10 characters.'
    );
  const signedUp = await services.auth.signUpInvited({
    email: open.email,
    name: body.name,
    password: body.password
  });
  if (!signedUp.ok)
    throw new Fault(422, 'account_refused', 'The account could not be made; choose another password.');
  const created = (await signedUp.clone().json()) as { user: { id: string; name: string; email: string } };
  const actor = { ...created.user, instanceOwner: false, via: { kind: 'session', id: 'sign-up' } as const };
  const joined = await acceptInvitation(services.db, actor, params.secret!);
  const answer = json(200, joined);
  for (const cookie of signedUp.headers.getSetCookie()) answer.headers.append('set-cookie', cookie);
  return answer;
}

const tokens: Route[] = [
  {
    method: 'GET',
    path: '/tokens',
    summary: "The caller's API tokens, without their secrets",
    access: { who: 'signed_in' },
    answers: { 200: z.object({ items: z.array(Token), next_cursor: z.null() }) },
    handle: async ({ services, actor }) =>
      json(200, { items: await tokensOf(services.db, actor), next_cursor: null })
  },
  {
    method: 'POST',
    path: '/tokens',
    summary: 'Makes an API token; its secret is in this answer only',
    access: { who: 'signed_in' },
    body: NewToken,
    answers: { 201: TokenCreated },
    async handle({ services, actor, body }) {
      if (actor.via.kind === 'token')
        throw new Fault(403, 'session_needed', 'Tokens are made in the browser, not with another token.');
      if (body.project && !(await memberOf(services.db, actor, body.project))) throw notFound('project');
      return json(201, await createToken(services.db, actor, body.name, body.project ?? null));
    }
  },
  {
    method: 'DELETE',
    path: '/tokens/{token}',
    summary: 'Revokes a token of the caller at once',
    access: { who: 'signed_in' },
    answers: { 204: null },
    async handle({ services, actor, params }) {
      await revokeToken(services.db, actor, params.token!);
      return new Response(null, { status: 204 });
    }
  }
];

export const api: RoomApi = {
  routes: [me, ...projects, ...members, ...invitations, ...tokens],
  locate: { project: async (services, id) => (await projectById(services.db, id))?.id ?? null }
};
