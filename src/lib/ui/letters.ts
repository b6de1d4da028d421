/** Candidates are called A, B, C … in their order in the task; the limit of outputs is 26. */
export function letterOf(index: number): string {
  return String.fromCharCode(65 + index);
}

/** The position a typed letter names; null where the task has no such candidate. */
export function indexOfLetter(key: string, count: number): number | null {
  if (!/^[a-z]$/i.test(key)) return null;
  const index = key.toUpperCase().charCodeAt(0) - 65;
  return index < count ? index : null;
}
