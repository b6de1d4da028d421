/** Element types of safetensors that Concord reads, with their size. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1
} as const;
export type DType = keyof typeof DTYPE_BYTES;

export const isDType = (name: unknown): name is DType =>
  typeof name === 'string' && Object.hasOwn(DTYPE_BYTES, name);

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

export function halfToFloat(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** To nearest, ties to even, as IEEE 754 and the trainer round. */
export function floatToHalf(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // From 65520 on, halfway between the largest half and the next step, it is infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) return sign | roundEven(Math.abs(f32[0]!) * 2 ** 24);
  const rebiased = magnitude - (112 << 23);
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
}

export function floatToBf16(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Elements of a floating dtype as float32; `bytes` may lie unaligned. */
export function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array {
  const at = aligned(bytes);
  if (dtype === 'F32') return new Float32Array(at);
  if (dtype === 'F64') return Float32Array.from(new Float64Array(at));
  if (dtype !== 'F16' && dtype !== 'BF16') throw new TypeError(`${dtype} is not a floating type.`);
  const halves = new Uint16Array(at);
  const out = new Float32Array(halves.length);
  if (dtype === 'F16') for (let i = 0; i < halves.length; i++) out[i] = halfToFloat(halves[i]!);
  else {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  }
  return out;
}

export function fromFloat32(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  if (dtype === 'F32')
    return new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
  const round = dtype === 'F16' ? floatToHalf : floatToBf16;
  return new Uint8Array(Uint16Array.from(values, round).buffer);
}

/** A copy of the bytes in a buffer of their own, where every view is aligned. */
export function aligned(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.byteLength);
  new Uint8Array(copy).set(bytes);
  return copy;
}
