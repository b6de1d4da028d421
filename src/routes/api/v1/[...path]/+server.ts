import type { RequestHandler } from './$types';

// One door: the server's router checks, answers and documents every call; SvelteKit only carries it.
const answer: RequestHandler = ({ request, locals }) => locals.app.api(request);

export const GET = answer;
export const POST = answer;
export const PUT = answer;
export const PATCH = answer;
export const DELETE = answer;
