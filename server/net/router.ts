import { z } from 'zod';
import { can } from '../auth/can.ts';
import { maySomewhere, memberOf } from '../auth/membership.ts';
import { limits } from '../limits.ts';
import type { Services } from '../services.ts';
import { Fault, notFound } from './fault.ts';
import { openApi } from './openapi.ts';
import { problem } from './problem.ts';
import { json, type Call, type Locate, type ObjectKind, type RoomApi, type Route } from './route.ts';

const BASE = '/api/v1';
const PARAMETER = /\{([a-z]+)\}/g;

interface Compiled {
  route: Route;
  pattern: RegExp;
  names: string[];
}

/**
 * The one door of the API. In order: find the route, know the caller, check the origin of a cookie, authorize, check
 * the body, run, check the answer. Nothing of a body is read before its sender may make the call.
 */
export function createRouter(services: Services, rooms: RoomApi[]): (request: Request) => Promise<Response> {
  const routes = rooms.flatMap((room) => room.routes);
  const locate = Object.assign({}, ...rooms.map((room) => room.locate ?? {})) as Record<ObjectKind, Locate>;
  const document = documentRoute(routes);
  const compiled = [document, ...routes].map(compile);

  async function answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const { route, params } = find(compiled, request.method, url.pathname);
    const call = { services, request, params } as Call;
    await identify(call, route);
    checkOrigin(call, url);
    await authorize(call, route, locate);
    call.query = route.query ? parse(route.query, Object.fromEntries(url.searchParams), 'query') : {};
    call.body = await readBody(request, route);
    const response = await route.handle(call);
    return checkAnswer(route, response);
  }

  return async (request) => {
    try {
      return await answer(request);
    } catch (error) {
      return problem(error, request);
    }
  };
}

function documentRoute(routes: Route[]): Route {
  const route: Route = {
    method: 'GET',
    path: '/openapi.json',
    summary: 'This document',
    access: { who: 'signed_in' },
    answers: { 200: null },
    handle: async () => json(200, openApi([route, ...routes]))
  };
  return route;
}

function compile(route: Route): Compiled {
  const names = [...route.path.matchAll(PARAMETER)].map((found) => found[1]!);
  const pattern = new RegExp(
    `^${BASE}${route.path.replaceAll('.', '\\.').replace(PARAMETER, '([^/]{1,256})')}$`
  );
  return { route, pattern, names };
}

function find(
  compiled: Compiled[],
  method: string,
  path: string
): { route: Route; params: Record<string, string> } {
  const matches = compiled.filter(({ pattern }) => pattern.test(path));
  if (!matches.length)
    throw new Fault(404, 'no_such_call', `There is no call at ${path}; see ${BASE}/openapi.json.`);
  const wanted = method === 'HEAD' ? 'GET' : method;
  const match = matches.find(({ route }) => route.method === wanted);
  if (!match) {
    const allowed = matches.map(({ route }) => route.method).join(', ');
    throw new Fault(405, 'method_not_allowed', `${path} answers to ${allowed}, not ${method}.`);
  }
  const values = match.pattern.exec(path)!.slice(1).map(decode);
  return { route: match.route, params: Object.fromEntries(match.names.map((name, i) => [name, values[i]!])) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Fault(400, 'bad_path', 'The address holds a broken percent-encoding.');
  }
}

async function identify(call: Call, route: Route): Promise<void> {
  if (route.access.who === 'anyone') return;
  const actor = await call.services.auth.actor(call.request.headers);
  if (!actor)
    throw new Fault(
      401,
      'not_signed_in',
      'Sign in, or send `Authorization: Bearer TOKEN` with a valid token.'
    );
  call.actor = actor;
}

/** A cookie goes along with requests of foreign pages too, a bearer header does not. */
function checkOrigin({ request, services }: Call, url: URL): void {
  if (request.method === 'GET' || request.method === 'HEAD' || request.headers.has('authorization')) return;
  const origin = request.headers.get('origin');
  if (origin !== url.origin && !(origin && services.auth.origins.includes(origin)))
    throw new Fault(
      403,
      'foreign_origin',
      'This request came from another site; open Concord at its own address.'
    );
}

async function authorize(call: Call, route: Route, locate: Record<ObjectKind, Locate>): Promise<void> {
  const { access } = route;
  if (access.who === 'instance_owner' && !call.actor.instanceOwner)
    throw new Fault(403, 'not_allowed', 'Only the owner of this Concord may do that.');
  if (access.who === 'member_somewhere' && !(await maySomewhere(call.services.db, call.actor, access.action)))
    throw new Fault(403, 'not_allowed', 'Your role in none of your projects allows that.');
  if (access.who !== 'member') return;
  const projectId = await locate[access.object](call.services, call.params[access.object]!);
  const membership = projectId ? await memberOf(call.services.db, call.actor, projectId) : null;
  if (!membership) throw notFound(access.object);
  if (!can(membership.role, access.action))
    throw new Fault(
      403,
      'not_allowed',
      `Your role in this project (${membership.role}) does not allow that.`
    );
  call.project = { id: membership.project.id, role: membership.role, mode: membership.project.mode };
}

async function readBody(request: Request, route: Route): Promise<unknown> {
  if (!route.body || route.body === 'stream') return undefined;
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  const text = await readText(request);
  if (text === '') return parse(route.body, {}, 'body');
  if (type !== 'application/json')
    throw new Fault(415, 'json_needed', 'Send the body as JSON with Content-Type application/json.');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Fault(400, 'not_json', `The body is not JSON: ${(error as Error).message}.`);
  }
  return parse(route.body, value, 'body');
}

async function readText(request: Request): Promise<string> {
  const max = limits.net.json_body_bytes_max;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > max) throw new Fault(413, 'body_too_large', `A JSON body may have ${max} bytes at most.`);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new Fault(400, 'not_utf8', 'The body is not UTF-8.');
  }
}

function parse(schema: z.ZodType, value: unknown, where: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const path = issue.path.length ? issue.path.join('.') : where;
  throw new Fault(422, 'invalid', `${path}: ${issue.message}.`);
}

const CHECK_ANSWERS = process.env.NODE_ENV !== 'production';

/** In development and tests an answer that does not fit its own schema is an error: the contract holds both ways. */
async function checkAnswer(route: Route, response: Response): Promise<Response> {
  if (!CHECK_ANSWERS) return response;
  if (!(response.status in route.answers))
    throw new Error(`${route.method} ${route.path} answered ${response.status}, which it does not declare.`);
  const schema = route.answers[response.status];
  if (!schema) return response;
  const result = schema.safeParse(await response.clone().json());
  if (!result.success)
    throw new Error(`${route.method} ${route.path} broke its own contract: ${z.prettifyError(result.error)}`);
  return response;
}
