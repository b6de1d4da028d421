import type { Person } from '$lib/wire/remark';

/** The mention that is being typed at the caret: where its @ stands and what follows it; null where none is. */
export function asked(text: string, caret: number): { from: number; query: string } | null {
  const found = /(?:^|[\s(])@([^\s@]*(?: [^\s@]*)?)$/.exec(text.slice(0, caret));
  return found && { from: caret - found[1]!.length - 1, query: found[1]! };
}

/** People whose name, or a word of it, begins with what was typed. */
export function matching(people: readonly Person[], query: string): Person[] {
  const wanted = query.toLocaleLowerCase();
  const words = (name: string) => [name, ...name.split(/\s+/)].map((word) => word.toLocaleLowerCase());
  return people.filter(({ name }) => words(name).some((word) => word.startsWith(wanted)));
}

/** The text with the mention that was begun at `from` made whole, and where the caret goes. */
export function complete(
  text: string,
  from: number,
  caret: number,
  { name }: Person
): { text: string; caret: number } {
  const begin = `${text.slice(0, from)}@${name} `;
  return { text: begin + text.slice(caret).replace(/^ /, ''), caret: begin.length };
}

export interface Piece {
  text: string;
  /** Who is mentioned by it; null for plain text. */
  person: Person | null;
}

/** A text cut at the mentions of these people; of two names that fit, the longer is meant. */
export function cut(text: string, people: readonly Person[]): Piece[] {
  const byLength = people.toSorted((a, b) => b.name.length - a.name.length);
  const pieces: Piece[] = [];
  let plain = '';
  for (let at = 0; at < text.length;) {
    const person = text[at] === '@' ? byLength.find(({ name }) => text.startsWith(name, at + 1)) : undefined;
    if (!person) {
      plain += text[at++];
      continue;
    }
    if (plain) pieces.push({ text: plain, person: null });
    plain = '';
    pieces.push({ text: `@${person.name}`, person });
    at += person.name.length + 1;
  }
  return plain ? [...pieces, { text: plain, person: null }] : pieces;
}

/** Ids of the people whom a text mentions. */
export const mentionedIn = (text: string, people: readonly Person[]): string[] => [
  ...new Set(cut(text, people).flatMap(({ person }) => (person ? [person.id] : [])))
];
