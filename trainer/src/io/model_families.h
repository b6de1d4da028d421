// What each model_type makes of Llama's block.
#pragma once

#include <string>

#include "io/model_config.h"

namespace concord {

struct FamilyDefaults {
  int64_t key_value_heads = 0;  // 0: as many as num_attention_heads
  int64_t head_dim = 0;         // 0: hidden_size / num_attention_heads
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
};

struct Family {
  const char* model_type;
  FamilyDefaults defaults;  // of transformers' configuration classes
  // After the dimensions are read: activation, biases, norms, caps, positions and windows.
  void (*describe)(const JsonAt& at, ModelConfig& config);
};

// Throws Failure(2) naming what is supported.
const Family& family_of(const std::string& model_type, const std::string& file);

}  // namespace concord
