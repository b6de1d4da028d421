/** Of one member, and of one specialty's name. */
export const SPECIALTIES_MAX = 20;
export const SPECIALTY_LENGTH_MAX = 60;

/** A project's own word for a kind of tasks, as it is kept: words that differ only in case or spaces are the same. */
export function specialtyOf(text: string): string {
  return text.normalize('NFC').trim().replace(/\s+/g, ' ').toLowerCase();
}
