import { stringMethod } from './strings.ts';
import { text } from './print.ts';
import { Namespace, TemplateFault, Tuple, typeName, Undefined, type Callable, type Value } from './values.ts';

/** `object.name` looks for a method first, `object['name']` for an item, as Jinja2's getattr and getitem do. */
export function member(object: Value, key: Value, computed = true): Value {
  if (object instanceof Undefined) throw new TemplateFault(object.what);
  const method = () => (typeof key === 'string' ? methodOf(object, key) : undefined);
  const [first, second] = computed ? [item(object, key), method] : [method(), () => item(object, key)];
  const found = first === undefined ? second() : first;
  if (found !== undefined) return found;
  return new Undefined(
    typeof key === 'string'
      ? `'${typeName(object)} object' has no attribute '${key}'`
      : `${typeName(object)} object has no element ${text(key)}`
  );
}

function item(object: Value, key: Value): Value | undefined {
  if (object instanceof Namespace) return object.attributes.get(text(key));
  if (object instanceof Map) return typeof key === 'string' ? object.get(key) : undefined;
  if (typeof key !== 'number') return undefined;
  if (typeof object === 'string') return [...object].at(key);
  return Array.isArray(object) ? object.at(key) : undefined;
}

function methodOf(object: Value, name: string): Callable | undefined {
  if (typeof object === 'string') return stringMethod(object, name);
  if (!(object instanceof Map)) return undefined;
  switch (name) {
    case 'get':
      return ([key, fallback = null]) =>
        typeof key === 'string' && object.has(key) ? object.get(key)! : fallback;
    case 'items':
      return () => [...object].map(([key, value]) => Tuple.of(key, value) as Tuple);
    case 'keys':
      return () => [...object.keys()];
    case 'values':
      return () => [...object.values()];
    case 'copy':
      return () => new Map(object);
    default:
      return undefined;
  }
}

/** Python's slice; places count characters, not UTF-16 units. */
export function slice(object: Value, start: Value, stop: Value, step: Value): Value {
  if (object instanceof Undefined) throw new TemplateFault(object.what);
  if (typeof object !== 'string' && !Array.isArray(object))
    return new Undefined(`'${typeName(object)} object' cannot be sliced`);
  const items: Value[] = typeof object === 'string' ? [...object] : object;
  const by = bound(step) ?? 1;
  if (by === 0) throw new TemplateFault('slice step cannot be zero');
  const [low, high] = by > 0 ? [0, items.length] : [-1, items.length - 1];
  const place = (given: number | null, absent: number) => {
    if (given === null) return absent;
    return Math.min(Math.max(given < 0 ? given + items.length : given, low), high);
  };
  const [from, to] = [place(bound(start), by > 0 ? low : high), place(bound(stop), by > 0 ? high : low)];
  const taken: Value[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) taken.push(items[i]!);
  if (typeof object === 'string') return taken.join('');
  return object instanceof Tuple ? (Tuple.from(taken) as Tuple) : taken;
}

function bound(value: Value): number | null {
  if (value === null || typeof value === 'number') return value;
  throw new TemplateFault('slice indices must be integers or None');
}
