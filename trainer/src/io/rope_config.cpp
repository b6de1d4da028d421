#include "io/rope_config.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "io/config_keys.h"
#include "io/limits.h"

namespace concord {
namespace {

JsonAt type_of(const JsonAt& rope) { return rope["rope_type"].is_null() ? rope["type"] : rope["rope_type"]; }

double theta_or(const JsonAt& at, double fallback) { return number_or(at, "rope_theta", fallback, 1.000001, 1e12); }

// transformers: the key beside rope_scaling wins over the one inside, and Phi-3's default over both.
int64_t original_positions(const JsonAt& at, const JsonAt& rope, const ModelConfig& config, const RopeRules& rules) {
  const int64_t inside = integer_or(rope, "original_max_position_embeddings", config.max_position_embeddings, 2, limits::positions_max);
  return integer_or(at, "original_max_position_embeddings", rules.only_longrope ? 4096 : inside, 2, limits::positions_max);
}

// A key that is not read here would change the angles in a way that goes unseen.
void refuse_unknown(const JsonAt& rope) {
  static constexpr std::string_view known[] = {
      "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "original_max_position_embeddings", "attention_factor",
      "beta_fast", "beta_slow", "truncate", "mscale", "mscale_all_dim", "short_factor", "long_factor", "low_freq_factor", "high_freq_factor",
      "finetuned"};
  if (rope.is_null()) return;
  for (const auto& [key, value] : rope.object())
    if (!value.is_null() && std::find(std::begin(known), std::end(known), key) == std::end(known)) rope[key].refuse("is not supported");
}

std::vector<double> factors(const JsonAt& at, int64_t count) {
  std::vector<double> values;
  for (size_t i = 0; i < at.array().size(); i++) values.push_back(at[i].number(1e-6, 1e6));
  if (static_cast<int64_t>(values.size()) != count)
    at.refuse("has " + std::to_string(values.size()) + " factors, but " + std::to_string(count) + " pairs of elements are rotated");
  return values;
}

// 0.1 m ln(scale) + 1 (Peng et al. 2023, YaRN, equation 22; m as in transformers' modeling_rope_utils.py).
double yarn_mscale(double scale, double m) { return scale <= 1 ? 1 : 0.1 * m * std::log(scale) + 1; }

void parse_yarn(const JsonAt& rope, RopeScaling& s) {
  s.factor = rope["factor"].number(1, 1e6);
  // 0 counts as absent, as in transformers.
  const double fast = number_or(rope, "beta_fast", 0, 0, 1e6), slow = number_or(rope, "beta_slow", 0, 0, 1e6);
  s.beta_fast = fast == 0 ? 32 : fast;
  s.beta_slow = slow == 0 ? 1 : slow;
  if (!(s.beta_fast > s.beta_slow)) rope["beta_fast"].refuse("must be greater than beta_slow");
  s.truncate = boolean_or(rope, "truncate", true);
  const double m = number_or(rope, "mscale", 0, 0, 1e3), all = number_or(rope, "mscale_all_dim", 0, 0, 1e3);
  const double own = m != 0 && all != 0 ? yarn_mscale(s.factor, m) / yarn_mscale(s.factor, all) : yarn_mscale(s.factor, 1);
  s.attention_factor = number_or(rope, "attention_factor", own, 1e-6, 1e6);
}

void parse_llama3(const JsonAt& rope, RopeScaling& s) {
  s.factor = rope["factor"].number(1, 1e6);
  s.low_freq_factor = rope["low_freq_factor"].number(1e-6, 1e6);
  s.high_freq_factor = rope["high_freq_factor"].number(1e-6, 1e6);
  if (!(s.high_freq_factor > s.low_freq_factor)) rope["high_freq_factor"].refuse("must be greater than low_freq_factor");
}

// sqrt(1 + ln(factor) / ln(original length)) (Ding et al. 2024, LongRoPE, as in transformers' modeling_rope_utils.py).
void parse_longrope(const JsonAt& rope, int64_t max_positions, int64_t rotary_dim, RopeScaling& s) {
  s.short_factor = factors(rope["short_factor"], rotary_dim / 2);
  s.long_factor = factors(rope["long_factor"], rotary_dim / 2);
  const double original = static_cast<double>(s.original_max_position_embeddings);
  s.factor = number_or(rope, "factor", static_cast<double>(max_positions) / original, 1e-6, 1e6);
  const double own = s.factor <= 1 ? 1 : std::sqrt(1 + std::log(s.factor) / std::log(original));
  s.attention_factor = number_or(rope, "attention_factor", own, 1e-6, 1e6);
}

RopeScaling parse_scaling(const JsonAt& at, const JsonAt& rope, const ModelConfig& config, const RopeRules& rules, int64_t rotary_dim) {
  RopeScaling s;
  const JsonAt key = type_of(rope);
  std::string type = key.is_null() ? "default" : key.string();
  if (rules.only_longrope && (type == "su" || type == "yarn")) type = "longrope";
  if (type == "default") return s;
  s.original_max_position_embeddings = original_positions(at, rope, config, rules);
  if (type == "longrope" && !rules.by_layer) {
    s.type = RopeScaling::Type::longrope;
    parse_longrope(rope, config.max_position_embeddings, rotary_dim, s);
  } else if (type == "linear" && !rules.only_longrope) {
    s.type = RopeScaling::Type::linear;
    s.factor = rope["factor"].number(1, 1e6);
  } else if (type == "llama3" && !rules.only_longrope) {
    s.type = RopeScaling::Type::llama3;
    parse_llama3(rope, s);
  } else if (type == "yarn") {
    s.type = RopeScaling::Type::yarn;
    parse_yarn(rope, s);
  } else {
    key.refuse("is " + in_quotes(type) + ", which is not supported; supported: default, " +
               (rules.only_longrope ? "longrope" : rules.by_layer ? "linear, llama3, yarn" : "linear, llama3, yarn, longrope"));
  }
  return s;
}

int64_t rotary_dim_of(const JsonAt& at, const JsonAt& rope, const ModelConfig& config, const RopeRules& rules) {
  const JsonAt key = rope["partial_rotary_factor"].is_null() ? at["partial_rotary_factor"] : rope["partial_rotary_factor"];
  const double share = key.is_null() ? 1 : key.number(0, 1);
  if (share != 1 && !rules.partial) key.refuse("is not 1, which is not supported for model_type " + in_quotes(config.model_type));
  const auto dim = static_cast<int64_t>(static_cast<double>(config.head_dim) * share);
  if (dim < 2 || dim % 2 != 0) {
    const std::string why = std::to_string(dim) + " of " + std::to_string(config.head_dim) + " elements of a head, but rotary positions need an even number";
    if (key.is_null()) at["head_dim"].refuse("rotates " + why);
    key.refuse("rotates " + why);
  }
  return dim;
}

// An absent or empty object counts as none.
JsonAt object_at(const JsonAt& at, const char* key) {
  if (at[key].is_null() || at[key].object().empty()) return {nullptr, at.file, key};
  return at[key];
}

Rope parse_one(const JsonAt& at, const JsonAt& rope, double theta, const ModelConfig& config, const RopeRules& rules) {
  refuse_unknown(rope);
  Rope parsed;
  parsed.theta = theta_or(rope, theta);
  parsed.rotary_dim = rotary_dim_of(at, rope, config, rules);
  parsed.scaling = parse_scaling(at, rope, config, rules, parsed.rotary_dim);
  return parsed;
}

}  // namespace

Rope parse_rope(const JsonAt& at, const ModelConfig& config, const RopeRules& rules) {
  const JsonAt four = object_at(at, "rope_scaling"), five = object_at(at, "rope_parameters");
  return parse_one(at, four.is_null() ? five : four, theta_or(five, theta_or(at, rules.theta)), config, rules);
}

std::vector<Rope> parse_ropes_by_layer_type(const JsonAt& at, const ModelConfig& config, double full_theta, double sliding_theta) {
  const JsonAt by_type = object_at(at, "rope_parameters");
  if (!by_type.is_null())
    for (const auto& [key, value] : by_type.object())
      if (key != "full_attention" && key != "sliding_attention") by_type[key].refuse("is not a layer type; known: full_attention, sliding_attention");
  const JsonAt full = object_at(by_type, "full_attention"), sliding = object_at(by_type, "sliding_attention");
  const JsonAt four = object_at(at, "rope_scaling");
  const double theta = theta_or(full, theta_or(at, full_theta)), local = number_or(at, "rope_local_base_freq", sliding_theta, 1.000001, 1e12);
  const RopeRules rules{theta, false, false, true};
  return {parse_one(at, four.is_null() ? full : four, theta, config, rules), parse_one(at, sliding, local, config, rules)};
}

}  // namespace concord
