const KEY = 'concord.advance';

/** Whether a submitted task makes room for the next one by itself; remembered on this device. */
class Advance {
  on = $state(read());

  toggle(): void {
    this.on = !this.on;
    try {
      localStorage.setItem(KEY, this.on ? 'on' : 'off');
    } catch {
      // A browser that keeps nothing: it holds for this page.
    }
  }
}

function read(): boolean {
  try {
    return localStorage.getItem(KEY) !== 'off';
  } catch {
    return true;
  }
}

export const advance = new Advance();
