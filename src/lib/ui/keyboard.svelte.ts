import { untrack } from 'svelte';

/** A key with what it does. `keys` is how it is printed: "1 – 9", "Ctrl Enter". */
export interface Hint {
  keys: string;
  does: string;
}

export interface HintGroup {
  title: string;
  hints: Hint[];
}

const fields =
  'input:not([type="checkbox"], [type="radio"], [type="range"], [type="button"]), textarea, select, [contenteditable="true"]';

/** Keys never fire while someone types, composes a character, or a dialog is open over the page. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : null;
  const dialog = document.querySelector('dialog[open]');
  return (
    event.isComposing || Boolean(target?.closest(fields)) || (dialog !== null && !dialog.contains(target))
  );
}

/** Ctrl, or Cmd on Apple's keyboards. */
export function withCommand(event: KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey;
}

export function plain(event: KeyboardEvent): boolean {
  return !event.ctrlKey && !event.metaKey && !event.altKey;
}

const KEPT = 'concord:single-keys';

/** Keys that act alone, without Ctrl or Alt: whoever speaks to their machine, or whose hand trembles, can switch them off (WCAG 2.1.4). */
class Shortcuts {
  single = $state(globalThis.localStorage?.getItem(KEPT) !== 'off');

  toggle(): void {
    this.single = !this.single;
    localStorage.setItem(KEPT, this.single ? 'on' : 'off');
  }
}

export const shortcuts = new Shortcuts();

/** What the `?` sheet lists: the groups of the pages and panels that are on screen. */
class Sheet {
  groups = $state.raw<HintGroup[]>([]);

  /** Lists a group for as long as its page stands; returns how to take it off. */
  show(group: HintGroup): () => void {
    // Shown from effects: they must not run again because the sheet has changed.
    this.groups = [...untrack(() => this.groups), group];
    return () => (this.groups = untrack(() => this.groups).filter((other) => other !== group));
  }
}

export const sheet = new Sheet();
