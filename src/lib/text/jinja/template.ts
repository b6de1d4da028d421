import { parseTemplate, walk, type Node } from './ast.ts';
import { strftime } from './clock.ts';
import { Output, run, Scope } from './evaluate.ts';
import { hasFilter } from './filters.ts';
import { text } from './print.ts';
import { TESTS } from './tests.ts';
import { iterate, Namespace, TemplateFault, toValue, type Callable } from './values.ts';

export { TemplateFault };

export interface Rendering {
  text: string;
  /** Stretches of the text, in UTF-16 units, that the template marks as written by the model. */
  generation: [start: number, end: number][];
}

export type Template = (variables: Record<string, unknown>, now: Date) => Rendering;

/**
 * A chat template with Jinja2's meaning. The library parses; its own interpreter is not used, because it departs from
 * Python without saying so (`strip('\n')` strips spaces, a variable set in one round of a loop lives on in the next,
 * text before a `break` is lost: docs/text.md has the list). Throws where the template cannot be read, or names a
 * filter or test that is not there.
 */
export function compileTemplate(source: string): Template {
  const body = parseTemplate(source);
  for (const node of walk(body)) checkNode(node);
  return (variables, now) => {
    const globals = new Scope(null);
    for (const [name, value] of Object.entries(GLOBALS)) globals.names.set(name, value);
    globals.names.set('strftime_now', strftime(now));
    const root = new Scope(globals);
    for (const [name, value] of Object.entries(variables)) root.names.set(name, toValue(value));
    const { text, generation } = render(body, root);
    return { text, generation };
  };
}

function render(body: Node[], scope: Scope): Output {
  const out = new Output();
  run(body, scope, out);
  return out;
}

function checkNode(node: Node): void {
  if (node.type === 'FilterExpression' || node.type === 'FilterStatement') {
    const named = node.filter.type === 'CallExpression' ? node.filter.callee : node.filter;
    const name = named.type === 'Identifier' ? named.value : '';
    if (!hasFilter(name)) throw new TemplateFault(`No filter named '${name}'.`);
  }
  if (node.type === 'TestExpression' && !Object.hasOwn(TESTS, node.test.value))
    throw new TemplateFault(`No test named '${node.test.value}'.`);
}

const raise: Callable = ([message = null]) => {
  throw new TemplateFault(text(message));
};

const RANGE_MAX = 100_000;
const range: Callable = (args) => {
  const [start, stop, step = 1] = args.length < 2 ? [0, args[0] ?? 0] : args;
  if (typeof start !== 'number' || typeof stop !== 'number' || typeof step !== 'number' || !step)
    throw new TemplateFault('range() takes integers');
  if ((stop - start) / step > RANGE_MAX)
    throw new TemplateFault(`range() is longer than ${RANGE_MAX}, the most that Jinja2's sandbox allows`);
  const found: number[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) found.push(i);
  return found;
};

const dict: Callable = ([from = new Map()], keywords) =>
  new Map([...(from instanceof Map ? from : iterate(from).map(pair)), ...keywords]);
const pair = (value: Parameters<typeof iterate>[0]) => {
  const [key = null, item = null] = iterate(value);
  return [text(key), item] as const;
};

const GLOBALS: Record<string, Parameters<typeof text>[0]> = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  ...{ raise_exception: raise, range, dict },
  namespace: (args, keywords) => new Namespace(dict(args, keywords) as Map<string, never>)
};
