import { text } from './print.ts';
import { compare, contains, equal, Float, iterate, numeric, Undefined, type Value } from './values.ts';

/** The tests behind `is`, as Jinja2 has them. */
export const TESTS: Record<string, (value: Value, args: Value[]) => boolean> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  string: (value) => typeof value === 'string',
  number: (value) => numeric(value) !== null,
  integer: (value) => typeof value === 'number',
  float: (value) => value instanceof Float,
  mapping: (value) => value instanceof Map,
  iterable: isIterable,
  sequence: isIterable,
  callable: (value) => typeof value === 'function',
  odd: (value) => Math.abs((numeric(value) ?? 0) % 2) === 1,
  even: (value) => (numeric(value) ?? 1) % 2 === 0,
  lower: (value) => isCase(text(value), text(value).toLowerCase()),
  upper: (value) => isCase(text(value), text(value).toUpperCase()),
  eq: (value, [other = null]) => equal(value, other),
  equalto: (value, [other = null]) => equal(value, other),
  ne: (value, [other = null]) => !equal(value, other),
  gt: (value, [other = null]) => compare(value, other) > 0,
  ge: (value, [other = null]) => compare(value, other) >= 0,
  lt: (value, [other = null]) => compare(value, other) < 0,
  le: (value, [other = null]) => compare(value, other) <= 0,
  in: (value, [whole = null]) => contains(whole, value)
};

function isIterable(value: Value): boolean {
  try {
    iterate(value);
    return true;
  } catch {
    return false;
  }
}

/** Python's islower and isupper want at least one letter that has cases. */
const isCase = (given: string, changed: string) =>
  given === changed && given.toLowerCase() !== given.toUpperCase();
