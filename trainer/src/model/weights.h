// The weights of a decoder in one flat buffer, so that an optimizer, a norm or a checkpoint is one loop.
// Layers that read the same input lie next to each other and are one matrix: [q; k; v] and [gate; up].
#pragma once

#include <string>
#include <vector>

#include "io/model_config.h"
#include "model/quantized_base.h"
#include "ops/ops.h"

namespace concord {

struct WeightSpec {
  std::string name;  // as in the checkpoint
  std::vector<int64_t> shape;
  int64_t offset = 0, elements = 0;
};

struct WeightLayout {
  std::vector<WeightSpec> specs;
  int64_t elements = 0;
};
// Where it is quantized, without the weights of linear layers, which a QuantizedBase holds.
WeightLayout weight_layout(const ModelConfig& config, Quantization how = Quantization::none);

// A linear layer of all modules that read the same input, one below another.
template <class T>
struct Linear {
  Mat<T> weight;      // [out, in]
  T* bias = nullptr;  // [out]; null where the model has none
  std::vector<QuantizedView> quantized;  // its modules, where it is; `weight` then has a shape alone
};

// Views into a buffer of that layout: of values or of gradients. H hidden, I intermediate, Q and K query and key columns,
// D head dimension. A norm that the model does not have is null.
template <class T>
struct WeightViews {
  struct Layer {
    T* pre_attention_norm = nullptr;   // [H]
    T* post_attention_norm = nullptr;  // [H]
    T* pre_mlp_norm = nullptr;         // [H]
    T* post_mlp_norm = nullptr;        // [H]
    T *query_norm = nullptr, *key_norm = nullptr;  // [D]
    Linear<T> qkv;                     // [Q + 2K, H]
    Linear<T> o;                       // [H, Q]
    Linear<T> gate_up;                 // [2I, H]
    Linear<T> down;                    // [H, I]

    Linear<T>& of(Projection projection) {
      Linear<T>* const all[] = {&qkv, &o, &gate_up, &down};
      return *all[static_cast<int>(projection)];
    }
  };
  Mat<T> embed;  // [V, H]
  std::vector<Layer> layers;
  T* norm = nullptr;  // [H]
  Mat<T> head;        // [V, H]; the embedding's own memory where they are tied
};
template <class T>
WeightViews<T> weight_views(const ModelConfig& config, T* base, const QuantizedViews& quantized = {});

// The weight itself, or dequantized into `scratch` (largest_linear(config) elements).
template <class Device, class T>
Mat<const T> dense_weight(Device&, const Linear<const T>&, T* scratch);

inline AttentionShape attention_shape(const ModelConfig& c) {
  return {c.num_attention_heads, c.num_key_value_heads, c.head_dim};
}

}  // namespace concord
