// config.json of a decoder-only language model, checked and bounded, as one description that the decoder computes:
// what a family adds to or changes in Llama's block is a field here, never a name that code asks for.
// defines: ModelConfig, Rope, RopeScaling, LayerSpec, TensorSpec, LinearSpec, parse_model_config, model_tensors, model_linears
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "io/json.h"
#include "ops/activation.h"

namespace concord {

struct RopeScaling {
  enum class Type { none, linear, llama3, yarn, longrope };
  Type type = Type::none;
  double factor = 1;
  double low_freq_factor = 1;  // llama3 only, as the next
  double high_freq_factor = 4;
  double beta_fast = 32;  // yarn only, as the next two
  double beta_slow = 1;
  bool truncate = true;
  double attention_factor = 1;  // yarn and longrope: of cosines and sines
  int64_t original_max_position_embeddings = 0;
  std::vector<double> short_factor, long_factor;  // longrope: by pair of elements, up to the original length and beyond
};

// Rotary positions of the first rotary_dim elements of each head.
struct Rope {
  double theta = 10000;
  int64_t rotary_dim = 0;
  RopeScaling scaling;
};

struct LayerSpec {
  int64_t window = 0;  // tokens a query sees, itself included; 0: all before it
  int rope = 0;        // index in ModelConfig::ropes, -1: no positions in this layer
};

struct ModelConfig {
  std::string model_type;  // as in config.json; only to be shown
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 2048;
  double rms_norm_eps = 1e-6;
  std::vector<Rope> ropes;
  std::vector<LayerSpec> layers;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;           // q, k and v have a bias
  bool o_bias = false;
  bool mlp_bias = false;           // gate, up and down have a bias
  bool qk_norm = false;            // each head's query and key is normed before it is rotated
  bool post_norms = false;         // what attention and MLP add is normed before it is added
  bool fused_projections = false;  // the checkpoint's modules are qkv_proj and gate_up_proj
  double norm_offset = 0;          // a norm scales by norm_offset + weight
  Activation activation = Activation::silu;
  double embedding_scale = 1;
  double attention_scale = 1;      // of query times key
  double attention_softcap = 0;    // scores become cap tanh(score / cap); 0: not
  double final_softcap = 0;        // the same for logits
  double initializer_range = 0.02;
  int64_t bos_token_id = -1;           // -1: none
  std::vector<int64_t> eos_token_ids;  // empty: none
  std::string dtype = "float32";       // torch_dtype or dtype: float32, float16, bfloat16

  // Longer sequences turn by longrope's other factors; 0 where the model has none.
  int64_t longrope_length() const {
    const RopeScaling& s = ropes.front().scaling;
    return s.type == RopeScaling::Type::longrope ? s.original_max_position_embeddings : 0;
  }
  // How long a sequence that begins with such a prompt may grow token by token: keys that are kept cannot be turned again,
  // so one that begins short ends with the token that would change longrope's angles.
  int64_t growth_limit(int64_t prompt_tokens) const {
    const int64_t change = longrope_length();
    return change > 0 && prompt_tokens <= change ? std::min(change + 1, max_position_embeddings) : max_position_embeddings;
  }
};

// Throws Failure(2) naming the key for anything unsupported or out of bounds.
ModelConfig parse_model_config(const Json& json, const std::string& file);

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};
// Every weight the checkpoint must hold, no more and no less, in canonical order. With tied embeddings there is no lm_head.weight.
std::vector<TensorSpec> model_tensors(const ModelConfig& config);

// The four products of a layer, each of all modules that read the same input.
enum class Projection { qkv, o, gate_up, down };

// A linear layer that LoRA can attach to: weight [out, in] is tensor `<module>.weight`.
struct LinearSpec {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  int64_t in, out;
  int64_t layer;
  Projection projection;
  int64_t col_begin;   // of its output in the projection's
};
// In order of layers, projections and columns. lm_head is not among them (as PEFT's all-linear).
std::vector<LinearSpec> model_linears(const ModelConfig& config);

}  // namespace concord
