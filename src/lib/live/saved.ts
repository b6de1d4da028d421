/**
 * What a page may say of its edits. `saved`: the server has committed them. `offline`: kept on this device; `tab`: no
 * connection, and this browser keeps nothing; `refused`: the server will not take them.
 */
export type Saved = 'connecting' | 'saved' | 'saving' | 'offline' | 'tab' | 'refused';

/** `saving` goes before `offline`: while one room still writes, nothing of the page is said to be kept. */
const worst: readonly Saved[] = ['refused', 'tab', 'saving', 'offline', 'connecting', 'saved'];

/** Of several rooms the state that needs attention most. */
export function together(states: readonly Saved[]): Saved {
  return worst.find((state) => states.includes(state)) ?? 'saved';
}

/** Whether a page that closes now would lose or delay something. */
export const isOpen = (state: Saved) => state === 'saving' || state === 'tab' || state === 'refused';
