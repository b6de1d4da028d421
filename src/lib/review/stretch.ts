/** A stretch of a text, in UTF-16 code units. */
export interface Stretch {
  start: number;
  end: number;
}

/** What is selected within an element that holds a text and nothing else, without the spaces at its ends; null where nothing is. */
export function selectedIn(element: HTMLElement, text: string): Stretch | null {
  const selection = getSelection();
  if (!selection?.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!element.contains(range.startContainer) || !element.contains(range.endContainer)) return null;
  const before = document.createRange();
  before.selectNodeContents(element);
  before.setEnd(range.startContainer, range.startOffset);
  const start = before.toString().length;
  return trimmed(text, { start, end: start + range.toString().length });
}

function trimmed(text: string, { start, end }: Stretch): Stretch | null {
  const chosen = text.slice(start, end);
  const from = start + (chosen.length - chosen.trimStart().length);
  const to = end - (chosen.length - chosen.trimEnd().length);
  return from < to ? { start: from, end: to } : null;
}

/** The sentences of a text: what can be chosen where nothing can be marked, by keyboard or with a thumb. */
export function sentencesOf(text: string): Stretch[] {
  const segments = new Intl.Segmenter(undefined, { granularity: 'sentence' }).segment(text);
  return [...segments].flatMap(({ index, segment }) => {
    const found = trimmed(text, { start: index, end: index + segment.length });
    return found ? [found] : [];
  });
}

/** A text cut where stretches begin and end; `marks` are the places, in the list given, of those that cover the piece. */
export function cut(text: string, stretches: readonly Stretch[]): { text: string; marks: number[] }[] {
  const inside = stretches.filter(({ start, end }) => start >= 0 && start < end && end <= text.length);
  const edges = new Set([0, text.length, ...inside.flatMap(({ start, end }) => [start, end])]);
  const sorted = [...edges].sort((a, b) => a - b);
  return sorted.slice(1).map((to, i) => ({
    text: text.slice(sorted[i], to),
    marks: stretches.flatMap((one, at) =>
      inside.includes(one) && one.start <= sorted[i]! && one.end >= to ? [at] : []
    )
  }));
}
