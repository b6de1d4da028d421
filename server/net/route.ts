import type { z } from 'zod';
import type { Actor } from '../auth/actor.ts';
import type { Action } from '../auth/can.ts';
import type { ProjectMode, Role } from '#wire/project.ts';
import type { Services } from '../services.ts';

/**
 * A call of the HTTP API: what the router checks before the handler runs, and what the OpenAPI document says of it.
 * Every route states its `access`; there is no default, so a route without a rule does not compile.
 */
export interface Route {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/api/v1`, with `{name}` parameters: `/tasks/{task}/ranking`. */
  path: string;
  summary: string;
  access: Access;
  /** `stream`: the handler reads `request.body` itself. */
  body?: z.ZodType | 'stream';
  query?: z.ZodType;
  /** The JSON answers by status; null: no body, or one that is not JSON. */
  answers: Record<number, z.ZodType | null>;
  handle(call: Call): Promise<Response>;
}

export type Access =
  /** The doors of sign-in: answers before anyone is known. */
  | { who: 'anyone' }
  /** Anyone who is signed in. */
  | { who: 'signed_in' }
  /** Owners of the instance: the first account and those it names. */
  | { who: 'instance_owner' }
  /** Members of the project that the path's `object` belongs to, whose role may take the action; others get 404. */
  | { who: 'member'; action: Action; object: ObjectKind }
  /** For what belongs to no project: members of some project whose role there may take the action. */
  | { who: 'member_somewhere'; action: Action }
  /** Signed in, and the handler itself asks `can` for a project that the body names. */
  | { who: 'by_body'; action: Action };

/** Kinds of object that stand in paths; each is a path parameter of that name, and one room knows its project. */
export type ObjectKind = 'project' | 'import' | 'task' | 'norming' | 'dataset' | 'run' | 'adapter';

/** Finds the project an object belongs to; null where there is no such object. */
export type Locate = (services: Services, id: string) => Promise<string | null>;

export interface Call<Body = any, Query = any> {
  services: Services;
  request: Request;
  /** Set for every access but `anyone`. */
  actor: Actor;
  params: Record<string, string>;
  body: Body;
  query: Query;
  /** Set where the route's access is `member`. */
  project: { id: string; role: Role; mode: ProjectMode };
}

/** What a room hands the composition root. */
export interface RoomApi {
  routes: Route[];
  locate?: Partial<Record<ObjectKind, Locate>>;
}

export function json(status: number, value: unknown, headers?: HeadersInit): Response {
  return Response.json(value, { status, headers });
}
