import { getLocale, overwriteGetLocale } from '$lib/paraglide/runtime.js';

// Every message asks for it, and would read the cookies each time, which takes longer than all else that draws a task.
// Another language loads the page anew.
const locale = getLocale();
overwriteGetLocale(() => locale);
