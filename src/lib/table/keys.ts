import { m } from '$lib/paraglide/messages.js';
import { isTyping, plain, withCommand, type HintGroup } from '$lib/ui/keyboard.svelte.ts';
import type { Consensus } from './table.svelte.ts';

/** What the `?` sheet says of a table. */
export const hints = (): HintGroup => ({
  title: m.table_keys(),
  hints: [
    { keys: '1 … 9', does: m.table_keys_place() },
    { keys: '0 ⌫', does: m.table_keys_remove() },
    { keys: '← →', does: m.table_keys_move() },
    { keys: 'Alt ↑ ↓', does: m.table_keys_step() },
    { keys: 'D', does: m.table_keys_discuss() },
    { keys: 'Ctrl Z', does: m.table_keys_undo() },
    { keys: 'Ctrl ↵', does: m.table_keys_make() }
  ]
});

export interface Acts {
  make(): void;
  discuss(): void;
}

/** What a key does at a table; null where it means nothing there. */
export function actOf(event: KeyboardEvent, consensus: Consensus, acts: Acts): (() => void) | null {
  if (isTyping(event) || document.querySelector('dialog[open]')) return null;
  const { board } = consensus;
  if (withCommand(event) && !event.repeat) {
    if (event.key === 'Enter') return acts.make;
    if (event.key.toLowerCase() === 'z' && !event.shiftKey) return () => board.undo();
    return null;
  }
  if (event.altKey && event.key === 'ArrowUp') return () => board.step(consensus.selected, -1);
  if (event.altKey && event.key === 'ArrowDown') return () => board.step(consensus.selected, 1);
  if (!plain(event) || event.repeat) return null;
  if (/^[1-9]$/.test(event.key)) return () => consensus.place(Number(event.key));
  if (event.key === '0' || event.key === 'Backspace') return () => board.drop(consensus.selected, 'tray');
  if (event.key === 'ArrowLeft') return () => consensus.select(-1);
  if (event.key === 'ArrowRight') return () => consensus.select(1);
  return event.key.toLowerCase() === 'd' ? acts.discuss : null;
}
