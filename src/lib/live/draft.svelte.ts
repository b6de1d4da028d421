import * as Y from 'yjs';
import type { EditedOutput, Span, Strength } from '$lib/wire/ranking';

export interface Remark extends Span {
  id: string;
}

/** As long as the server lets an edited output be. */
export const EDITED_LENGTH_MAX = 50_000;

/** What a ballot holds beside ranks and ratings: how much better the best is, one output made better, and remarks on stretches of outputs. */
export class Draft {
  /** The output that is made better; null: none is. */
  editing = $state<string | null>(null);
  /** Its text as it stands now. */
  text = $state('');
  remarks = $state.raw<readonly Remark[]>([]);
  strength = $state<Strength | null>(null);

  readonly edited: Y.Text;
  readonly #doc: Y.Doc;
  readonly #editing: Y.Map<string>;
  readonly #spans: Y.Map<string>;
  readonly #strength: Y.Map<Strength>;
  readonly #origin: unknown;

  constructor(doc: Y.Doc, origin: unknown) {
    this.#doc = doc;
    this.#origin = origin;
    this.#editing = doc.getMap<string>('editing');
    this.edited = doc.getText('edited');
    this.#spans = doc.getMap<string>('spans');
    this.#strength = doc.getMap<Strength>('strength');
    this.#strength.observe(() => (this.strength = this.#strength.get('best') ?? null));
    this.#editing.observe(() => (this.editing = this.#editing.get('output') ?? null));
    this.edited.observe(() => (this.text = this.edited.toString()));
    this.#spans.observe(() => (this.remarks = remarksIn(this.#spans)));
  }

  /** How much better the best is; null: that is not said. */
  setStrength(strength: Strength | null): void {
    this.#doc.transact(() => {
      if (strength === null) this.#strength.delete('best');
      else this.#strength.set('best', strength);
    }, this.#origin);
  }

  /** Begins to edit an output, from its text; what was edited of another goes. */
  edit(output: string, original: string): void {
    if (original.length > EDITED_LENGTH_MAX) return;
    this.#doc.transact(() => {
      this.#editing.set('output', output);
      this.edited.delete(0, this.edited.length);
      this.edited.insert(0, original);
    }, this.#origin);
  }

  /** Takes the edit back: the output is as it was. */
  endEdit(): void {
    this.#doc.transact(() => {
      this.#editing.delete('output');
      this.edited.delete(0, this.edited.length);
    }, this.#origin);
  }

  /** The edit, where it says something else than the output did. */
  result(textOf: (output: string) => string): EditedOutput | null {
    if (this.editing === null || !this.text.trim() || this.text === textOf(this.editing)) return null;
    return { output: this.editing, text: this.text };
  }

  remark(span: Span): void {
    const id = crypto.getRandomValues(new Uint32Array(3)).reduce((id, part) => id + part.toString(36), '');
    this.#doc.transact(
      () => this.#spans.set(id.padEnd(8, '0').slice(0, 32), JSON.stringify(span)),
      this.#origin
    );
  }

  unremark(id: string): void {
    this.#doc.transact(() => this.#spans.delete(id), this.#origin);
  }
}

/** In the order of the text; what another version of Concord wrote otherwise is left alone. */
function remarksIn(spans: Y.Map<string>): Remark[] {
  const remarks = [...spans.entries()].flatMap(([id, json]) => {
    try {
      const { output, start, end, category, text } = JSON.parse(json) as Span;
      const isSpan = [output, category, text].every((one) => typeof one === 'string') && start < end;
      return isSpan ? [{ id, output, start, end, category, text }] : [];
    } catch {
      return [];
    }
  });
  return remarks.sort((a, b) => a.start - b.start || a.end - b.end);
}
