import { createReadStream } from 'node:fs';
import { crc32 } from 'node:zlib';
import { limits } from '../limits.ts';

export interface ZipEntry {
  /** With forward slashes, ASCII. */
  name: string;
  path: string;
  bytes: number;
  at: Date;
}

const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;

/** Whether the entries fit the format without its 64-bit extension. */
export function fitsZip(entries: ZipEntry[]): boolean {
  return zipBytes(entries) <= limits.artifacts.zip_bytes_max;
}

/** How long `zip` of the same entries is. */
export function zipBytes(entries: ZipEntry[]): number {
  return entries.reduce(
    (sum, { name, bytes }) => sum + LOCAL_BYTES + CENTRAL_BYTES + 2 * name.length + bytes,
    END_BYTES
  );
}

/**
 * A ZIP archive of files as they are (method 0, "stored"; APPNOTE 6.3): adapter weights do not compress, and its length
 * is known before the first byte. Each file is read twice, since its checksum stands before it.
 */
export async function* zip(entries: ZipEntry[]): AsyncGenerator<Uint8Array> {
  const central: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const common = await commonFields(entry);
    const name = Buffer.from(entry.name, 'latin1');
    yield Buffer.concat([u32(0x04034b50), common, name]);
    yield* createReadStream(entry.path);
    central.push(Buffer.concat([u32(0x02014b50), u16(20), common, Buffer.alloc(10), u32(offset), name]));
    offset += LOCAL_BYTES + name.length + entry.bytes;
  }
  const directory = Buffer.concat(central);
  const count = u16(entries.length);
  yield directory;
  yield Buffer.concat([
    ...[u32(0x06054b50), u16(0), u16(0), count, count],
    ...[u32(directory.length), u32(offset), u16(0)]
  ]);
}

/** What a file's own header and its line in the directory share: version, flags, method, time, checksum, sizes, name. */
async function commonFields({ name, path, bytes, at }: ZipEntry): Promise<Buffer> {
  let crc = 0;
  let read = 0;
  for await (const chunk of createReadStream(path)) {
    crc = crc32(chunk as Buffer, crc);
    read += (chunk as Buffer).length;
  }
  if (read !== bytes) throw new Error(`A file of an archive has ${read} bytes, not ${bytes}.`);
  const [time, date] = dosTime(at);
  return Buffer.concat([
    ...[u16(20), u16(0), u16(0), u16(time), u16(date)],
    ...[u32(crc), u32(bytes), u32(bytes), u16(name.length), u16(0)]
  ]);
}

/** Two seconds at a time, from 1980 on; UTC, so that the same adapter gives the same archive everywhere. */
function dosTime(at: Date): [number, number] {
  const time = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  const date = ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();
  return [time, date];
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
