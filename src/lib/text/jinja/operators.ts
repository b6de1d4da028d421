import { text } from './print.ts';
import {
  compare,
  contains,
  equal,
  Float,
  numeric,
  TemplateFault,
  Tuple,
  typeName,
  Undefined,
  type Value
} from './values.ts';

/** Every binary operator but `and` and `or`, which do not evaluate both sides. */
export function binary(operator: string, a: Value, b: Value): Value {
  switch (operator) {
    case '==':
      return equal(a, b);
    case '!=':
      return !equal(a, b);
    case '~':
      return text(a) + text(b);
    case 'in':
      return contains(b, a);
    case 'not in':
      return !contains(b, a);
  }
  for (const side of [a, b]) if (side instanceof Undefined) throw new TemplateFault(side.what);
  switch (operator) {
    case '<':
      return compare(a, b) < 0;
    case '<=':
      return compare(a, b) <= 0;
    case '>':
      return compare(a, b) > 0;
    case '>=':
      return compare(a, b) >= 0;
    case '+':
      if (typeof a === 'string' && typeof b === 'string') return a + b;
      if (Array.isArray(a) && Array.isArray(b) && a instanceof Tuple === b instanceof Tuple)
        return a.concat(b);
      break;
    case '*':
      if (typeof a === 'string' && typeof b === 'number') return a.repeat(Math.max(b, 0));
      if (typeof b === 'string' && typeof a === 'number') return b.repeat(Math.max(a, 0));
  }
  return arithmetic(operator, a, b);
}

export function arithmetic(operator: string, a: Value, b: Value): Value {
  const [x, y] = [numeric(a), numeric(b)];
  if (x === null || y === null)
    throw new TemplateFault(
      `unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`
    );
  if (y === 0 && ['/', '//', '%'].includes(operator)) throw new TemplateFault('division by zero');
  const result = calculate(operator, x, y);
  const isFloat = a instanceof Float || b instanceof Float || !Number.isInteger(result) || operator === '/';
  return isFloat ? new Float(result) : result;
}

/** Python rounds a quotient down, so a remainder has the divisor's sign. */
function calculate(operator: string, x: number, y: number): number {
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return x / y;
    case '//':
      return Math.floor(x / y);
    case '%':
      return x - y * Math.floor(x / y);
    case '**':
      return x ** y;
    default:
      throw new TemplateFault(`unknown operator ${operator}`);
  }
}
