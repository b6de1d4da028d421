// The weights of a decoder in one flat buffer, so that an optimizer, a norm or a checkpoint is one loop.
// Layers that read the same input lie next to each other and are one matrix: [q; k; v] and [gate; up].
#pragma once

#include <string>
#include <vector>

#include "io/checkpoint_dir.h"
#include "io/model_config.h"
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
WeightLayout weight_layout(const ModelConfig& config);

// Views into a buffer of that layout: of values or of gradients. H hidden, I intermediate, Q and K query and key columns.
template <class T>
struct WeightViews {
  struct Layer {
    T* input_norm = nullptr;  // [H]
    Mat<T> qkv;               // [Q + 2K, H]
    Mat<T> o;                 // [H, Q]
    T* post_norm = nullptr;   // [H]
    Mat<T> gate_up;           // [2I, H]
    Mat<T> down;              // [H, I]
  };
  Mat<T> embed;  // [V, H]
  std::vector<Layer> layers;
  T* norm = nullptr;  // [H]
  Mat<T> head;        // [V, H]; the embedding's own memory where they are tied
};
template <class T>
WeightViews<T> weight_views(const ModelConfig& config, T* base);

// Reads every weight into one flat buffer, in the layout's order.
template <class T>
std::vector<T> load_weights(const CheckpointDir& dir);

// Refuses what this decoder does not compute, naming the key of config.json.
void check_decoder_supports(const ModelConfig& config);

inline AttentionShape attention_shape(const ModelConfig& c) {
  return {c.num_attention_heads, c.num_key_value_heads, c.head_dim};
}

}  // namespace concord
