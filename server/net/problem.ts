import { Fault } from './fault.ts';
import { log } from './log.ts';

/** RFC 9457. An error that is not a Fault is ours: it is logged with a number that the caller can quote, and told no more. */
export function problem(error: unknown, request: Request): Response {
  if (error instanceof Fault)
    return withoutBody(problemResponse(error.status, error.code, error.message), request);
  const number = crypto.randomUUID().slice(0, 8);
  log.error('request failed', { number, method: request.method, path: new URL(request.url).pathname, error });
  return problemResponse(
    500,
    'internal',
    `Something went wrong here, not with your request. The server's log has it under ${number}.`
  );
}

/** What is still on its way of a body that was refused would be taken for the next request. */
function withoutBody(response: Response, request: Request): Response {
  if (request.body) response.headers.set('connection', 'close');
  return response;
}

function problemResponse(status: number, code: string, detail: string): Response {
  const body = {
    type: `urn:concord:problem:${code}`,
    title: titles[status] ?? 'Error',
    status,
    code,
    detail
  };
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/problem+json' }
  });
}

const titles: Record<number, string> = {
  400: 'Bad request',
  401: 'Not signed in',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  422: 'Invalid input',
  429: 'Too many requests',
  500: 'Internal error',
  507: 'Storage is full'
};
