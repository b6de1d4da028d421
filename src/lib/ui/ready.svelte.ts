/** Whether this page answers its reader yet: what the server rendered is seen before its scripts have come. */
export const ready = $state({ now: false });
