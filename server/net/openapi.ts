import { z } from 'zod';
import { Problem } from '#wire/problem.ts';
import type { Access, Route } from './route.ts';

/** OpenAPI 3.1 from the very schemas that check requests and answers. */
export function openApi(routes: Route[]): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  return {
    openapi: '3.1.0',
    info: { title: 'Concord', version: '1', description: 'Times are RFC 3339 UTC; ids are opaque strings.' },
    servers: [{ url: '/api/v1' }],
    security: [{ bearer: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'concord.session_token' }
      },
      schemas: { Problem: schemaOf(Problem, 'output') }
    }
  };
}

function operation(route: Route): unknown {
  return {
    summary: route.summary,
    description: describeAccess(route.access),
    ...(route.access.who === 'anyone' ? { security: [] } : {}),
    parameters: [...pathParameters(route.path), ...queryParameters(route)],
    ...(route.body ? { requestBody: requestBody(route.body) } : {}),
    responses: { ...answers(route), default: problemAnswer }
  };
}

const problemAnswer = {
  description: 'What is wrong and what to do',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }
};

function describeAccess(access: Access): string {
  if (access.who === 'member')
    return `For members who may ${access.action} in the ${access.object}'s project.`;
  if (access.who === 'by_body')
    return `For members who may ${access.action} in the project that the body names.`;
  if (access.who === 'member_somewhere')
    return `For members who may ${access.action} in some project, and owners of this Concord.`;
  return {
    anyone: 'For anyone.',
    signed_in: 'For anyone who is signed in.',
    instance_owner: 'For the owner of this Concord.'
  }[access.who];
}

function pathParameters(path: string): unknown[] {
  return [...path.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' }
  }));
}

function queryParameters(route: Route): unknown[] {
  if (!route.query) return [];
  const schema = schemaOf(route.query, 'input') as {
    properties?: Record<string, unknown>;
    required?: string[];
  };
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    in: 'query',
    required: schema.required?.includes(name) ?? false,
    schema: property
  }));
}

function requestBody(body: z.ZodType | 'stream'): unknown {
  if (body === 'stream') return { required: true, content: { 'application/octet-stream': {} } };
  return { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } };
}

function answers(route: Route): Record<string, unknown> {
  const entries = Object.entries(route.answers).map(([status, schema]) => [
    status,
    {
      description: route.summary,
      ...(schema ? { content: { 'application/json': { schema: schemaOf(schema, 'output') } } } : {})
    }
  ]);
  return Object.fromEntries(entries);
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<
    string,
    unknown
  >;
  return rest;
}
