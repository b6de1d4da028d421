/** Protocol Buffers' wire format, as much of it as ONNX needs: a field is its number, its wire type and its bytes. */
export type Bytes = Uint8Array;

const VARINT = 0;
const DELIMITED = 2;
const FIXED32 = 5;

export function message(...fields: Bytes[]): Bytes {
  const out = new Uint8Array(fields.reduce((sum, field) => sum + field.byteLength, 0));
  let at = 0;
  for (const field of fields) {
    out.set(field, at);
    at += field.byteLength;
  }
  return out;
}

/** int64, int32 and enums; a negative number takes the ten bytes of its two's complement. */
export function int(field: number, value: number): Bytes {
  return message(tag(field, VARINT), varint(value));
}

export function ints(field: number, values: number[]): Bytes {
  return bytes(field, message(...values.map(varint)));
}

export function float(field: number, value: number): Bytes {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setFloat32(0, value, true);
  return message(tag(field, FIXED32), data);
}

export function text(field: number, value: string): Bytes {
  return bytes(field, new TextEncoder().encode(value));
}

/** A nested message, or raw bytes. */
export function bytes(field: number, value: Bytes): Bytes {
  return message(tag(field, DELIMITED), varint(value.byteLength), value);
}

const tag = (field: number, type: number) => varint(field * 8 + type);

function varint(value: number): Bytes {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Uint8Array.of(...out, Number(rest));
}
