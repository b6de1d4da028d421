import { Graph, type Element, type External } from './graph.ts';
import type { ModelConfig } from './model-config.ts';
import type { Bytes } from './protobuf.ts';
import { layerLinears, layers, type Linear } from './tensors.ts';

export interface Weight extends External {
  element: Element;
  shape: number[];
}

/** Values that every layer uses. */
interface Frame {
  graph: Graph;
  config: ModelConfig;
  weight: (name: string) => string;
  /** [batch, tokens], as a value. */
  shape: string;
  /** [batch, 1, tokens, head_dim / 2] */
  cos: string;
  sin: string;
  /** [batch, 1, 1, tokens, past + tokens]: 0 where a token may look, else the lowest float. */
  mask: string;
}

/**
 * A Llama-family decoder as plain ONNX. The adapter is not in it: A [r, in] and B [out, r] of every linear layer are
 * inputs, B already scaled, so one base serves every adapter and an adapter costs its own bytes only.
 *
 * `position_ids` [batch, tokens] counts on from the cache; `logit_rows` picks the rows of the flat [batch * tokens]
 * whose logits are wanted, so that a prompt costs one row of the head and not all.
 */
export function llamaGraph(config: ModelConfig, weights: Map<string, Weight>): Bytes {
  const graph = new Graph();
  const ids = graph.input('input_ids', 'I64', ['batch', 'tokens']);
  const positions = graph.input('position_ids', 'I64', ['batch', 'tokens']);
  const rows = graph.input('logit_rows', 'I64', ['rows']);
  const weight = weightReader(graph, weights);
  const past = layers(config).map((layer) => cacheInputs(graph, config, layer));
  const frame: Frame = {
    graph,
    config,
    weight,
    shape: graph.node('Shape', [ids]),
    ...rotation(graph, config, positions),
    mask: causalMask(graph, positions, past[0]!.key)
  };
  const embedding = weight('model.embed_tokens.weight');
  let hidden = graph.node('Gather', [embedding, graph.node('Reshape', [ids, graph.ints([-1])])]);
  for (const layer of layers(config)) hidden = decoderLayer(frame, layer, hidden, past[layer]!);
  const last = graph.node('Gather', [rmsNorm(frame, hidden, 'model.norm'), rows]);
  const head = config.tie_word_embeddings ? embedding : weight('lm_head.weight');
  graph.node('Gemm', [last, head], { transB: 1 }, 'logits');
  graph.output('logits', 'F32', ['rows', config.vocab_size]);
  return graph.encode('llama');
}

/** Weights as float32 values; those stored in 16 bits are widened once, when the session is made. */
function weightReader(graph: Graph, weights: Map<string, Weight>): (name: string) => string {
  return (name) => {
    const { element, shape, ...place } = weights.get(name)!;
    const stored = graph.weight(name, element, shape, place);
    return element === 'F32' ? stored : graph.node('Cast', [stored], { to: 1 });
  };
}

interface Cache {
  key: string;
  value: string;
}

function cacheInputs(graph: Graph, config: ModelConfig, layer: number): Cache {
  const dims = (length: string) => ['batch', config.num_key_value_heads, length, config.head_dim];
  for (const part of ['key', 'value'])
    graph.output(`present.${layer}.${part}`, 'F32', dims('past_and_tokens'));
  return {
    key: graph.input(`past_key_values.${layer}.key`, 'F32', dims('past')),
    value: graph.input(`past_key_values.${layer}.value`, 'F32', dims('past'))
  };
}

/** Angles in double and reduced to one turn before they become floats: position 100 000 is as exact as position 1. */
function rotation(graph: Graph, config: ModelConfig, positions: string): { cos: string; sin: string } {
  const column = graph.node('Unsqueeze', [positions, graph.ints([1, 3])]);
  const angles = graph.node('Mul', [
    graph.node('Cast', [column], { to: 11 }),
    graph.doubles(config.rope_frequencies)
  ]);
  const turned = graph.node('Mod', [angles, graph.doubles([2 * Math.PI])], { fmod: 1 });
  const float = graph.node('Cast', [turned], { to: 1 });
  return { cos: graph.node('Cos', [float]), sin: graph.node('Sin', [float]) };
}

function causalMask(graph: Graph, positions: string, pastKey: string): string {
  const zero = graph.ints([0], []);
  const one = graph.ints([1], []);
  const length = (value: string, axis: number) =>
    graph.node('Gather', [graph.node('Shape', [value]), graph.ints([axis], [])]);
  const total = graph.node('Add', [length(pastKey, 2), length(positions, 1)]);
  const keys = graph.node('Range', [zero, total, one]);
  const queries = graph.node('Unsqueeze', [positions, graph.ints([1, 2, 4])]);
  const seen = graph.node('LessOrEqual', [keys, queries]);
  return graph.node('Where', [seen, graph.float(0), graph.float(-3.4028234663852886e38)]);
}

function decoderLayer(frame: Frame, layer: number, hidden: string, past: Cache): string {
  const { graph, config } = frame;
  const [q, k, v, o, gate, up, down] = layerLinears(config, layer) as Linear[] & { length: 7 };
  const normed = rmsNorm(frame, hidden, `model.layers.${layer}.input_layernorm`);
  const attended = attention(frame, layer, past, {
    q: linear(frame, q!, normed),
    k: linear(frame, k!, normed),
    v: linear(frame, v!, normed)
  });
  const middle = graph.node('Add', [hidden, linear(frame, o!, attended)]);
  const inner = rmsNorm(frame, middle, `model.layers.${layer}.post_attention_layernorm`);
  const gated = linear(frame, gate!, inner);
  const silu = graph.node('Mul', [gated, graph.node('Sigmoid', [gated])]);
  const product = graph.node('Mul', [silu, linear(frame, up!, inner)]);
  return graph.node('Add', [middle, linear(frame, down!, product)]);
}

function rmsNorm({ graph, config, weight }: Frame, x: string, name: string): string {
  const squares = graph.node('Pow', [x, graph.float(2)]);
  const mean = graph.node('ReduceMean', [squares, graph.ints([-1])], { keepdims: 1 });
  const root = graph.node('Sqrt', [graph.node('Add', [mean, graph.float(config.rms_norm_eps)])]);
  return graph.node('Mul', [graph.node('Div', [x, root]), weight(`${name}.weight`)]);
}

/** x Wᵀ + b + (x Aᵀ) Bᵀ */
function linear({ graph, weight }: Frame, { module, in: from, out, biased }: Linear, x: string): string {
  const a = graph.input(`${module}.lora_A`, 'F32', [`${module}.rank`, from]);
  const b = graph.input(`${module}.lora_B`, 'F32', [out, `${module}.rank`]);
  const bias = biased ? [weight(`${module}.bias`)] : [];
  const base = graph.node('Gemm', [x, weight(`${module}.weight`), ...bias], { transB: 1 });
  const low = graph.node('Gemm', [x, a], { transB: 1 });
  return graph.node('Add', [base, graph.node('Gemm', [low, b], { transB: 1 })]);
}

/**
 * Grouped-query attention: the queries of a group lie beside their one key head as an axis of their own, which
 * MatMul broadcasts over, so keys are never repeated.
 */
function attention(frame: Frame, layer: number, past: Cache, x: Record<'q' | 'k' | 'v', string>): string {
  const { graph, config } = frame;
  const { num_key_value_heads: kv, head_dim: dim } = config;
  const group = config.num_attention_heads / kv;
  const heads = (value: string, sizes: number[], perm: number[]) => {
    const shape = graph.node('Concat', [frame.shape, graph.ints(sizes)], { axis: 0 });
    return graph.node('Transpose', [graph.node('Reshape', [value, shape])], { perm });
  };
  const grown = (what: 'key' | 'value', fresh: string) =>
    graph.node('Concat', [past[what], fresh], { axis: 2 }, `present.${layer}.${what}`);
  const q = rotate(frame, heads(x.q, [kv, group, dim], [0, 2, 3, 1, 4]), true);
  const k = grown('key', rotate(frame, heads(x.k, [kv, dim], [0, 2, 1, 3]), false));
  const v = grown('value', heads(x.v, [kv, dim], [0, 2, 1, 3]));
  const across = (value: string) => graph.node('Unsqueeze', [value, graph.ints([2])]);
  const turned = graph.node('Transpose', [across(k)], { perm: [0, 1, 2, 4, 3] });
  const scaled = graph.node('Mul', [q, graph.float(1 / Math.sqrt(dim))]);
  const scores = graph.node('Add', [graph.node('MatMul', [scaled, turned]), frame.mask]);
  const mixed = graph.node('MatMul', [graph.node('Softmax', [scores], { axis: -1 }), across(v)]);
  const joined = graph.node('Transpose', [mixed], { perm: [0, 3, 1, 2, 4] });
  return graph.node('Reshape', [joined, graph.ints([-1, config.num_attention_heads * dim])]);
}

/** Hugging Face's layout: the first half of a head's dimensions is paired with the second. */
function rotate({ graph, cos, sin }: Frame, x: string, grouped: boolean): string {
  const along = (value: string) => (grouped ? graph.node('Unsqueeze', [value, graph.ints([2])]) : value);
  const c = along(cos);
  const s = along(sin);
  const [first, second] = graph.split('Split', [x], { axis: -1, num_outputs: 2 }) as [string, string];
  const left = graph.node('Sub', [graph.node('Mul', [first, c]), graph.node('Mul', [second, s])]);
  const right = graph.node('Add', [graph.node('Mul', [second, c]), graph.node('Mul', [first, s])]);
  return graph.node('Concat', [left, right], { axis: -1 });
}
