// Source: transformers 5.18, models/*/configuration_*.py and modeling_*.py.
#include "io/model_families.h"

#include <cmath>

#include "error.h"
#include "io/config_keys.h"
#include "io/limits.h"
#include "io/rope_config.h"

namespace concord {
namespace {

void read_activation(const JsonAt& at, const char* key, Activation activation, const char* name, ModelConfig& config) {
  config.activation = activation;
  if (!at[key].is_null() && at[key].string() != name)
    at[key].refuse("is " + in_quotes(at[key].string()) + ", which is not supported; supported: " + name);
}

void read_silu(const JsonAt& at, ModelConfig& config) { read_activation(at, "hidden_act", Activation::silu, "silu", config); }

void read_attention_bias(const JsonAt& at, ModelConfig& config) {
  config.qkv_bias = config.o_bias = boolean_or(at, "attention_bias", false);
}

// 0 for null: no window.
int64_t window_of(const JsonAt& at, int64_t absent) {
  return integer_unless_null(at, "sliding_window", absent, 0, 1, limits::positions_max);
}

void all_layers(ModelConfig& config, LayerSpec spec) { config.layers.assign(static_cast<size_t>(config.num_hidden_layers), spec); }

// layer_types where given, else `slides` by layer. A sliding layer has `sliding`, the others attend to everything.
template <class F>
void read_layer_types(const JsonAt& at, ModelConfig& config, LayerSpec sliding, F&& slides) {
  all_layers(config, {});
  const JsonAt types = at["layer_types"];
  const bool given = !types.is_null();
  if (given && static_cast<int64_t>(types.array().size()) != config.num_hidden_layers)
    types.refuse("has " + std::to_string(types.array().size()) + " entries, but num_hidden_layers is " + std::to_string(config.num_hidden_layers));
  for (size_t i = 0; i < config.layers.size(); i++) {
    bool is_sliding = !given && slides(static_cast<int64_t>(i));
    if (given) {
      const std::string& type = types[i].string();
      if (type != "full_attention" && type != "sliding_attention")
        types[i].refuse("is " + in_quotes(type) + ", which is not supported; supported: full_attention, sliding_attention");
      is_sliding = type == "sliding_attention";
      if (is_sliding && sliding.window == 0) types[i].refuse("is sliding_attention, but sliding_window is not set or not in use");
    }
    if (is_sliding) config.layers[i] = sliding;
  }
}

void describe_llama(const JsonAt& at, ModelConfig& config) {
  read_silu(at, config);
  read_attention_bias(at, config);
  config.mlp_bias = boolean_or(at, "mlp_bias", false);
  config.ropes = {parse_rope(at, config, {})};
  all_layers(config, {});
}

void describe_mistral(const JsonAt& at, ModelConfig& config) {
  read_silu(at, config);
  config.ropes = {parse_rope(at, config, {})};
  all_layers(config, {window_of(at, 4096), 0});
}

// Layers from max_window_layers on slide, where use_sliding_window is on.
void read_qwen_layers(const JsonAt& at, ModelConfig& config) {
  const int64_t window = boolean_or(at, "use_sliding_window", false) ? window_of(at, 4096) : 0;
  const int64_t first = integer_or(at, "max_window_layers", 28, 0, limits::layers_max);
  config.ropes = {parse_rope(at, config, {})};
  read_layer_types(at, config, {window, 0}, [&](int64_t layer) { return window > 0 && layer >= first; });
}

void describe_qwen2(const JsonAt& at, ModelConfig& config) {
  read_silu(at, config);
  config.qkv_bias = true;
  read_qwen_layers(at, config);
}

void describe_qwen3(const JsonAt& at, ModelConfig& config) {
  read_silu(at, config);
  read_attention_bias(at, config);
  config.qk_norm = true;
  read_qwen_layers(at, config);
}

void describe_gemma(const JsonAt& at, ModelConfig& config) {
  read_activation(at, "hidden_activation", Activation::gelu_tanh, "gelu_pytorch_tanh", config);
  read_attention_bias(at, config);
  config.norm_offset = 1;
  config.post_norms = true;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden_size));
  config.attention_scale = 1 / std::sqrt(number_or(at, "query_pre_attn_scalar", 256, 1e-3, 1e6));
  if (boolean_or(at, "use_bidirectional_attention", false))
    at["use_bidirectional_attention"].refuse("is true, but only causal decoders are supported");
}

void describe_gemma2(const JsonAt& at, ModelConfig& config) {
  describe_gemma(at, config);
  config.attention_softcap = number_unless_null(at, "attn_logit_softcapping", 50, 0, 1e-3, 1e6);
  config.final_softcap = number_unless_null(at, "final_logit_softcapping", 30, 0, 1e-3, 1e6);
  config.ropes = {parse_rope(at, config, {})};
  const LayerSpec sliding{window_of(at, 4096), 0};
  read_layer_types(at, config, sliding, [&](int64_t layer) { return sliding.window > 0 && layer % 2 == 0; });
}

void describe_gemma3(const JsonAt& at, ModelConfig& config) {
  describe_gemma(at, config);
  config.qk_norm = true;
  if (!at["attn_logit_softcapping"].is_null()) at["attn_logit_softcapping"].refuse("is set, which is not supported for model_type \"gemma3_text\"");
  config.final_softcap = number_unless_null(at, "final_logit_softcapping", 0, 0, 1e-3, 1e6);
  config.ropes = parse_ropes_by_layer_type(at, config, 1e6, 1e4);
  const LayerSpec sliding{window_of(at, 4096), 1};
  const int64_t pattern = integer_or(at, "sliding_window_pattern", 6, 1, limits::layers_max);
  read_layer_types(at, config, sliding, [&](int64_t layer) { return (layer + 1) % pattern != 0; });
  for (const LayerSpec& layer : config.layers)
    if (layer.rope == 1 && layer.window == 0) at["sliding_window"].refuse("is null, but some layers have sliding windows");
}

void describe_phi3(const JsonAt& at, ModelConfig& config) {
  read_silu(at, config);
  for (const char* key : {"resid_pdrop", "embd_pdrop"})
    if (number_or(at, key, 0, 0, 1) != 0) at[key].refuse("is not 0, which is not supported");
  config.fused_projections = true;
  config.ropes = {parse_rope(at, config, {10000, true, true, false})};
  all_layers(config, {window_of(at, 0), 0});
}

// no_rope_layers: 0 where a layer has no positions; without it, every no_rope_layer_interval-th.
void describe_smollm3(const JsonAt& at, ModelConfig& config) {
  read_silu(at, config);
  read_attention_bias(at, config);
  config.mlp_bias = boolean_or(at, "mlp_bias", false);
  config.ropes = {parse_rope(at, config, {2e6, false, false, false})};
  const JsonAt given = at["no_rope_layers"];
  const int64_t interval = integer_or(at, "no_rope_layer_interval", 4, 1, limits::layers_max);
  if (!given.is_null() && static_cast<int64_t>(given.array().size()) < config.num_hidden_layers)
    given.refuse("has " + std::to_string(given.array().size()) + " entries, but num_hidden_layers is " + std::to_string(config.num_hidden_layers));
  const auto has_rope = [&](int64_t layer) {
    return given.is_null() ? (layer + 1) % interval != 0 : given[static_cast<size_t>(layer)].integer(0, 1) == 1;
  };
  const int64_t window = boolean_or(at, "use_sliding_window", false) ? window_of(at, 0) : 0;
  read_layer_types(at, config, {window, 0}, [&](int64_t layer) { return window > 0 && !has_rope(layer); });
  for (int64_t l = 0; l < config.num_hidden_layers; l++) config.layers[static_cast<size_t>(l)].rope = has_rope(l) ? 0 : -1;
}

// {key_value_heads, head_dim, max_position_embeddings, rms_norm_eps, tie_word_embeddings}
constexpr Family families[] = {
    {"llama", {0, 0, 2048, 1e-6, false}, describe_llama},
    {"mistral", {8, 0, 131'072, 1e-6, false}, describe_mistral},
    {"qwen2", {32, 0, 32'768, 1e-6, false}, describe_qwen2},
    {"qwen3", {32, 128, 32'768, 1e-6, false}, describe_qwen3},
    {"gemma2", {4, 256, 8192, 1e-6, true}, describe_gemma2},
    {"gemma3_text", {4, 256, 131'072, 1e-6, true}, describe_gemma3},
    {"phi3", {0, 0, 4096, 1e-5, false}, describe_phi3},
    {"smollm3", {4, 0, 32'768, 1e-6, true}, describe_smollm3},
};

}  // namespace

const Family& family_of(const std::string& model_type, const std::string& file) {
  std::string names;
  for (const Family& family : families) {
    if (model_type == family.model_type) return family;
    names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  }
  bad_input(file + ": model_type " + in_quotes(model_type) + " is not supported; supported: " + names);
}

}  // namespace concord
