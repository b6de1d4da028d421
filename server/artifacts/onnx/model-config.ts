/**
 * What of config.json changes the result, read as the trainer reads it (trainer/src/io/model_config.cpp); what the
 * preview's graph does not compute is refused by name.
 */
export interface ModelConfig {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  max_position_embeddings: number;
  rms_norm_eps: number;
  tie_word_embeddings: boolean;
  attention_bias: boolean;
  mlp_bias: boolean;
  /** Radians that each pair of a head's dimensions turns with each position. */
  rope_frequencies: number[];
}

/** The sentence names the key; its reader adds the model. */
export class ModelConfigError extends Error {}

type Json = Record<string, unknown>;

export function parseModelConfig(json: Json): ModelConfig {
  if (json.model_type !== 'llama')
    throw new ModelConfigError(
      `model_type ${JSON.stringify(json.model_type)} cannot be previewed; supported: llama`
    );
  if ((json.hidden_act ?? 'silu') !== 'silu')
    throw new ModelConfigError(
      `hidden_act ${JSON.stringify(json.hidden_act)} cannot be previewed; supported: silu`
    );
  for (const key of ['auto_map', 'quantization_config', 'text_config', 'vision_config'])
    if (json[key] != null) throw new ModelConfigError(`${key} in config.json is not supported`);
  const hidden_size = count(json, 'hidden_size');
  const num_attention_heads = count(json, 'num_attention_heads');
  const num_key_value_heads = count(json, 'num_key_value_heads', num_attention_heads);
  const head_dim = count(json, 'head_dim', hidden_size / num_attention_heads);
  const max_position_embeddings = count(json, 'max_position_embeddings', 2048);
  if (num_attention_heads % num_key_value_heads !== 0)
    throw new ModelConfigError('num_key_value_heads does not divide num_attention_heads');
  if (head_dim % 2 !== 0)
    throw new ModelConfigError('head_dim is odd, but rotary positions need an even number');
  return {
    vocab_size: count(json, 'vocab_size'),
    hidden_size,
    intermediate_size: count(json, 'intermediate_size'),
    num_hidden_layers: count(json, 'num_hidden_layers'),
    num_attention_heads,
    num_key_value_heads,
    head_dim,
    max_position_embeddings,
    rms_norm_eps: number(json, 'rms_norm_eps', 1e-6),
    tie_word_embeddings: json.tie_word_embeddings === true,
    attention_bias: json.attention_bias === true,
    mlp_bias: json.mlp_bias === true,
    rope_frequencies: ropeFrequencies(json, head_dim, max_position_embeddings)
  };
}

function number(json: Json, key: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new ModelConfigError(`${key} in config.json is not a number`);
  return value;
}

function count(json: Json, key: string, fallback?: number): number {
  const value = number(json, key, fallback);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new ModelConfigError(`${key} in config.json is ${value}, but must be a whole number above 0`);
  return value;
}

/** transformers 5 writes rope_parameters {rope_theta, rope_type, ...}; before, rope_theta and rope_scaling stood apart. */
function ropeFrequencies(json: Json, head_dim: number, positions: number): number[] {
  let theta = number(json, 'rope_theta', 10_000);
  let scale = (frequency: number) => frequency;
  for (const key of ['rope_scaling', 'rope_parameters']) {
    const rope = json[key] as Json | null | undefined;
    if (rope == null) continue;
    theta = number(rope, 'rope_theta', theta);
    const type = rope.rope_type ?? rope.type ?? 'default';
    if (type === 'linear') scale = linear(rope);
    else if (type === 'llama3') scale = llama3(rope, positions);
    else if (type !== 'default')
      throw new ModelConfigError(
        `rope_type ${JSON.stringify(type)} cannot be previewed; supported: default, linear, llama3`
      );
  }
  return Array.from({ length: head_dim / 2 }, (_, i) => scale(theta ** ((-2 * i) / head_dim)));
}

function linear(rope: Json): (frequency: number) => number {
  const factor = number(rope, 'factor');
  return (frequency) => frequency / factor;
}

/** Llama 3.1: long wavelengths are slowed by `factor`, short ones left, and those between blended. */
function llama3(rope: Json, positions: number): (frequency: number) => number {
  const factor = number(rope, 'factor');
  const low = number(rope, 'low_freq_factor');
  const high = number(rope, 'high_freq_factor');
  const context = number(rope, 'original_max_position_embeddings', positions);
  return (frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength > context / low) return frequency / factor;
    if (wavelength < context / high) return frequency;
    const smooth = (context / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  };
}
