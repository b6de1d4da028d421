import type { ModelConfig } from './model-config.ts';

/** A linear layer that an adapter may change; names are the checkpoint's. */
export interface Linear {
  module: string;
  in: number;
  out: number;
  biased: boolean;
}

export function layerLinears(config: ModelConfig, layer: number): Linear[] {
  const hidden = config.hidden_size;
  const mlp = config.intermediate_size;
  const queries = config.num_attention_heads * config.head_dim;
  const keys = config.num_key_value_heads * config.head_dim;
  const at = (module: string, from: number, out: number): Linear => ({
    module: `model.layers.${layer}.${module}`,
    in: from,
    out,
    biased: module.startsWith('self_attn') ? config.attention_bias : config.mlp_bias
  });
  return [
    at('self_attn.q_proj', hidden, queries),
    at('self_attn.k_proj', hidden, keys),
    at('self_attn.v_proj', hidden, keys),
    at('self_attn.o_proj', queries, hidden),
    at('mlp.gate_proj', hidden, mlp),
    at('mlp.up_proj', hidden, mlp),
    at('mlp.down_proj', mlp, hidden)
  ];
}

export const layers = (config: ModelConfig) => Array.from({ length: config.num_hidden_layers }, (_, i) => i);

export function modelLinears(config: ModelConfig): Linear[] {
  return layers(config).flatMap((layer) => layerLinears(config, layer));
}

/** Every weight that a checkpoint of this configuration must hold, with its shape. */
export function modelTensors(config: ModelConfig): Map<string, number[]> {
  const { hidden_size: hidden, vocab_size: vocab } = config;
  const tensors = new Map<string, number[]>([['model.embed_tokens.weight', [vocab, hidden]]]);
  for (const layer of layers(config)) {
    tensors.set(`model.layers.${layer}.input_layernorm.weight`, [hidden]);
    tensors.set(`model.layers.${layer}.post_attention_layernorm.weight`, [hidden]);
    for (const linear of layerLinears(config, layer)) {
      tensors.set(`${linear.module}.weight`, [linear.out, linear.in]);
      if (linear.biased) tensors.set(`${linear.module}.bias`, [linear.out]);
    }
  }
  tensors.set('model.norm.weight', [hidden]);
  if (!config.tie_word_embeddings) tensors.set('lm_head.weight', [vocab, hidden]);
  return tensors;
}
