import { expect, test } from 'vitest';
import {
  encodeSafetensorsHeader,
  floatToBf16,
  floatToHalf,
  fromFloat32,
  halfToFloat,
  readSafetensorsHeader,
  SAFETENSORS_LIMITS,
  SafetensorsError,
  sliceTensor,
  toBigInt64,
  toFloat32,
  toInt32,
  writeSafetensors
} from './safetensors.ts';

/** A file with that header text and so many bytes of data. */
function made(header: string | Uint8Array, data_bytes = 0): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.byteLength + data_bytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  bytes.set(text, 8);
  return bytes;
}

const one = (entry: unknown, data_bytes = 8) => made(JSON.stringify({ w: entry }), data_bytes);
const good = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };

test('writes what it reads', () => {
  const file = writeSafetensors(
    [
      { name: 'ids', dtype: 'I32', shape: [3], data: Int32Array.of(1, -2, 3) },
      { name: 'where', dtype: 'I64', shape: [2], data: BigInt64Array.of(4n, -5n) },
      { name: 'w', dtype: 'F32', shape: [1, 2], data: Float32Array.of(0.5, -1) },
      { name: 'none', dtype: 'F32', shape: [0, 4], data: new Float32Array() }
    ],
    { format: 'groups.v1' }
  );
  const header = readSafetensorsHeader(file, 'a.safetensors');
  expect(header.metadata).toEqual({ format: 'groups.v1' });
  expect(header.tensors.get('w')).toMatchObject({ dtype: 'F32', shape: [1, 2] });
  expect([...toInt32(sliceTensor(file, header, 'ids'))]).toEqual([1, -2, 3]);
  expect([...toBigInt64(sliceTensor(file, header, 'where'))]).toEqual([4n, -5n]);
  expect([...toFloat32(sliceTensor(file, header, 'w'), 'F32')]).toEqual([0.5, -1]);
  expect(() => sliceTensor(file, header, 'x')).toThrow('a.safetensors: the tensor "x" is missing.');
  expect((file.byteLength - 28 - 8) % 8).toBe(0);
});

test('reads a header without its data', () => {
  const header = encodeSafetensorsHeader([{ name: 'w', dtype: 'F16', shape: [3, 5] }]);
  const { tensors } = readSafetensorsHeader(header, 'big', header.byteLength + 30);
  expect(tensors.get('w')).toEqual({
    name: 'w',
    dtype: 'F16',
    shape: [3, 5],
    begin: header.byteLength,
    end: header.byteLength + 30
  });
});

const hostile: [string, Uint8Array, string][] = [
  ['empty', new Uint8Array(), 'too short'],
  ['seven bytes', new Uint8Array(7), 'too short'],
  ['no header', made(''), 'has no header'],
  ['length beyond the file', made('{}').subarray(0, 9), 'cut off inside its header'],
  ['length of 2^63', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 128, 123, 125), 'more than the'],
  ['a zip archive', Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0), 'pickle'],
  ['a bare pickle', Uint8Array.of(0x80, 4, 0x95, 1, 1, 1, 1, 1, 0), 'pickle'],
  ['not JSON', made('{"w":'), 'not JSON'],
  ['an array', made('[]'), 'does not begin with "{"'],
  ['broken UTF-8', made(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), 'not JSON'],
  ['entry is null', one(null), 'tensor "w" is not an object'],
  ['unknown key', one({ ...good, extra: 1 }), 'unknown key "extra"'],
  ['unknown dtype', one({ ...good, dtype: 'F4' }), 'dtype "F4"'],
  ['dtype of the prototype', one({ ...good, dtype: 'toString' }), 'not supported'],
  ['negative shape', one({ ...good, shape: [-2] }), 'no valid shape'],
  ['fraction in shape', one({ ...good, shape: [1.5] }), 'no valid shape'],
  ['shape too deep', one({ ...good, shape: Array(9).fill(1) }), 'more than 8 dimensions'],
  ['shape overflows', one({ ...good, shape: [2 ** 40, 2 ** 40] }), 'too large to exist'],
  ['wrong size', one({ ...good, shape: [3] }), 'spans 8 bytes, but F32 [3] needs 12'],
  ['ends before it begins', one({ ...good, data_offsets: [8, 0] }), 'spans -8 bytes'],
  ['three offsets', one({ ...good, data_offsets: [0, 8, 9] }), 'no valid data_offsets'],
  ['gap', one({ ...good, data_offsets: [4, 12] }, 12), 'leaves a gap'],
  ['beyond the end', one(good, 4), 'lies beyond the end'],
  ['bytes behind', one(good, 9), '1 bytes after its last tensor'],
  ['overlap', made(JSON.stringify({ a: good, b: good }), 8), 'overlaps'],
  ['metadata is a list', made('{"__metadata__":[]}'), '__metadata__ is not an object'],
  ['metadata holds a number', made('{"__metadata__":{"a":1}}'), '__metadata__.a is not a text'],
  [
    'metadata too large',
    made(JSON.stringify({ __metadata__: { a: 'x'.repeat(SAFETENSORS_LIMITS.metadata_bytes_max) } })),
    'larger than the'
  ],
  [
    'too many tensors',
    made(
      JSON.stringify(
        Object.fromEntries(
          Array.from({ length: SAFETENSORS_LIMITS.tensors_max + 1 }, (_, i) => [
            `t${i}`,
            { dtype: 'U8', shape: [0], data_offsets: [0, 0] }
          ])
        )
      )
    ),
    'more than 20000 tensors'
  ]
];

test.each(hostile)('refuses %s by name', (_, bytes, sentence) => {
  const read = () => readSafetensorsHeader(bytes, 'bad.safetensors');
  expect(read).toThrow(SafetensorsError);
  expect(read).toThrow(/^bad\.safetensors: /);
  expect(read).toThrow(sentence);
});

test('refuses a header above the limit before reading it', () => {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(SAFETENSORS_LIMITS.header_bytes_max + 1), true);
  expect(() => readSafetensorsHeader(length, 'f', 2 ** 40)).toThrow('more than the 8388608 allowed');
});

test('every cut of a good file is refused', () => {
  const file = writeSafetensors([{ name: 'w', dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }]);
  for (let cut = 0; cut < file.byteLength; cut++)
    expect(() => readSafetensorsHeader(file.subarray(0, cut), 'cut')).toThrow(SafetensorsError);
});

test('every half converts to float and back', () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = halfToFloat(bits);
    if (Number.isNaN(value)) expect(floatToHalf(value) & 0x7e00).toBe(0x7e00);
    else if (floatToHalf(value) !== bits) expect.fail(`${bits}`);
  }
});

test('rounds to nearest even', () => {
  expect(floatToHalf(65519.99)).toBe(0x7bff);
  expect(floatToHalf(65520)).toBe(0x7c00);
  expect(floatToHalf(1 + 2 ** -11)).toBe(0x3c00);
  expect(floatToHalf(1 + 3 * 2 ** -11)).toBe(0x3c02);
  expect(floatToHalf(2 ** -25)).toBe(0);
  expect(floatToHalf(3 * 2 ** -25)).toBe(2);
  expect(floatToBf16(1 + 2 ** -8)).toBe(0x3f80);
  expect(floatToBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
  expect(floatToBf16(-Infinity)).toBe(0xff80);
  expect(floatToBf16(NaN) & 0x7fc0).toBe(0x7fc0);
});

test('unaligned bytes convert', () => {
  const bytes = new Uint8Array(9);
  bytes.set(fromFloat32(Float32Array.of(1, -2), 'F32'), 1);
  expect([...toFloat32(bytes.subarray(1), 'F32')]).toEqual([1, -2]);
  expect([...toFloat32(fromFloat32(Float32Array.of(1, -2.5), 'BF16'), 'BF16')]).toEqual([1, -2.5]);
  expect([...toFloat32(fromFloat32(Float32Array.of(1, -2.5), 'F16'), 'F16')]).toEqual([1, -2.5]);
});
