/**
 * Python's values as a chat template sees them: str, int, bool, None, list and dict are JavaScript's string, number,
 * boolean, null, array and Map.
 */
export type Value =
  string | number | boolean | null | Float | Undefined | Namespace | Callable | Value[] | Map<string, Value>;
export type Keywords = Map<string, Value>;
export type Callable = (args: Value[], keywords: Keywords) => Value;

/** Python's float, which prints with a point where a whole number is an int. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}
export class Tuple extends Array<Value> {}
/** `namespace()`, and the `loop` of a for. */
export class Namespace {
  readonly attributes: Map<string, Value>;
  constructor(attributes: Map<string, Value>) {
    this.attributes = attributes;
  }
}
/** A name or attribute that is not there: prints as nothing, and has no attributes itself. */
export class Undefined {
  readonly what: string;
  constructor(what: string) {
    this.what = what;
  }
}

/** What Python's Jinja2 would raise. */
export class TemplateFault extends Error {}

export function toValue(given: unknown): Value {
  if (given === null || typeof given === 'string' || typeof given === 'boolean') return given;
  if (typeof given === 'number') return Number.isInteger(given) ? given : new Float(given);
  if (Array.isArray(given)) return given.map(toValue);
  if (typeof given === 'function') return given as Callable;
  const entries = Object.entries(given as object).filter(([, value]) => value !== undefined);
  return new Map(entries.map(([key, value]) => [key, toValue(value)]));
}

export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (value instanceof Float) return 'float';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Namespace) return 'Namespace';
  if (value instanceof Tuple) return 'tuple';
  if (Array.isArray(value)) return 'list';
  return value instanceof Map ? 'dict' : 'function';
}

export function truth(value: Value): boolean {
  if (value instanceof Undefined) return false;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Map) return value.size > 0;
  if (Array.isArray(value)) return value.length > 0;
  return Boolean(value);
}

/** A number's value, bool's too; null for anything else. */
export function numeric(value: Value): number | null {
  if (value instanceof Float) return value.value;
  if (typeof value === 'boolean') return Number(value);
  return typeof value === 'number' ? value : null;
}

export function equal(a: Value, b: Value): boolean {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== null || y !== null) return x === y;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a) && Array.isArray(b))
    return (
      a instanceof Tuple === b instanceof Tuple &&
      a.length === b.length &&
      a.every((item, i) => equal(item, b[i]!))
    );
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, item]) => b.has(key) && equal(item, b.get(key)!));
  return a === b;
}

/** -1, 0 or 1 as Python orders numbers, strings and sequences; other pairs have no order. */
export function compare(a: Value, b: Value): number {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== null && y !== null) return Math.sign(x - y);
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++)
      if (!equal(a[i]!, b[i]!)) return compare(a[i]!, b[i]!);
    return Math.sign(a.length - b.length);
  }
  throw new TemplateFault(`'${typeName(a)}' and '${typeName(b)}' cannot be ordered`);
}

/** By code point: UTF-16 would put a character outside the basic plane before U+E000 and later. */
function compareText(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  const i = x.findIndex((char, at) => char !== y[at]);
  if (i < 0) return Math.sign(x.length - y.length);
  return y[i] === undefined ? 1 : Math.sign(x[i]!.codePointAt(0)! - y[i].codePointAt(0)!);
}

/** The items that a for goes through. */
export function iterate(value: Value): Value[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return [...value];
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Undefined) return [];
  throw new TemplateFault(`'${typeName(value)}' object is not iterable`);
}

export function contains(whole: Value, item: Value): boolean {
  if (typeof whole === 'string') {
    if (typeof item !== 'string')
      throw new TemplateFault(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    return whole.includes(item);
  }
  return iterate(whole).some((one) => equal(one, item));
}
