import { text } from './print.ts';
import { iterate, TemplateFault, Tuple, type Callable, type Keywords, type Value } from './values.ts';

/** Python's `str.isspace`: four separators and U+0085 that JavaScript leaves, without U+FEFF that it takes. */
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const LEFT = new RegExp(`^${SPACE}+`);
const RIGHT = new RegExp(`${SPACE}+$`);
const GAPS = new RegExp(`${SPACE}+`);

/** `str.strip(chars)`, at one side or both; no characters mean white space. */
export function strip(from: string, chars: Value, left: boolean, right: boolean): string {
  if (chars === null) {
    const begun = left ? from.replace(LEFT, '') : from;
    return right ? begun.replace(RIGHT, '') : begun;
  }
  const [all, set] = [[...from], new Set(text(chars))];
  let [start, end] = [0, all.length];
  while (left && start < end && set.has(all[start]!)) start++;
  while (right && end > start && set.has(all[end - 1]!)) end--;
  return all.slice(start, end).join('');
}

export const capitalize = (s: string) => {
  const [first = '', ...rest] = s;
  return first.toUpperCase() + rest.join('').toLowerCase();
};
/** `str.title`: a letter after anything that is no letter begins a word. */
const title = (s: string) => s.replace(/\p{L}+/gu, capitalize);

/** Items of `str.split`; `limit` splits at most, -1 all. */
function split(s: string, separator: Value, limit: number): string[] {
  if (separator !== null) return splitAt(s, required(separator), limit);
  const found: string[] = [];
  let rest = strip(s, null, true, false);
  while (rest) {
    const gap = limit >= 0 && found.length >= limit ? null : GAPS.exec(rest);
    found.push(gap ? rest.slice(0, gap.index) : rest);
    rest = gap ? rest.slice(gap.index + gap[0].length) : '';
  }
  return found;
}

function splitAt(s: string, separator: string, limit: number): string[] {
  if (!separator) throw new TemplateFault('empty separator');
  const parts = s.split(separator);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  return [...parts.slice(0, limit), parts.slice(limit).join(separator)];
}

function splitFromRight(s: string, separator: Value, limit: number): string[] {
  if (separator === null) throw new TemplateFault('rsplit without a separator is not supported');
  const parts = splitAt(s, required(separator), -1);
  if (limit < 0 || parts.length <= limit + 1) return parts;
  const kept = parts.length - limit;
  return [parts.slice(0, kept).join(required(separator)), ...parts.slice(kept)];
}

/** `str.replace`, the first `count` times; -1 everywhere. */
export function replace(s: string, old: string, fresh: string, count: number): string {
  const parts = old ? s.split(old) : ['', ...s, ''];
  const last = count < 0 ? parts.length : count + 1;
  const joined = parts.slice(0, last).join(fresh);
  return parts.length > last ? [joined, ...parts.slice(last)].join(old) : joined;
}

function required(value: Value | undefined): string {
  if (typeof value !== 'string') throw new TemplateFault('a string was expected');
  return value;
}
const count = (value: Value | undefined) => (typeof value === 'number' ? value : -1);

const affix = (given: Value, has: (part: string) => boolean) =>
  given instanceof Tuple ? given.some((part) => has(required(part))) : has(required(given));

/** Where `str.splitlines` divides. */
const LINE_ENDS = '[\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029]';
const LINE_END = new RegExp(`\\r\\n|${LINE_ENDS}`);
function splitlines(s: string): string[] {
  const lines = s.split(LINE_END);
  if (!lines.at(-1)) lines.pop();
  return lines;
}

type Method = (s: string, args: Value[], keywords: Keywords) => Value;
const METHODS: Record<string, Method> = {
  upper: (s) => s.toUpperCase(),
  lower: (s) => s.toLowerCase(),
  capitalize,
  title,
  strip: (s, [chars = null]) => strip(s, chars, true, true),
  lstrip: (s, [chars = null]) => strip(s, chars, true, false),
  rstrip: (s, [chars = null]) => strip(s, chars, false, true),
  startswith: (s, [part = null]) => affix(part, (one) => s.startsWith(one)),
  endswith: (s, [part = null]) => affix(part, (one) => s.endsWith(one)),
  removeprefix: (s, [part]) => (s.startsWith(required(part)) ? s.slice(required(part).length) : s),
  removesuffix: (s, [part]) => (part && s.endsWith(required(part)) ? s.slice(0, -required(part).length) : s),
  split: (s, [separator, limit], keywords) =>
    split(s, separator ?? keywords.get('sep') ?? null, count(limit ?? keywords.get('maxsplit'))),
  rsplit: (s, [separator, limit], keywords) =>
    splitFromRight(s, separator ?? keywords.get('sep') ?? null, count(limit ?? keywords.get('maxsplit'))),
  splitlines,
  replace: (s, [old, fresh, times], keywords) =>
    replace(s, required(old), required(fresh), count(times ?? keywords.get('count'))),
  count: (s, [part]) => s.split(required(part)).length - 1,
  join: (s, [items = null]) => iterate(items).map(required).join(s),
  isdigit: (s) => /^\p{Nd}+$/u.test(s)
};

/** A method of a str, bound; undefined where we have none of that name. */
export function stringMethod(s: string, name: string): Callable | undefined {
  const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  return method && ((args, keywords) => method(s, args, keywords));
}
