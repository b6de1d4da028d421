import { statfsSync } from 'node:fs';
import { limits } from '../limits.ts';

/**
 * True where a folder's disk has less room than the house keeps free. PostgreSQL ends altogether when its log finds no
 * room, so what can wait must stop before that.
 */
export function isFull(folder: string, reserveBytes: number = limits.db.disk_reserve_bytes): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < reserveBytes;
}

/** What to do, to go behind a sentence that says what has stopped; empty where the disk is not the reason. */
export const ifFull = (folder: string) =>
  isFull(folder) ? ` The disk of ${folder} is full: free some space first.` : '';
