import { text } from './print.ts';
import { TemplateFault, type Callable } from './values.ts';

const MONTHS = 'January February March April May June July August September October November December'.split(
  ' '
);
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** `strftime_now(format)` of transformers with Python's C locale, whatever language this machine speaks. */
export function strftime(now: Date): Callable {
  const two = (value: number) => String(value).padStart(2, '0');
  const parts: Record<string, string> = {
    Y: String(now.getFullYear()),
    y: two(now.getFullYear() % 100),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    B: MONTHS[now.getMonth()]!,
    b: MONTHS[now.getMonth()]!.slice(0, 3),
    A: DAYS[now.getDay()]!,
    a: DAYS[now.getDay()]!.slice(0, 3),
    H: two(now.getHours()),
    I: two(now.getHours() % 12 || 12),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    p: now.getHours() < 12 ? 'AM' : 'PM',
    '%': '%'
  };
  return ([format = '']) =>
    text(format).replace(/%(.)/g, (directive, letter: string) => {
      if (!Object.hasOwn(parts, letter)) throw new TemplateFault(`strftime_now does not know ${directive}`);
      return parts[letter]!;
    });
}
