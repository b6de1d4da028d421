/** Rows of a list that are chosen one by one, or with Shift from the last one on. */
export class Selection {
  ids = $state.raw<readonly string[]>([]);
  #last: string | null = null;

  /** Chooses a row, or lets it go; `through`: and all between it and the last one that was. */
  set(order: readonly string[], id: string, chosen: boolean, through: boolean): void {
    const at = order.indexOf(id);
    const last = through && this.#last !== null ? order.indexOf(this.#last) : at;
    const from = last < 0 ? at : last;
    const meant = order.slice(Math.min(from, at), Math.max(from, at) + 1);
    const others = this.ids.filter((one) => !meant.includes(one));
    this.ids = chosen ? [...others, ...meant] : others;
    this.#last = id;
  }

  all(order: readonly string[], chosen: boolean): void {
    this.ids = chosen ? order : [];
    this.#last = null;
  }
}
