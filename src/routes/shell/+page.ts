/** Kept by the service worker: the same for everybody, and drawn in the browser alone. */
export const ssr = false;
