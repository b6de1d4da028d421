import { aligned, DTYPE_BYTES, isDType, type DType } from './dtype.ts';

export * from './dtype.ts';

/** The trainer's limits (trainer/src/io/limits.h), so that what one reads the other reads too. */
export const SAFETENSORS_LIMITS = {
  header_bytes_max: 8 << 20,
  metadata_bytes_max: 64 << 10,
  tensors_max: 20_000,
  dims_max: 8
} as const;

/** A file that is not what it claims to be; the sentence names the file and the tensor. */
export class SafetensorsError extends Error {}

export interface TensorPlace {
  name: string;
  dtype: DType;
  shape: number[];
  /** In bytes from the start of the file. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  file: string;
  metadata: Record<string, string>;
  /** In order of their place in the file. */
  tensors: Map<string, TensorPlace>;
}

/** How many bytes from the start hold the header with its length, checked against the file's size. */
export function headerBytes(first8: Uint8Array, file: string, file_bytes: number): number {
  if (file_bytes < 8 || first8.byteLength < 8)
    throw new SafetensorsError(`${file}: is too short for a safetensors file (${file_bytes} bytes).`);
  refusePickle(first8, file);
  const length = new DataView(first8.buffer, first8.byteOffset, 8).getBigUint64(0, true);
  if (length > SAFETENSORS_LIMITS.header_bytes_max)
    throw new SafetensorsError(
      `${file}: its header claims ${length} bytes, more than the ${SAFETENSORS_LIMITS.header_bytes_max} allowed; is it a safetensors file?`
    );
  if (Number(length) > file_bytes - 8) throw new SafetensorsError(`${file}: is cut off inside its header.`);
  if (length < 2n) throw new SafetensorsError(`${file}: has no header.`);
  return 8 + Number(length);
}

/** PyTorch's formats. Loading one can run code, so they are named rather than misread. */
function refusePickle(bytes: Uint8Array, file: string): void {
  const zip = bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
  const pickle =
    bytes[0] === 0x80 && bytes[1]! >= 2 && bytes[1]! <= 5 && bytes.subarray(0, 8).indexOf(0) === -1;
  if (zip || pickle)
    throw new SafetensorsError(`${file}: is a pickle file, which can run code; convert it to safetensors.`);
}

/**
 * Reads the header and believes none of it: the tensors must cover the data exactly, each with the bytes that dtype
 * and shape ask for. `bytes` begins the file and holds the header at least; `file_bytes` is the whole file's size.
 */
export function readSafetensorsHeader(
  bytes: Uint8Array,
  file = 'The file',
  file_bytes = bytes.byteLength
): SafetensorsHeader {
  const data = headerBytes(bytes.subarray(0, 8), file, file_bytes);
  if (bytes.byteLength < data) throw new SafetensorsError(`${file}: is cut off inside its header.`);
  const json = parseHeader(bytes.subarray(8, data), file);
  const places: TensorPlace[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(json)) {
    if (name === '__metadata__') metadata = readMetadata(entry, file);
    else places.push(readPlace(name, entry, data, file));
    if (places.length > SAFETENSORS_LIMITS.tensors_max)
      throw new SafetensorsError(`${file}: has more than ${SAFETENSORS_LIMITS.tensors_max} tensors.`);
  }
  places.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCover(places, data, file, file_bytes);
  return { file, metadata, tensors: new Map(places.map((place) => [place.name, place])) };
}

function parseHeader(bytes: Uint8Array, file: string): Record<string, unknown> {
  if (bytes[0] !== 0x7b)
    throw new SafetensorsError(`${file}: its header does not begin with "{"; is it a safetensors file?`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Record<string, unknown>;
  } catch {
    throw new SafetensorsError(`${file}: its header is not JSON.`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readMetadata(entry: unknown, file: string): Record<string, string> {
  if (!isRecord(entry)) throw new SafetensorsError(`${file}: __metadata__ is not an object.`);
  let total_bytes = 0;
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== 'string') throw new SafetensorsError(`${file}: __metadata__.${key} is not a text.`);
    total_bytes += key.length + value.length;
  }
  if (total_bytes > SAFETENSORS_LIMITS.metadata_bytes_max)
    throw new SafetensorsError(
      `${file}: __metadata__ is larger than the ${SAFETENSORS_LIMITS.metadata_bytes_max} bytes allowed.`
    );
  return entry as Record<string, string>;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function readPlace(name: string, entry: unknown, data: number, file: string): TensorPlace {
  const refuse = (what: string) => new SafetensorsError(`${file}: tensor "${name}" ${what}.`);
  if (!isRecord(entry)) throw refuse('is not an object');
  for (const key of Object.keys(entry))
    if (!['dtype', 'shape', 'data_offsets'].includes(key)) throw refuse(`has the unknown key "${key}"`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDType(dtype)) throw refuse(`has the dtype ${JSON.stringify(dtype)}, which is not supported`);
  if (!Array.isArray(shape) || !shape.every(isCount)) throw refuse('has no valid shape');
  if (shape.length > SAFETENSORS_LIMITS.dims_max)
    throw refuse(`has more than ${SAFETENSORS_LIMITS.dims_max} dimensions`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw refuse('has no valid data_offsets');
  const [begin, end] = offsets as [number, number];
  const due = tensorBytes(dtype, shape);
  if (!Number.isSafeInteger(due))
    throw refuse(`has the shape [${shape.join(', ')}], which is too large to exist`);
  if (end - begin !== due)
    throw refuse(`spans ${end - begin} bytes, but ${dtype} [${shape.join(', ')}] needs ${due}`);
  return { name, dtype, shape, begin: data + begin, end: data + end };
}

/** No gap, no overlap, nothing behind. */
function checkCover(places: TensorPlace[], data: number, file: string, file_bytes: number): void {
  let at = data;
  for (const { name, begin, end } of places) {
    if (begin > at)
      throw new SafetensorsError(`${file}: tensor "${name}" leaves a gap of unused bytes before it.`);
    if (begin < at) throw new SafetensorsError(`${file}: tensor "${name}" overlaps the one before it.`);
    if (end > file_bytes)
      throw new SafetensorsError(
        `${file}: tensor "${name}" lies beyond the end of the file; the file is cut off.`
      );
    at = end;
  }
  if (at !== file_bytes)
    throw new SafetensorsError(`${file}: has ${file_bytes - at} bytes after its last tensor.`);
}

export function tensorBytes(dtype: DType, shape: number[]): number {
  return shape.reduce((bytes, dim) => bytes * dim, DTYPE_BYTES[dtype]);
}

/** One tensor's bytes out of a whole file in memory; no copy. */
export function sliceTensor(bytes: Uint8Array, header: SafetensorsHeader, name: string): Uint8Array {
  const place = header.tensors.get(name);
  if (!place) throw new SafetensorsError(`${header.file}: the tensor "${name}" is missing.`);
  return bytes.subarray(place.begin, place.end);
}

export interface TensorOut {
  name: string;
  dtype: DType;
  shape: number[];
}

/** The bytes before the data; for writers that stream what follows, in this order. */
export function encodeSafetensorsHeader(
  tensors: TensorOut[],
  metadata: Record<string, string> = {}
): Uint8Array {
  const json: Record<string, unknown> = Object.keys(metadata).length ? { __metadata__: metadata } : {};
  let at = 0;
  for (const { name, dtype, shape } of tensors) {
    const end = at + tensorBytes(dtype, shape);
    json[name] = { dtype, shape, data_offsets: [at, end] };
    at = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(json));
  // Data begins at a multiple of 8, as other writers do.
  const padded = Math.ceil(text.byteLength / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(text, 8);
  return header;
}

type Data = Uint8Array | Float32Array | Int32Array | BigInt64Array;

/** A whole file in memory. */
export function writeSafetensors(
  tensors: (TensorOut & { data: Data })[],
  metadata: Record<string, string> = {}
): Uint8Array<ArrayBuffer> {
  const header = encodeSafetensorsHeader(tensors, metadata);
  const total = tensors.reduce(
    (bytes, { dtype, shape }) => bytes + tensorBytes(dtype, shape),
    header.byteLength
  );
  const out = new Uint8Array(total);
  out.set(header);
  let at = header.byteLength;
  for (const { name, dtype, shape, data } of tensors) {
    if (data.byteLength !== tensorBytes(dtype, shape))
      throw new SafetensorsError(
        `Tensor "${name}" has ${data.byteLength} bytes, but ${dtype} [${shape.join(', ')}] needs ${tensorBytes(dtype, shape)}.`
      );
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}

export function toInt32(bytes: Uint8Array): Int32Array {
  return new Int32Array(aligned(bytes));
}

export function toBigInt64(bytes: Uint8Array): BigInt64Array {
  return new BigInt64Array(aligned(bytes));
}
