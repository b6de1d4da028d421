import {
  Float,
  iterate,
  Namespace,
  TemplateFault,
  Tuple,
  typeName,
  Undefined,
  type Value
} from './values.ts';

/** Python's `str()`. */
export function text(value: Value): string {
  if (typeof value === 'string') return value;
  return value instanceof Undefined ? '' : repr(value);
}

/** Python's `repr()`. */
export function repr(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quoted(value);
  if (value instanceof Float)
    return Number.isInteger(value.value) ? value.value.toFixed(1) : String(value.value);
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Tuple) return `(${value.map(repr).join(', ')}${value.length === 1 ? ',' : ''})`;
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  if (value instanceof Map)
    return `{${[...value].map(([key, item]) => `${quoted(key)}: ${repr(item)}`).join(', ')}}`;
  if (value instanceof Namespace) return `<Namespace ${repr(value.attributes)}>`;
  throw new TemplateFault('a function cannot be printed');
}

const ESCAPES: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  // Python prints as they are all but control, format, private and unassigned characters, and white space other than " ".
  const body = value.replace(/[\\\p{C}\p{Z}']/gu, (char) => {
    if (char === ' ') return char;
    if (char === "'") return quote === "'" ? "\\'" : char;
    const code = char.codePointAt(0)!;
    const hex = (digits: number) => code.toString(16).padStart(digits, '0');
    return (
      ESCAPES[char] ?? (code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`)
    );
  });
  return quote + body + quote;
}

export interface JsonOptions {
  indent?: number | null;
  ensureAscii?: boolean;
  separators?: [string, string] | null;
  sortKeys?: boolean;
}

/** `json.dumps` as transformers calls it for `tojson`: no HTML escapes, characters as they are unless asked otherwise. */
export function json(value: Value, options: JsonOptions = {}, depth = 0): string {
  const { indent = null, ensureAscii = false, separators, sortKeys = false } = options;
  const [comma, colon] = separators ?? [indent === null ? ', ' : ',', ': '];
  const wrap = (open: string, items: string[], close: string) => {
    if (!items.length) return open + close;
    if (indent === null) return open + items.join(comma) + close;
    const line = (level: number) => '\n' + ' '.repeat(indent * level);
    return open + line(depth + 1) + items.join(comma + line(depth + 1)) + line(depth) + close;
  };
  const inner = (item: Value) => json(item, options, depth + 1);
  const string = (one: string) => {
    const plain = JSON.stringify(one);
    if (!ensureAscii) return plain;
    return plain.replace(/[\x7f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  };
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return String(value);
  if (typeof value === 'string') return string(value);
  if (value instanceof Float) return repr(value);
  if (Array.isArray(value)) return wrap('[', value.map(inner), ']');
  if (!(value instanceof Map))
    throw new TemplateFault(`Object of type ${typeName(value)} is not JSON serializable`);
  const keys = sortKeys ? (iterate(value) as string[]).sort() : [...value.keys()];
  return wrap(
    '{',
    keys.map((key) => string(key) + colon + inner(value.get(key)!)),
    '}'
  );
}
