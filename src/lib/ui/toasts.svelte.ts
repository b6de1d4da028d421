export interface Toast {
  id: number;
  text: string;
  /** What takes it back; the bar stays longer then. */
  undo?: () => void | Promise<void>;
  /** What its button says, where "Undo" would promise too much. */
  undoLabel?: string;
  bad?: boolean;
}

const shownMs = 6_000;
const undoableMs = 20_000;

class Toasts {
  all = $state.raw<Toast[]>([]);
  #next = 1;

  show(text: string, options: Omit<Toast, 'id' | 'text'> = {}): void {
    const toast = { id: this.#next++, text, ...options };
    // One at a time: two undo bars would leave open which act is meant.
    this.all = [toast];
    setTimeout(() => this.close(toast.id), options.undo ? undoableMs : shownMs);
  }

  close(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
