import { tick, type ComponentProps } from 'svelte';
import { EDITED_LENGTH_MAX } from '$lib/live/draft.svelte.ts';
import { m } from '$lib/paraglide/messages.js';
import { letterOf } from '$lib/ui/letters.ts';
import { toasts } from '$lib/ui/toasts.svelte.ts';
import type RemarkDialog from './RemarkDialog.svelte';
import type { Session } from './session.svelte.ts';
import { selectedIn, type Stretch } from './stretch.ts';

/** What a person writes beside their ranking: one output made better, and remarks on words of outputs. */
export class Writing {
  /** What a remark is being written about; null: none is. */
  remarking = $state.raw<ComponentProps<typeof RemarkDialog>['about']>(null);
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** The draft it goes into; null where nothing is written: at the table, and for those who only read. */
  get draft() {
    const { mine, mode } = this.#session;
    return mode === 'mine' ? (mine?.room.draft ?? null) : null;
  }

  #letter(output: string): string {
    return letterOf(this.#session.outputs.indexOf(output));
  }

  edit(output: string): void {
    const { draft } = this;
    if (!draft || draft.editing === output) return;
    const text = this.#session.textOf(output);
    const before = draft.editing;
    if (before !== null && draft.result((id) => this.#session.textOf(id)))
      return toasts.show(m.review_edit_other({ letter: this.#letter(before) }), { bad: true });
    if (text.length > EDITED_LENGTH_MAX) return toasts.show(m.review_edit_long(), { bad: true });
    draft.edit(output, text);
    void tick().then(() =>
      document.querySelector<HTMLElement>(`[data-output="${output}"] textarea`)?.focus()
    );
  }

  endEdit(): void {
    const { draft } = this;
    if (!draft) return;
    const { editing, text } = draft;
    draft.endEdit();
    if (editing !== null && text !== this.#session.textOf(editing))
      toasts.show(m.review_edit_ended(), { undo: () => draft.edit(editing, text) });
  }

  /** Asks for a remark; without a stretch it is on a sentence that is chosen then. */
  remark(output: string, stretch: Stretch | null): void {
    if (!this.draft) return;
    const text = this.#session.textOf(output);
    this.remarking = { output, letter: this.#letter(output), text, stretch };
  }

  /** On the words that are marked in an output on the page. */
  remarkOnMarked(output: string): void {
    const element = document.querySelector<HTMLElement>(`[data-output="${output}"] .text`);
    this.remark(output, element && selectedIn(element, this.#session.textOf(output)));
  }
}
