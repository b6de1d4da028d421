#include "model/weights.h"

#include <set>
#include <utility>

namespace concord {

WeightLayout weight_layout(const ModelConfig& config, Quantization how) {
  WeightLayout layout;
  std::set<std::string> quantized;
  if (how != Quantization::none)
    for (const LinearSpec& linear : model_linears(config)) quantized.insert(linear.module + ".weight");
  for (TensorSpec& tensor : model_tensors(config)) {
    if (quantized.contains(tensor.name)) continue;
    int64_t elements = 1;
    for (const int64_t d : tensor.shape) elements *= d;
    layout.specs.push_back({std::move(tensor.name), std::move(tensor.shape), layout.elements, elements});
    layout.elements += elements;
  }
  return layout;
}

// In the order of model_tensors.
template <class T>
WeightViews<T> weight_views(const ModelConfig& c, T* base, const QuantizedViews& quantized) {
  const AttentionShape shape = attention_shape(c);
  const int64_t hidden = c.hidden_size, inner = c.intermediate_size;
  WeightViews<T> views;
  T* next = base;
  const auto take = [&](int64_t elements) { return std::exchange(next, next + elements); };
  const auto matrix = [&](int64_t rows, int64_t cols) { return Mat<T>(take(rows * cols), rows, cols); };
  const auto linear = [&](int64_t l, Projection projection, int64_t out, int64_t in, bool bias) {
    Linear<T> layer;
    if (!quantized.empty()) {
      layer.quantized = quantized[l][static_cast<size_t>(projection)];
      layer.weight = Mat<T>(nullptr, out, in);
    } else {
      layer.weight = matrix(out, in);
    }
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
    layer.qkv = linear(l, Projection::qkv, shape.qkv_cols(), hidden, c.qkv_bias);
    layer.o = linear(l, Projection::o, hidden, shape.q_cols(), c.o_bias);
    layer.gate_up = linear(l, Projection::gate_up, 2 * inner, hidden, c.mlp_bias);
    layer.down = linear(l, Projection::down, hidden, inner, c.mlp_bias);
  }
  views.norm = take(hidden);
  views.head = c.tie_word_embeddings ? views.embed : matrix(c.vocab_size, hidden);
  return views;
}

template <class Device, class T>
Mat<const T> dense_weight(Device& device, const Linear<const T>& linear, T* scratch) {
  if (linear.quantized.empty()) return linear.weight;
  T* next = scratch;
  for (const QuantizedView& module : linear.quantized) {
    ops::dequantize<T>(device, module, Mat<T>(next, module.rows, module.cols));
    next += module.rows * module.cols;
  }
  return Mat<const T>(scratch, linear.weight.rows, linear.weight.cols);
}

#define CONCORD_INSTANTIATE(T)                                                             \
  template WeightViews<T> weight_views<T>(const ModelConfig&, T*, const QuantizedViews&);   \
  template WeightViews<const T> weight_views<const T>(const ModelConfig&, const T*, const QuantizedViews&);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
CONCORD_INSTANTIATE(Bf16)
#undef CONCORD_INSTANTIATE
#define CONCORD_INSTANTIATE(Device, T) template Mat<const T> dense_weight<Device, T>(Device&, const Linear<const T>&, T*);
CONCORD_FOR_DEVICES(CONCORD_INSTANTIATE)
#undef CONCORD_INSTANTIATE

}  // namespace concord
