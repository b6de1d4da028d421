import { bytes, float, int, ints, message, text, type Bytes } from './protobuf.ts';

/** onnx.proto's TensorProto.DataType. */
export const ELEMENT = { F32: 1, I64: 7, F16: 10, F64: 11, BF16: 16 } as const;
export type Element = keyof typeof ELEMENT;

/** A number is a fixed size; a name is a size known when it runs. */
export type Dim = number | string;
export type Attribute = number | { float: number } | number[];

/** Where a weight lies: the file beside the graph, and its place in it. */
export interface External {
  file: string;
  offset: number;
  bytes: number;
}

/** A graph under construction. Every method that adds something answers with the name of its value. */
export class Graph {
  private nodes: Bytes[] = [];
  private initializers: Bytes[] = [];
  private inputs: Bytes[] = [];
  private outputs: Bytes[] = [];
  private constants = new Map<string, string>();
  private values = 0;

  input(name: string, element: Element, dims: Dim[]): string {
    this.inputs.push(bytes(11, valueInfo(name, element, dims)));
    return name;
  }

  output(name: string, element: Element, dims: Dim[]): void {
    this.outputs.push(bytes(12, valueInfo(name, element, dims)));
  }

  /** A node with one output. */
  node(op: string, inputs: string[], attributes: Record<string, Attribute> = {}, output?: string): string {
    return this.split(op, inputs, attributes, [output ?? this.fresh(op)])[0]!;
  }

  /** A node with the outputs of those names. */
  split(
    op: string,
    inputs: string[],
    attributes: Record<string, Attribute>,
    outputs = [this.fresh(op), this.fresh(op)]
  ): string[] {
    const fields = [
      ...inputs.map((name) => text(1, name)),
      ...outputs.map((name) => text(2, name)),
      text(4, op),
      ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value)))
    ];
    this.nodes.push(bytes(1, message(...fields)));
    return outputs;
  }

  ints(values: number[], dims = [values.length]): string {
    return this.constant(
      'I64',
      new BigInt64Array(values.map(BigInt)),
      dims,
      `i${dims.length}_${values.join('_')}`
    );
  }

  float(value: number): string {
    return this.constant('F32', Float32Array.of(value), [], `f_${value}`);
  }

  doubles(values: number[], dims = [values.length]): string {
    return this.constant('F64', Float64Array.from(values), dims, `d_${values.join('_')}`);
  }

  weight(name: string, element: Element, dims: number[], { file, offset, bytes: length }: External): string {
    const entry = (key: string, value: string | number) =>
      bytes(13, message(text(1, key), text(2, String(value))));
    const tensor = message(
      ints(1, dims),
      int(2, ELEMENT[element]),
      text(8, name),
      entry('location', file),
      entry('offset', offset),
      entry('length', length),
      int(14, 1)
    );
    this.initializers.push(bytes(5, tensor));
    return name;
  }

  /** onnx.proto's ModelProto, in opset 21. */
  encode(name: string): Bytes {
    const graph = message(
      ...this.nodes,
      text(2, name),
      ...this.initializers,
      ...this.inputs,
      ...this.outputs
    );
    const opset = message(text(1, ''), int(2, 21));
    return message(int(1, 10), text(2, 'concord'), bytes(7, graph), bytes(8, opset));
  }

  private constant(
    element: Element,
    values: BigInt64Array | Float32Array | Float64Array,
    dims: number[],
    key: string
  ): string {
    const known = this.constants.get(key);
    if (known) return known;
    const name = this.fresh('constant');
    const raw = new Uint8Array(values.buffer);
    const tensor = message(ints(1, dims), int(2, ELEMENT[element]), text(8, name), bytes(9, raw));
    this.initializers.push(bytes(5, tensor));
    this.constants.set(key, name);
    return name;
  }

  private fresh(what: string): string {
    return `${what.toLowerCase()}_${this.values++}`;
  }
}

function valueInfo(name: string, element: Element, dims: Dim[]): Bytes {
  const shape = dims.map((dim) => bytes(1, typeof dim === 'number' ? int(1, dim) : text(2, dim)));
  const tensorType = message(int(1, ELEMENT[element]), bytes(2, message(...shape)));
  return message(text(1, name), bytes(2, bytes(1, tensorType)));
}

function attribute(name: string, value: Attribute): Bytes {
  if (typeof value === 'number') return message(text(1, name), int(3, value), int(20, 2));
  if (Array.isArray(value)) return message(text(1, name), ints(8, value), int(20, 7));
  return message(text(1, name), float(2, value.float), int(20, 1));
}
