#include "io/model_config.h"

#include <cmath>

#include "error.h"
#include "io/config_keys.h"
#include "io/limits.h"
#include "io/model_families.h"

namespace concord {
namespace {

// Older checkpoints name a copy of the code that transformers itself has under their model_type; it is not run here.
bool names_only_known_code(const JsonAt& map, const std::string& model_type) {
  for (const auto& [name, value] : map.object()) {
    const std::string& code = map[name].string();
    if (!code.starts_with("configuration_" + model_type + ".") && !code.starts_with("modeling_" + model_type + ".")) return false;
  }
  return true;
}

// What would run foreign code or change the result in a way this reader does not know.
void refuse_unsupported(const JsonAt& at, const std::string& model_type) {
  for (const char* key : {"auto_map", "trust_remote_code"}) {
    if (at[key].is_null() || (at[key].json->is_object() && names_only_known_code(at[key], model_type))) continue;
    at[key].refuse("is refused: a model that brings its own code is not supported");
  }
  for (const char* key : {"quantization_config", "compression_config", "text_config", "vision_config"})
    if (!at[key].is_null()) at[key].refuse("is not supported");
  if (boolean_or(at, "is_encoder_decoder", false)) at["is_encoder_decoder"].refuse("is true, but only decoder models are supported");
  if (number_or(at, "attention_dropout", 0, 0, 1) != 0) at["attention_dropout"].refuse("is not 0, which is not supported");
  // A result of tensor-parallel pretraining: the published weights compute the same with 1.
  integer_or(at, "pretraining_tp", 1, 1, 1024);
}

void parse_heads(const JsonAt& at, const FamilyDefaults& defaults, ModelConfig& config) {
  config.num_attention_heads = at["num_attention_heads"].integer(1, limits::heads_max);
  const int64_t heads = config.num_attention_heads, shared = defaults.key_value_heads;
  config.num_key_value_heads = integer_unless_null(at, "num_key_value_heads", shared > 0 ? shared : heads, heads, 1, heads);
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    at["num_key_value_heads"].refuse("is " + std::to_string(config.num_key_value_heads) + ", which does not divide num_attention_heads, " +
                                     std::to_string(config.num_attention_heads));
  if (at["head_dim"].is_null() && defaults.head_dim == 0 && config.hidden_size % config.num_attention_heads != 0)
    at["num_attention_heads"].refuse("is " + std::to_string(config.num_attention_heads) + ", which does not divide hidden_size, " +
                                     std::to_string(config.hidden_size));
  config.head_dim = integer_or(at, "head_dim", defaults.head_dim > 0 ? defaults.head_dim : config.hidden_size / heads, 1, limits::head_dim_max);
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
  const Family& family = family_of(config.model_type, file);
  const FamilyDefaults& defaults = family.defaults;
  refuse_unsupported(at, config.model_type);
  config.hidden_size = at["hidden_size"].integer(1, limits::hidden_size_max);
  config.intermediate_size = at["intermediate_size"].integer(1, limits::intermediate_size_max);
  config.num_hidden_layers = at["num_hidden_layers"].integer(1, limits::layers_max);
  config.vocab_size = at["vocab_size"].integer(1, limits::vocab_size_max);
  config.max_position_embeddings = integer_or(at, "max_position_embeddings", defaults.max_position_embeddings, 1, limits::positions_max);
  config.rms_norm_eps = number_or(at, "rms_norm_eps", defaults.rms_norm_eps, 0, 1);
  config.initializer_range = number_or(at, "initializer_range", 0.02, 0, 10);
  parse_heads(at, defaults, config);
  config.attention_scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
  config.tie_word_embeddings = boolean_or(at, "tie_word_embeddings", defaults.tie_word_embeddings);
  family.describe(at, config);
  parse_special_tokens(at, config);
  parse_dtype(at, config);
  return config;
}

}  // namespace concord
