/** What a field of lines says: each once, in order, without what is empty. */
export const linesOf = (text: string): string[] => [
  ...new Set(
    text
      .split('\n')
      .map((one) => one.trim())
      .filter(Boolean)
  )
];
