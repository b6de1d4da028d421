import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';
import type { PreviewManifest } from '../wire/preview.ts';

/** Matrices of an adapter by graph input, B already scaled. */
export interface AdapterMatrix {
  data: Float32Array;
  dims: [number, number];
}
export type AdapterInputs = Map<string, AdapterMatrix>;

export type Shapes = Pick<
  PreviewManifest,
  'vocab_size' | 'num_hidden_layers' | 'num_key_value_heads' | 'head_dim' | 'linears'
>;

/** onnxruntime, as far as a decoder needs it; handed in, because its entry differs between page and test. */
export interface Runtime {
  Tensor: TensorConstructor;
}

/** A side of the preview: a base with or without an adapter, and what it has read so far. */
export class Decoder {
  /** Tokens in the cache. */
  length = 0;
  private cache: Record<string, Tensor>;
  private readonly adapter: Record<string, Tensor>;
  private readonly ort: Runtime;
  private readonly session: InferenceSession;

  constructor(ort: Runtime, session: InferenceSession, shapes: Shapes, adapter: AdapterInputs | null) {
    this.ort = ort;
    this.session = session;
    this.adapter = adapterTensors(ort, shapes, adapter);
    this.cache = emptyCache(ort, shapes);
  }

  /** Reads tokens behind those already read; answers with the last one's logits, or with everyone's. */
  async read(ids: number[], rows: 'last' | 'all' = 'last'): Promise<Float32Array> {
    const wanted = rows === 'last' ? [ids.length - 1] : ids.map((_, i) => i);
    const outputs = await this.session.run({
      input_ids: this.ints(ids, [1, ids.length]),
      position_ids: this.ints(
        ids.map((_, i) => this.length + i),
        [1, ids.length]
      ),
      logit_rows: this.ints(wanted, [wanted.length]),
      ...this.cache,
      ...this.adapter
    });
    const { logits, ...present } = outputs;
    this.cache = Object.fromEntries(
      Object.entries(present).map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor])
    );
    this.length += ids.length;
    return logits!.data as Float32Array;
  }

  private ints(values: number[], dims: number[]): Tensor {
    return new this.ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  }
}

/** A layer without an adapter gets one of rank 1 that is zero: the graph is the same for all. */
function adapterTensors(
  ort: Runtime,
  { linears }: Shapes,
  adapter: AdapterInputs | null
): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const linear of linears) {
    const absent = { lora_A: [1, linear.in], lora_B: [linear.out, 1] } as const;
    for (const [part, [rows, columns]] of Object.entries(absent)) {
      const name = `${linear.module}.${part}`;
      const given = adapter?.get(name) ?? { data: new Float32Array(rows * columns), dims: [rows, columns] };
      tensors[name] = new ort.Tensor('float32', given.data, given.dims);
    }
  }
  return tensors;
}

function emptyCache(ort: Runtime, shapes: Shapes): Record<string, Tensor> {
  const cache: Record<string, Tensor> = {};
  const dims = [1, shapes.num_key_value_heads, 0, shapes.head_dim];
  for (let layer = 0; layer < shapes.num_hidden_layers; layer++)
    for (const part of ['key', 'value'])
      cache[`past_key_values.${layer}.${part}`] = new ort.Tensor('float32', new Float32Array(), dims);
  return cache;
}
