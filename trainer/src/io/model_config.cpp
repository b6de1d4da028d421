#include "io/model_config.h"

#include <cmath>

#include "error.h"
#include "io/limits.h"

namespace concord {
namespace {

// `key` where present and not null, else the default: transformers leaves out or nulls what has its default.
int64_t integer_or(const JsonAt& at, const char* key, int64_t fallback, int64_t min, int64_t max) {
  return at[key].is_null() ? fallback : at[key].integer(min, max);
}
double number_or(const JsonAt& at, const char* key, double fallback, double min, double max) {
  return at[key].is_null() ? fallback : at[key].number(min, max);
}
bool boolean_or(const JsonAt& at, const char* key, bool fallback) { return at[key].is_null() ? fallback : at[key].boolean(); }

// What would run foreign code or change the result in a way this reader does not know.
void refuse_unsupported(const JsonAt& at) {
  for (const char* key : {"auto_map", "trust_remote_code"})
    if (!at[key].is_null()) at[key].refuse("is refused: a model that brings its own code is not supported");
  for (const char* key : {"quantization_config", "compression_config", "text_config", "vision_config"})
    if (!at[key].is_null()) at[key].refuse("is not supported");
  if (const JsonAt act = at["hidden_act"]; !act.is_null() && act.string() != "silu")
    act.refuse("is " + in_quotes(act.string()) + ", which is not supported; supported: silu");
  if (boolean_or(at, "is_encoder_decoder", false)) at["is_encoder_decoder"].refuse("is true, but only decoder models are supported");
  if (number_or(at, "attention_dropout", 0, 0, 1) != 0) at["attention_dropout"].refuse("is not 0, which is not supported");
  // A result of tensor-parallel pretraining: the published weights compute the same with 1.
  integer_or(at, "pretraining_tp", 1, 1, 1024);
}

std::string rope_type(const JsonAt& rope) {
  if (!rope["rope_type"].is_null()) return rope["rope_type"].string();
  if (!rope["type"].is_null()) return rope["type"].string();
  return "default";
}

RopeScaling parse_rope_type(const JsonAt& rope, int64_t max_positions) {
  RopeScaling scaling;
  const std::string type = rope_type(rope);
  if (type == "default") return scaling;
  if (type != "linear" && type != "llama3")
    rope[rope["rope_type"].is_null() ? "type" : "rope_type"].refuse("is " + in_quotes(type) +
                                                                    ", which is not supported; supported: default, linear, llama3");
  scaling.factor = rope["factor"].number(1, 1e6);
  scaling.type = RopeScaling::Type::linear;
  if (type == "linear") return scaling;
  scaling.type = RopeScaling::Type::llama3;
  scaling.low_freq_factor = rope["low_freq_factor"].number(1e-6, 1e6);
  scaling.high_freq_factor = rope["high_freq_factor"].number(1e-6, 1e6);
  if (!(scaling.high_freq_factor > scaling.low_freq_factor)) rope["high_freq_factor"].refuse("must be greater than low_freq_factor");
  scaling.original_max_position_embeddings =
      integer_or(rope, "original_max_position_embeddings", max_positions, 1, limits::positions_max);
  return scaling;
}

// transformers 5 writes rope_parameters {rope_theta, rope_type, ...}; before, rope_theta and rope_scaling stood apart.
void parse_rope(const JsonAt& at, ModelConfig& config) {
  config.rope_theta = number_or(at, "rope_theta", 10000, 1, 1e12);
  if (number_or(at, "partial_rotary_factor", 1, 0, 1) != 1) at["partial_rotary_factor"].refuse("is not 1, which is not supported");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const JsonAt rope = at[key];
    if (rope.is_null()) continue;
    rope.object();
    config.rope_theta = number_or(rope, "rope_theta", config.rope_theta, 1, 1e12);
    if (number_or(rope, "partial_rotary_factor", 1, 0, 1) != 1) rope["partial_rotary_factor"].refuse("is not 1, which is not supported");
    const RopeScaling scaling = parse_rope_type(rope, config.max_position_embeddings);
    if (scaling.type != RopeScaling::Type::none) config.rope_scaling = scaling;
  }
}

void parse_heads(const JsonAt& at, ModelConfig& config) {
  config.num_attention_heads = at["num_attention_heads"].integer(1, limits::heads_max);
  config.num_key_value_heads = integer_or(at, "num_key_value_heads", config.num_attention_heads, 1, config.num_attention_heads);
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    at["num_key_value_heads"].refuse("is " + std::to_string(config.num_key_value_heads) + ", which does not divide num_attention_heads, " +
                                     std::to_string(config.num_attention_heads));
  if (at["head_dim"].is_null() && config.hidden_size % config.num_attention_heads != 0)
    at["num_attention_heads"].refuse("is " + std::to_string(config.num_attention_heads) + ", which does not divide hidden_size, " +
                                     std::to_string(config.hidden_size));
  config.head_dim = integer_or(at, "head_dim", config.hidden_size / config.num_attention_heads, 1, limits::head_dim_max);
  if (config.head_dim % 2 != 0) at["head_dim"].refuse("is " + std::to_string(config.head_dim) + ", but rotary positions need an even number");
  if (config.head_dim * config.num_attention_heads > 4 * limits::hidden_size_max)
    at["head_dim"].refuse("times num_attention_heads is larger than " + std::to_string(4 * limits::hidden_size_max));
}

void parse_special_tokens(const JsonAt& at, ModelConfig& config) {
  const int64_t last = config.vocab_size - 1;
  const JsonAt bos = at["bos_token_id"], eos = at["eos_token_id"];
  if (!bos.is_null() && !(bos.json->is_array() && bos.array().empty())) config.bos_token_id = bos.integer(0, last);
  if (eos.is_null()) return;
  if (!eos.json->is_array()) {
    config.eos_token_ids.push_back(eos.integer(0, last));
    return;
  }
  for (size_t i = 0; i < eos.array().size(); i++) config.eos_token_ids.push_back(eos[i].integer(0, last));
}

void parse_dtype(const JsonAt& at, ModelConfig& config) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (at[key].is_null()) continue;
    config.dtype = at[key].string();
    if (config.dtype != "float32" && config.dtype != "float16" && config.dtype != "bfloat16")
      at[key].refuse("is " + in_quotes(config.dtype) + ", which is not supported; supported: float32, float16, bfloat16");
  }
}

}  // namespace

ModelConfig parse_model_config(const Json& json, const std::string& file) {
  const JsonAt at{&json, file, ""};
  at.object();
  ModelConfig config;
  config.model_type = at["model_type"].string();
  if (config.model_type != "llama")
    bad_input(file + ": model_type " + in_quotes(config.model_type) + " is not supported; supported: llama");
  refuse_unsupported(at);
  config.hidden_size = at["hidden_size"].integer(1, limits::hidden_size_max);
  config.intermediate_size = at["intermediate_size"].integer(1, limits::intermediate_size_max);
  config.num_hidden_layers = at["num_hidden_layers"].integer(1, limits::layers_max);
  config.vocab_size = at["vocab_size"].integer(1, limits::vocab_size_max);
  config.max_position_embeddings = integer_or(at, "max_position_embeddings", 2048, 1, limits::positions_max);
  config.rms_norm_eps = number_or(at, "rms_norm_eps", 1e-6, 0, 1);
  config.initializer_range = number_or(at, "initializer_range", 0.02, 0, 10);
  parse_heads(at, config);
  parse_rope(at, config);
  config.tie_word_embeddings = boolean_or(at, "tie_word_embeddings", false);
  config.attention_bias = boolean_or(at, "attention_bias", false);
  config.mlp_bias = boolean_or(at, "mlp_bias", false);
  parse_special_tokens(at, config);
  parse_dtype(at, config);
  return config;
}

std::vector<LinearSpec> model_linears(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size, mlp = config.intermediate_size;
  const int64_t queries = config.num_attention_heads * config.head_dim;
  const int64_t keys = config.num_key_value_heads * config.head_dim;
  std::vector<LinearSpec> linears;
  for (int64_t layer = 0; layer < config.num_hidden_layers; layer++) {
    const std::string at = "model.layers." + std::to_string(layer);
    linears.push_back({at + ".self_attn.q_proj", hidden, queries});
    linears.push_back({at + ".self_attn.k_proj", hidden, keys});
    linears.push_back({at + ".self_attn.v_proj", hidden, keys});
    linears.push_back({at + ".self_attn.o_proj", queries, hidden});
    linears.push_back({at + ".mlp.gate_proj", hidden, mlp});
    linears.push_back({at + ".mlp.up_proj", hidden, mlp});
    linears.push_back({at + ".mlp.down_proj", mlp, hidden});
  }
  return linears;
}

std::vector<TensorSpec> model_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> specs{{"model.embed_tokens.weight", {config.vocab_size, config.hidden_size}}};
  const std::vector<LinearSpec> linears = model_linears(config);
  const size_t per_layer = linears.size() / static_cast<size_t>(config.num_hidden_layers);
  for (size_t i = 0; i < linears.size(); i++) {
    const LinearSpec& linear = linears[i];
    if (i % per_layer == 0) {
      const std::string at = "model.layers." + std::to_string(i / per_layer);
      specs.push_back({at + ".input_layernorm.weight", {config.hidden_size}});
      specs.push_back({at + ".post_attention_layernorm.weight", {config.hidden_size}});
    }
    specs.push_back({linear.module + ".weight", {linear.out, linear.in}});
    const bool in_attention = linear.module.find(".self_attn.") != std::string::npos;
    if (in_attention ? config.attention_bias : config.mlp_bias) specs.push_back({linear.module + ".bias", {linear.out}});
  }
  specs.push_back({"model.norm.weight", {config.hidden_size}});
  if (!config.tie_word_embeddings) specs.push_back({"lm_head.weight", {config.vocab_size, config.hidden_size}});
  return specs;
}

}  // namespace concord
