import { getLocale, overwriteGetLocale } from '$lib/paraglide/runtime.js';

// Every message asks for it, and would read the cookies each time. Another language loads the page anew.
const locale = getLocale();
overwriteGetLocale(() => locale);
