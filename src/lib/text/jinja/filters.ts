import { member } from './members.ts';
import { json, text } from './print.ts';
import { capitalize, replace, strip } from './strings.ts';
import { TESTS } from './tests.ts';
import {
  compare,
  equal,
  Float,
  iterate,
  numeric,
  TemplateFault,
  truth,
  Tuple,
  typeName,
  Undefined,
  type Keywords,
  type Value
} from './values.ts';

type Filter = (value: Value, args: Value[], keywords: Keywords) => Value;

/** The argument at that place or of that name; `fallback` where neither was given. */
function argument(args: Value[], keywords: Keywords, at: number, name: string, fallback: Value): Value {
  const given = args[at] !== undefined ? args[at] : keywords.get(name);
  return given !== undefined ? given : fallback;
}

/** An attribute or item by a path with dots, as `map` and `selectattr` take it. */
function attribute(item: Value, path: Value): Value {
  const parts = text(path).split('.');
  return parts.reduce<Value>((at, part) => member(at, /^\d+$/.test(part) ? Number(part) : part), item);
}

function predicate(name: Value | undefined, rest: Value[]): (value: Value) => boolean {
  if (name === undefined) return truth;
  const run = typeof name === 'string' && Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
  if (!run) throw new TemplateFault(`no test named '${text(name)}'`);
  return (value) => run(value, rest);
}

const select =
  (keep: boolean): Filter =>
  (value, [test, ...rest]) =>
    iterate(value).filter((item) => predicate(test, rest)(item) === keep);
const selectAttribute =
  (keep: boolean): Filter =>
  (value, [path = null, test, ...rest]) =>
    iterate(value).filter((item) => predicate(test, rest)(attribute(item, path)) === keep);

function map(value: Value, [name, ...rest]: Value[], keywords: Keywords): Value {
  const path = keywords.get('attribute');
  if (path !== undefined) {
    const fallback = keywords.get('default');
    return iterate(value).map((item) => {
      const found = attribute(item, path);
      return found instanceof Undefined && fallback !== undefined ? fallback : found;
    });
  }
  return iterate(value).map((item) => applyFilter(text(name ?? null), item, rest, keywords));
}

/** Strings are ordered, and told apart, without regard to case unless asked. */
const folded = (value: Value, caseSensitive: Value) =>
  typeof value === 'string' && !truth(caseSensitive) ? value.toLowerCase() : value;

function sort(value: Value, args: Value[], keywords: Keywords): Value {
  const sensitive = argument(args, keywords, 1, 'case_sensitive', false);
  const path = argument(args, keywords, 2, 'attribute', null);
  const key = (item: Value) => folded(path === null ? item : attribute(item, path), sensitive);
  const sign = truth(argument(args, keywords, 0, 'reverse', false)) ? -1 : 1;
  return [...iterate(value)].sort((a, b) => sign * compare(key(a), key(b)));
}

function dictsort(value: Value, args: Value[], keywords: Keywords): Value {
  if (!(value instanceof Map))
    throw new TemplateFault(`'${typeName(value)}' object has no attribute 'items'`);
  const sensitive = argument(args, keywords, 0, 'case_sensitive', false);
  const at = argument(args, keywords, 1, 'by', 'key') === 'value' ? 1 : 0;
  const sign = truth(argument(args, keywords, 2, 'reverse', false)) ? -1 : 1;
  const entries = [...value].map(([key, item]) => Tuple.of(key, item) as Tuple);
  return entries.sort((a, b) => sign * compare(folded(a[at]!, sensitive), folded(b[at]!, sensitive)));
}

function unique(value: Value): Value {
  const found: Value[] = [];
  for (const item of iterate(value)) {
    if (item instanceof Map || (Array.isArray(item) && !(item instanceof Tuple)))
      throw new TemplateFault(`unhashable type: '${typeName(item)}'`);
    if (!found.some((one) => equal(folded(one, false), folded(item, false)))) found.push(item);
  }
  return found;
}

function indent(value: Value, args: Value[], keywords: Keywords): Value {
  const width = argument(args, keywords, 0, 'width', 4);
  const first = truth(argument(args, keywords, 1, 'first', false));
  const blank = truth(argument(args, keywords, 2, 'blank', false));
  const pad = typeof width === 'number' ? ' '.repeat(width) : text(width);
  return text(value)
    .split('\n')
    .map((line, i) => ((i === 0 && !first) || (!line && !blank) ? line : pad + line))
    .join('\n');
}

function tojson(value: Value, args: Value[], keywords: Keywords): Value {
  const indentation = argument(args, keywords, 1, 'indent', null);
  const separators = argument(args, keywords, 2, 'separators', null);
  return json(value, {
    indent: indentation === null ? null : numeric(indentation),
    ensureAscii: truth(argument(args, keywords, 0, 'ensure_ascii', false)),
    separators: separators === null ? null : (iterate(separators) as [string, string]),
    sortKeys: truth(argument(args, keywords, 3, 'sort_keys', false))
  });
}

function number(value: Value, fallback: Value, whole: boolean): Value {
  const pattern = whole ? /^\s*[-+]?\d+(\.\d*)?\s*$/ : /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i;
  const found = typeof value === 'string' ? (pattern.test(value) ? Number(value) : null) : numeric(value);
  if (found === null) return fallback;
  return whole ? Math.trunc(found) : new Float(found);
}

function length(value: Value): number {
  if (typeof value === 'string') return [...value].length;
  if (value instanceof Map) return value.size;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Undefined) return 0;
  throw new TemplateFault(`object of type '${typeName(value)}' has no len()`);
}

const orUndefined = (value: Value | undefined): Value =>
  value === undefined ? new Undefined('No item') : value;
const defaulted: Filter = (value, args, keywords) =>
  value instanceof Undefined || (truth(argument(args, keywords, 1, 'boolean', false)) && !truth(value))
    ? argument(args, keywords, 0, 'default_value', '')
    : value;

const FILTERS: Record<string, Filter> = {
  ...{ default: defaulted, d: defaulted, length, count: length, map, sort, dictsort, unique, indent, tojson },
  select: select(true),
  reject: select(false),
  selectattr: selectAttribute(true),
  rejectattr: selectAttribute(false),
  safe: (value) => value,
  string: (value) => text(value),
  upper: (value) => text(value).toUpperCase(),
  lower: (value) => text(value).toLowerCase(),
  capitalize: (value) => capitalize(text(value)),
  /** Unlike `str.title`, a word begins after white space, a hyphen or an opening bracket only. */
  title: (value) =>
    text(value)
      .split(/([-\s({[<]+)/)
      .map(capitalize)
      .join(''),
  trim: (value, args, keywords) => strip(text(value), argument(args, keywords, 0, 'chars', null), true, true),
  replace: (value, args, keywords) =>
    replace(
      text(value),
      text(argument(args, keywords, 0, 'old', null)),
      text(argument(args, keywords, 1, 'new', null)),
      numeric(argument(args, keywords, 2, 'count', -1)) ?? -1
    ),
  join: (value, args, keywords) => {
    const path = argument(args, keywords, 1, 'attribute', null);
    const items = iterate(value).map((item) => text(path === null ? item : attribute(item, path)));
    return items.join(text(argument(args, keywords, 0, 'd', '')));
  },
  list: (value) => [...iterate(value)],
  first: (value) => orUndefined(iterate(value)[0]),
  last: (value) => orUndefined(iterate(value).at(-1)),
  reverse: (value) =>
    typeof value === 'string' ? [...value].reverse().join('') : [...iterate(value)].reverse(),
  items: (value) => {
    if (value instanceof Undefined) return [];
    if (!(value instanceof Map)) throw new TemplateFault('Can only get item pairs from a mapping.');
    return [...value].map(([key, item]) => Tuple.of(key, item) as Tuple);
  },
  int: (value, args, keywords) => number(value, argument(args, keywords, 0, 'default', 0), true),
  float: (value, args, keywords) =>
    number(value, argument(args, keywords, 0, 'default', new Float(0)), false),
  abs: (value) => {
    if (value instanceof Float) return new Float(Math.abs(value.value));
    const found = numeric(value);
    if (found === null) throw new TemplateFault(`bad operand type for abs(): '${typeName(value)}'`);
    return Math.abs(found);
  }
};

export const hasFilter = (name: string) => Object.hasOwn(FILTERS, name);

export function applyFilter(name: string, value: Value, args: Value[], keywords: Keywords): Value {
  if (!hasFilter(name)) throw new TemplateFault(`No filter named '${name}'.`);
  return FILTERS[name]!(value, args, keywords);
}
