#include "model/weights.h"

#include "error.h"

namespace concord {
namespace {

std::string layer_name(int64_t layer, const char* part) {
  return "model.layers." + std::to_string(layer) + "." + part + ".weight";
}

}  // namespace

WeightLayout weight_layout(const ModelConfig& c) {
  const AttentionShape shape = attention_shape(c);
  const int64_t hidden = c.hidden_size, inner = c.intermediate_size;
  WeightLayout layout;
  const auto add = [&](std::string name, std::vector<int64_t> dims) {
    int64_t elements = 1;
    for (int64_t d : dims) elements *= d;
    layout.specs.push_back({std::move(name), std::move(dims), layout.elements, elements});
    layout.elements += elements;
  };
  add("model.embed_tokens.weight", {c.vocab_size, hidden});
  for (int64_t l = 0; l < c.num_hidden_layers; l++) {
    add(layer_name(l, "input_layernorm"), {hidden});
    add(layer_name(l, "self_attn.q_proj"), {shape.q_cols(), hidden});
    add(layer_name(l, "self_attn.k_proj"), {shape.kv_cols(), hidden});
    add(layer_name(l, "self_attn.v_proj"), {shape.kv_cols(), hidden});
    add(layer_name(l, "self_attn.o_proj"), {hidden, shape.q_cols()});
    add(layer_name(l, "post_attention_layernorm"), {hidden});
    add(layer_name(l, "mlp.gate_proj"), {inner, hidden});
    add(layer_name(l, "mlp.up_proj"), {inner, hidden});
    add(layer_name(l, "mlp.down_proj"), {hidden, inner});
  }
  add("model.norm.weight", {hidden});
  if (!c.tie_word_embeddings) add("lm_head.weight", {c.vocab_size, hidden});
  return layout;
}

template <class T>
WeightViews<T> weight_views(const ModelConfig& c, T* base) {
  const AttentionShape shape = attention_shape(c);
  const int64_t hidden = c.hidden_size, inner = c.intermediate_size;
  WeightViews<T> views;
  T* next = base;
  const auto take = [&](int64_t elements) { return std::exchange(next, next + elements); };
  const auto matrix = [&](int64_t rows, int64_t cols) { return Mat<T>(take(rows * cols), rows, cols); };
  views.embed = matrix(c.vocab_size, hidden);
  for (int64_t l = 0; l < c.num_hidden_layers; l++) {
    auto& layer = views.layers.emplace_back();
    layer.input_norm = take(hidden);
    layer.qkv = matrix(shape.qkv_cols(), hidden);
    layer.o = matrix(hidden, shape.q_cols());
    layer.post_norm = take(hidden);
    layer.gate_up = matrix(2 * inner, hidden);
    layer.down = matrix(hidden, inner);
  }
  views.norm = take(hidden);
  views.head = c.tie_word_embeddings ? views.embed : matrix(c.vocab_size, hidden);
  return views;
}

template <class T>
std::vector<T> load_weights(const CheckpointDir& dir) {
  const WeightLayout layout = weight_layout(dir.config);
  std::vector<T> values(layout.elements);
  std::vector<float> staging;
  for (const WeightSpec& spec : layout.specs) {
    staging.resize(spec.elements);
    to_f32(dir.tensor(spec.name), staging.data());
    std::copy(staging.begin(), staging.end(), values.begin() + spec.offset);
  }
  return values;
}

void check_decoder_supports(const ModelConfig& c) {
  if (c.attention_bias) bad_input("config.json: attention_bias true is not supported; this trainer has no bias in attention");
  if (c.mlp_bias) bad_input("config.json: mlp_bias true is not supported; this trainer has no bias in the MLP");
}

template WeightViews<float> weight_views<float>(const ModelConfig&, float*);
template WeightViews<const float> weight_views<const float>(const ModelConfig&, const float*);
template WeightViews<double> weight_views<double>(const ModelConfig&, double*);
template WeightViews<const double> weight_views<const double>(const ModelConfig&, const double*);
template std::vector<float> load_weights<float>(const CheckpointDir&);
template std::vector<double> load_weights<double>(const CheckpointDir&);

}  // namespace concord
