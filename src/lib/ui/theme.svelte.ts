export type Theme = 'system' | 'light' | 'dark';
const KEY = 'concord-theme';

/** The stored choice; `system` follows the device. The same key is read in app.html before the first paint. */
class Choice {
  now = $state<Theme>('system');

  read() {
    const stored = localStorage.getItem(KEY);
    this.now = stored === 'light' || stored === 'dark' ? stored : 'system';
  }

  set(theme: Theme) {
    this.now = theme;
    if (theme === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
}

export const theme = new Choice();
