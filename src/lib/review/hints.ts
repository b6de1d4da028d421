import { m } from '$lib/paraglide/messages.js';
import type { HintGroup } from '$lib/ui/keyboard.svelte.ts';

/** What the `?` sheet says of the review page. */
export const hints = (paired: boolean): HintGroup => ({
  title: m.review_keys(),
  hints: [
    ...(paired
      ? [
          { keys: '1 2 3', does: m.review_keys_compare() },
          { keys: '← →', does: m.review_keys_move() }
        ]
      : [
          { keys: '1 … 9', does: m.review_keys_place() },
          { keys: '0 ⌫', does: m.review_keys_remove() },
          { keys: '← →', does: m.review_keys_move() },
          { keys: 'Alt ↑ ↓', does: m.review_keys_lift() }
        ]),
    { keys: 'T', does: m.review_keys_board() },
    { keys: 'E', does: m.review_keys_edit() },
    { keys: 'M', does: m.review_keys_remark() },
    { keys: 'V', does: m.review_keys_mark() },
    { keys: 'G', does: m.review_keys_guidelines() },
    { keys: 'Ctrl Z', does: m.review_keys_undo() },
    { keys: 'Ctrl ↵', does: m.review_keys_submit() },
    { keys: 'D', does: m.review_keys_discard() },
    { keys: 'S', does: m.review_keys_skip() },
    { keys: 'X', does: m.review_keys_all_bad() },
    { keys: 'C', does: m.review_keys_cannot_judge() },
    { keys: 'N', does: m.review_keys_next() },
    { keys: 'A', does: m.review_keys_advance() }
  ]
});
