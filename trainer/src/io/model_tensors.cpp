// The names and shapes of a checkpoint's weights.
#include "io/model_config.h"

namespace concord {
namespace {

std::string layer_at(int64_t layer) { return "model.layers." + std::to_string(layer); }

// The modules of one projection, one below another.
class Linears {
 public:
  explicit Linears(const ModelConfig& config) : config_(config) {}

  std::vector<LinearSpec> all() {
    const int64_t hidden = config_.hidden_size, inner = config_.intermediate_size, d = config_.head_dim;
    const int64_t queries = config_.num_attention_heads * d, keys = config_.num_key_value_heads * d;
    for (int64_t layer = 0; layer < config_.num_hidden_layers; layer++) {
      const std::string attention = layer_at(layer) + ".self_attn.", mlp = layer_at(layer) + ".mlp.";
      if (config_.fused_projections) {
        add(layer, Projection::qkv, hidden, {{attention + "qkv_proj", queries + 2 * keys}});
      } else {
        add(layer, Projection::qkv, hidden, {{attention + "q_proj", queries}, {attention + "k_proj", keys}, {attention + "v_proj", keys}});
      }
      add(layer, Projection::o, queries, {{attention + "o_proj", hidden}});
      if (config_.fused_projections) {
        add(layer, Projection::gate_up, hidden, {{mlp + "gate_up_proj", 2 * inner}});
      } else {
        add(layer, Projection::gate_up, hidden, {{mlp + "gate_proj", inner}, {mlp + "up_proj", inner}});
      }
      add(layer, Projection::down, inner, {{mlp + "down_proj", hidden}});
    }
    return std::move(linears_);
  }

 private:
  void add(int64_t layer, Projection projection, int64_t in, std::vector<std::pair<std::string, int64_t>> modules) {
    int64_t column = 0;
    for (auto& [module, out] : modules) {
      linears_.push_back({std::move(module), in, out, layer, projection, column});
      column += out;
    }
  }

  const ModelConfig& config_;
  std::vector<LinearSpec> linears_;
};

bool has_bias(const ModelConfig& config, Projection projection) {
  if (projection == Projection::qkv) return config.qkv_bias;
  return projection == Projection::o ? config.o_bias : config.mlp_bias;
}

}  // namespace

std::vector<LinearSpec> model_linears(const ModelConfig& config) { return Linears(config).all(); }

// Weights of one projection lie next to each other, and so do their biases after them: each is one matrix, one vector.
std::vector<TensorSpec> model_tensors(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  std::vector<TensorSpec> specs{{"model.embed_tokens.weight", {config.vocab_size, hidden}}};
  const std::vector<LinearSpec> linears = model_linears(config);
  auto linear = linears.begin();
  for (int64_t layer = 0; layer < config.num_hidden_layers; layer++) {
    const std::string at = layer_at(layer);
    specs.push_back({at + ".input_layernorm.weight", {hidden}});
    specs.push_back({at + ".post_attention_layernorm.weight", {hidden}});
    if (config.post_norms)
      for (const char* name : {".pre_feedforward_layernorm.weight", ".post_feedforward_layernorm.weight"}) specs.push_back({at + name, {hidden}});
    if (config.qk_norm)
      for (const char* name : {".self_attn.q_norm.weight", ".self_attn.k_norm.weight"}) specs.push_back({at + name, {config.head_dim}});
    while (linear != linears.end() && linear->layer == layer) {
      auto last = linear;
      for (; last != linears.end() && last->layer == layer && last->projection == linear->projection; ++last)
        specs.push_back({last->module + ".weight", {last->out, last->in}});
      if (has_bias(config, linear->projection))
        for (auto it = linear; it != last; ++it) specs.push_back({it->module + ".bias", {it->out}});
      linear = last;
    }
  }
  specs.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings) specs.push_back({"lm_head.weight", {config.vocab_size, hidden}});
  return specs;
}

}  // namespace concord
