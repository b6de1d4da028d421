#include "model/decoder_buffers.h"

#include <algorithm>

#include "model/rope_table.h"
#include "model/weights.h"

namespace concord {
namespace {

// Fewer than 64 rows would starve the products.
int64_t head_chunk_rows(int64_t logits, int64_t vocab, int64_t rows_max) {
  return std::min(std::max<int64_t>(rows_max, 1), std::clamp<int64_t>(logits / vocab, 64, 1024));
}

template <class Device, class T>
LayerActivations<T> lay_out_layer(Arena<Device>& arena, const ModelConfig& config, const DecoderPlan& plan) {
  const AttentionShape shape = attention_shape(config);
  const int64_t tokens = plan.tokens_max, hidden = config.hidden_size, inner = config.intermediate_size;
  const auto take = [&](int64_t cols) { return arena.template take<T>("activations", tokens, cols); };
  const auto take_stat = [&](int64_t cols) { return arena.template take<Stat<T>>("activations", tokens, cols); };
  LayerActivations<T> layer;
  layer.norm1 = take(hidden);
  layer.qkv = take(shape.qkv_cols());
  layer.attn = take(shape.q_cols());
  layer.lse = take_stat(shape.heads);
  layer.mid = take(hidden);
  layer.norm2 = take(hidden);
  layer.gate_up = take(2 * inner);
  layer.act = take(inner);
  layer.rstd1 = take_stat(1).data;
  layer.rstd2 = take_stat(1).data;
  if (config.qk_norm) {
    layer.head_raw = take(shape.q_cols() + shape.kv_cols());
    layer.head_rstd = take_stat(shape.heads + shape.kv_heads);
  }
  if (config.post_norms) {
    layer.attn_out = take(hidden);
    layer.mlp_out = take(hidden);
    layer.attn_out_rstd = take_stat(1).data;
    layer.mlp_out_rstd = take_stat(1).data;
  }
  for (Mat<T>& xa : layer.xa) xa = take(plan.lora_ranks);
  if (plan.dora && plan.backward)
    for (const Projection p : {Projection::qkv, Projection::o, Projection::gate_up, Projection::down})
      layer.raw[static_cast<int>(p)] = take(output_columns(config, p));
  return layer;
}

}  // namespace

int64_t output_columns(const ModelConfig& config, Projection projection) {
  const int64_t hidden = config.hidden_size;
  const int64_t all[] = {attention_shape(config).qkv_cols(), hidden, 2 * config.intermediate_size, hidden};
  return all[static_cast<int>(projection)];
}

template <class Device, class T>
void DecoderBuffers<Device, T>::lay_out(Arena<Device>& arena, const ModelConfig& config, const DecoderPlan& plan) {
  const AttentionShape shape = attention_shape(config);
  const int64_t n = plan.tokens_max, hidden = config.hidden_size;
  const auto take = [&](const char* part, int64_t height, int64_t cols) { return arena.template take<T>(part, height, cols); };
  const auto take_stat = [&](const char* part, int64_t height, int64_t cols) { return arena.template take<Stat<T>>(part, height, cols); };
  x.clear();
  for (int64_t l = 0; l < (plan.backward ? config.num_hidden_layers + 1 : 1); l++) x.push_back(take("activations", n, hidden));
  layers.clear();
  for (int64_t l = 0; l < (plan.backward ? config.num_hidden_layers - plan.recompute_layers : 1); l++)
    layers.push_back(lay_out_layer<Device, T>(arena, config, plan));
  final_norm = take("activations", n, hidden);
  final_rstd = take_stat("activations", n, 1).data;

  delta = take("scratch", n, hidden);
  // Of a CPU's worker: a tile's scores. Of other devices: a number for each query.
  attention_scratch = Device::has_host_memory ? take_stat("scratch", plan.threads, ops::attention_scratch_elements(plan.keys_max))
                                              : take_stat("scratch", n, shape.heads);
  ropes.clear();
  for (const Rope& rope : config.ropes) ropes.push_back(take_stat("scratch", rope_rows(rope, plan.positions), rope.rotary_dim));
  if (plan.backward) {
    d = take("scratch", n, hidden);
    dact = take("scratch", n, config.intermediate_size);
    dqkv = take("scratch", n, shape.qkv_cols());
    dattn = take("scratch", n, shape.q_cols());
    dxa = take("scratch", n, plan.lora_ranks);
    if (plan.dora) draw = take("scratch", n, std::max({shape.qkv_cols(), 2 * config.intermediate_size, hidden}));
  }
  if (plan.lora_dropout > 0) dropped = take("scratch", n, std::max({hidden, shape.q_cols(), config.intermediate_size}));
  if (plan.quantized) dense = arena.template take<T>("scratch", largest_linear(config));
  head_chunk = head_chunk_rows(Device::kLogits, config.vocab_size, n);
  head_rows = take("head", head_chunk, hidden);
  logits = take_stat("head", head_chunk, config.vocab_size);
  if (plan.head_unit_gradients) unit = take("head", n, hidden);

  if (Device::has_host_memory) return;
  for (int32_t** list : {&tokens, &positions, &rows, &targets}) *list = arena.template take<int32_t>("batch", n);
  token_ids = arena.template take<uint64_t>("batch", n);
  tiles = arena.template take<AttentionTile>("batch", n);
  key_tiles = arena.template take<KeyTile>("batch", n);
  readers = arena.template take<QueryRange>("batch", 2 * n);  // each segment reads its own keys and its prompt's
  for (Stat<T>** numbers : {&logps, &coef}) *numbers = arena.template take<Stat<T>>("batch", n);
}

template <class Device, class T>
MemoryParts decoder_memory(const ModelConfig& config, const DecoderPlan& plan) {
  Arena<Device> arena;
  DecoderBuffers<Device, T>().lay_out(arena, config, plan);
  return arena.parts();
}

#define CONCORD_INSTANTIATE(Device, T)        \
  template struct DecoderBuffers<Device, T>;  \
  template MemoryParts decoder_memory<Device, T>(const ModelConfig&, const DecoderPlan&);
CONCORD_FOR_DEVICES(CONCORD_INSTANTIATE)
#undef CONCORD_INSTANTIATE

}  // namespace concord
