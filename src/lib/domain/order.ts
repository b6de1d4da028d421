/**
 * A place in [0, 1) for a text, the same on every machine: for shuffles and splits that must repeat. It is cyrb53
 * (public domain, bryc), not a cryptographic hash: SHA-256 is asynchronous in browsers, and nothing here is secret.
 */
export function placeOf(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return ((low >>> 0) + (high & 0x1fffff) * 4294967296) / 2 ** 53;
}

/** Compares by UTF-16 units, as `<` does: the same in every locale. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
