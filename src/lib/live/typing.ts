import type * as Y from 'yjs';

/** The smallest replacement that turns one text into the other: what is equal at both ends stays. */
export function change(before: string, after: string): { at: number; removed: number; added: string } {
  const most = Math.min(before.length, after.length);
  let at = 0;
  while (at < most && before[at] === after[at]) at++;
  let end = 0;
  while (end < most - at && before.at(-1 - end) === after.at(-1 - end)) end++;
  return { at, removed: before.length - at - end, added: after.slice(at, after.length - end) };
}

/** Where a caret goes when somebody else replaces `removed` characters at `at` by `added`. */
export function moved(caret: number, at: number, removed: number, added: number): number {
  if (caret <= at) return caret;
  return Math.max(at, caret - removed) + added;
}

/** A text field that several people type into: each keeps their own caret while the others write. */
export function typing(field: HTMLTextAreaElement, { text, origin }: { text: Y.Text; origin: unknown }) {
  field.value = text.toString();

  function input() {
    const { at, removed, added } = change(text.toString(), field.value);
    text.doc!.transact(() => {
      text.delete(at, removed);
      text.insert(at, added);
    }, origin);
  }

  function observe() {
    const next = text.toString();
    if (next === field.value) return;
    const { at, removed, added } = change(field.value, next);
    const { selectionStart, selectionEnd, selectionDirection } = field;
    field.value = next;
    if (document.activeElement !== field) return;
    field.setSelectionRange(
      moved(selectionStart, at, removed, added.length),
      moved(selectionEnd, at, removed, added.length),
      selectionDirection
    );
  }

  field.addEventListener('input', input);
  text.observe(observe);
  return {
    destroy() {
      field.removeEventListener('input', input);
      text.unobserve(observe);
    }
  };
}
