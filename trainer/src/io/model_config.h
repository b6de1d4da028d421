// config.json of a decoder-only language model, checked and bounded.
// defines: ModelConfig, RopeScaling, TensorSpec, LinearSpec, parse_model_config, model_tensors, model_linears
#pragma once

#include <string>
#include <vector>

#include "io/json.h"

namespace concord {

struct RopeScaling {
  enum class Type { none, linear, llama3 };
  Type type = Type::none;
  double factor = 1;
  double low_freq_factor = 1;   // llama3 only, as the next two
  double high_freq_factor = 4;
  int64_t original_max_position_embeddings = 0;
};

struct ModelConfig {
  std::string model_type;  // "llama"
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // q, k, v and o have a bias
  bool mlp_bias = false;        // gate, up and down have a bias
  double initializer_range = 0.02;
  int64_t bos_token_id = -1;              // -1: none
  std::vector<int64_t> eos_token_ids;     // empty: none
  std::string dtype = "float32";          // torch_dtype or dtype: float32, float16, bfloat16
};

// Throws Failure(2) naming the key for anything unsupported or out of bounds.
ModelConfig parse_model_config(const Json& json, const std::string& file);

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};
// Every weight the checkpoint must hold, no more and no less, in canonical order. With tied embeddings there is no lm_head.weight.
std::vector<TensorSpec> model_tensors(const ModelConfig& config);

// A linear layer that LoRA can attach to: weight [out, in] is tensor `<module>.weight`.
struct LinearSpec {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  int64_t in, out;
};
// In order of layers; q, k, v, o, gate, up, down in each. lm_head is not among them (as PEFT's all-linear).
std::vector<LinearSpec> model_linears(const ModelConfig& config);

}  // namespace concord
