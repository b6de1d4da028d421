import type { RequestHandler } from './$types';

const answer: RequestHandler = ({ request, locals }) => locals.app.authentication(request);

export const GET = answer;
export const POST = answer;
