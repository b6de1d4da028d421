#include "model/weights.h"

#include <utility>

namespace concord {

WeightLayout weight_layout(const ModelConfig& config) {
  WeightLayout layout;
  for (TensorSpec& tensor : model_tensors(config)) {
    int64_t elements = 1;
    for (const int64_t d : tensor.shape) elements *= d;
    layout.specs.push_back({std::move(tensor.name), std::move(tensor.shape), layout.elements, elements});
    layout.elements += elements;
  }
  return layout;
}

// In the order of model_tensors.
template <class T>
WeightViews<T> weight_views(const ModelConfig& c, T* base) {
  const AttentionShape shape = attention_shape(c);
  const int64_t hidden = c.hidden_size, inner = c.intermediate_size;
  WeightViews<T> views;
  T* next = base;
  const auto take = [&](int64_t elements) { return std::exchange(next, next + elements); };
  const auto matrix = [&](int64_t rows, int64_t cols) { return Mat<T>(take(rows * cols), rows, cols); };
  const auto linear = [&](int64_t out, int64_t in, bool bias) {
    Linear<T> layer{matrix(out, in), nullptr};
    if (bias) layer.bias = take(out);
    return layer;
  };
  views.embed = matrix(c.vocab_size, hidden);
  for (int64_t l = 0; l < c.num_hidden_layers; l++) {
    auto& layer = views.layers.emplace_back();
    layer.pre_attention_norm = take(hidden);
    if (c.post_norms) layer.post_attention_norm = take(hidden);
    layer.pre_mlp_norm = take(hidden);
    if (c.post_norms) layer.post_mlp_norm = take(hidden);
    if (c.qk_norm) {
      layer.query_norm = take(c.head_dim);
      layer.key_norm = take(c.head_dim);
    }
    layer.qkv = linear(shape.qkv_cols(), hidden, c.qkv_bias);
    layer.o = linear(hidden, shape.q_cols(), c.o_bias);
    layer.gate_up = linear(2 * inner, hidden, c.mlp_bias);
    layer.down = linear(hidden, inner, c.mlp_bias);
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

template WeightViews<float> weight_views<float>(const ModelConfig&, float*);
template WeightViews<const float> weight_views<const float>(const ModelConfig&, const float*);
template WeightViews<double> weight_views<double>(const ModelConfig&, double*);
template WeightViews<const double> weight_views<const double>(const ModelConfig&, const double*);
template std::vector<float> load_weights<float>(const CheckpointDir&);
template std::vector<double> load_weights<double>(const CheckpointDir&);

}  // namespace concord
