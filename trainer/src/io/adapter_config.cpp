#include <algorithm>
#include <cmath>

#include "error.h"
#include "io/adapter.h"
#include "io/limits.h"

namespace concord {
namespace {

// Keys that are read below, and keys whose value cannot change what the adapter computes.
constexpr std::string_view known_keys[] = {
    "peft_type", "r", "lora_alpha", "lora_dropout", "target_modules", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora",
    "task_type", "bias", "init_lora_weights", "base_model_name_or_path",
    "auto_mapping", "revision", "inference_mode", "peft_version", "megatron_core", "qalora_group_size", "runtime_config", "eva_config"};

// PEFT writes every option of every variant with its "off" value; only one that is on changes the result.
bool is_off(const Json& value) {
  if (value.is_null()) return true;
  if (value.is_bool()) return !std::get<bool>(value.value);
  if (value.is_array()) return value.array().empty();
  if (value.is_object()) return value.object().empty();
  return false;
}

void refuse_active_variants(const JsonAt& at) {
  for (const auto& [key, value] : at.object()) {
    const bool known = std::find(std::begin(known_keys), std::end(known_keys), key) != std::end(known_keys);
    if (!known && !is_off(value)) at[key].refuse("is set, which is not supported; supported: LoRA, rsLoRA and DoRA");
  }
}

// Initialisations that leave the base weights as they are; PiSSA, OLoRA, LoftQ and CorDA change them.
void check_initialisation(const JsonAt& at) {
  if (at.is_null() || at.json->is_bool()) return;
  const std::string& name = at.string();
  if (name != "gaussian" && name != "orthogonal" && name != "eva")
    at.refuse("is " + in_quotes(name) + ", which is not supported; convert the adapter to plain LoRA");
}

bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; };
  return !name.empty() && std::all_of(name.begin(), name.end(), plain);
}

std::string plain_name(const JsonAt& at, const std::string& name) {
  if (!is_plain_name(name)) at.refuse("holds " + in_quotes(name) + ", but only plain module names are supported, not patterns");
  return name;
}

void read_targets(const JsonAt& at, AdapterConfig& config) {
  config.all_linear = false;
  if (at.is_null()) {  // PEFT's default for the Llama family
    config.target_modules = {"q_proj", "v_proj"};
    return;
  }
  if (at.json->is_string()) {
    if (at.string() != "all-linear") at.refuse("is " + in_quotes(at.string()) + ", but must be \"all-linear\" or a list of module names");
    config.all_linear = true;
    return;
  }
  for (size_t i = 0; i < at.array().size(); i++) {
    const std::string name = plain_name(at, at[i].string());
    if (std::find(config.target_modules.begin(), config.target_modules.end(), name) != config.target_modules.end())
      at.refuse("names " + in_quotes(name) + " twice");
    config.target_modules.push_back(name);
  }
  if (config.target_modules.empty()) at.refuse("is empty");
}

}  // namespace

AdapterConfig parse_adapter_config(const Json& json, const std::string& file) {
  const JsonAt at{&json, file, ""};
  if (at["peft_type"].string() != "LORA")
    at["peft_type"].refuse("is " + in_quotes(at["peft_type"].string()) + ", which is not supported; supported: LORA");
  refuse_active_variants(at);
  if (!at["task_type"].is_null() && at["task_type"].string() != "CAUSAL_LM")
    at["task_type"].refuse("is " + in_quotes(at["task_type"].string()) + ", which is not supported; supported: CAUSAL_LM");
  if (!at["bias"].is_null() && at["bias"].string() != "none") at["bias"].refuse("is not \"none\", which is not supported");
  check_initialisation(at["init_lora_weights"]);
  AdapterConfig config;
  config.lora_alpha = 8;  // PEFT's default, where ours for a new adapter is 16
  read_lora_options(at, config);
  if (!at["base_model_name_or_path"].is_null()) config.base_model_name_or_path = at["base_model_name_or_path"].string();
  return config;
}

// The keys that a job and adapter_config.json share.
void read_lora_options(const JsonAt& at, AdapterConfig& config) {
  if (!at["r"].is_null()) config.r = at["r"].integer(1, limits::rank_max);
  if (!at["lora_alpha"].is_null()) config.lora_alpha = at["lora_alpha"].number(0, 1e6);
  if (!at["lora_dropout"].is_null()) config.lora_dropout = at["lora_dropout"].number(0, 0.99);
  if (!at["use_rslora"].is_null()) config.use_rslora = at["use_rslora"].boolean();
  if (!at["use_dora"].is_null()) config.use_dora = at["use_dora"].boolean();
  read_targets(at["target_modules"], config);
  const JsonAt ranks = at["rank_pattern"], alphas = at["alpha_pattern"];
  if (!ranks.is_null())
    for (const auto& member : ranks.object())
      config.rank_pattern.emplace_back(plain_name(ranks, member.first), ranks[member.first].integer(1, limits::rank_max));
  if (!alphas.is_null())
    for (const auto& member : alphas.object())
      config.alpha_pattern.emplace_back(plain_name(alphas, member.first), alphas[member.first].number(0, 1e6));
}

namespace {

Json whole_or_float(double v) {
  return v == std::floor(v) && std::abs(v) < 1e15 ? Json(static_cast<int64_t>(v)) : Json(v);
}

}  // namespace

Json adapter_config_json(const AdapterConfig& config) {
  Json::Object ranks, alphas;
  for (const auto& [name, rank] : config.rank_pattern) ranks.emplace_back(name, rank);
  for (const auto& [name, alpha] : config.alpha_pattern) alphas.emplace_back(name, whole_or_float(alpha));
  const Json targets = config.all_linear ? Json("all-linear") : Json(Json::Array(config.target_modules.begin(), config.target_modules.end()));
  const Json base = config.base_model_name_or_path.empty() ? Json() : Json(config.base_model_name_or_path);
  return Json::Object{{"peft_type", "LORA"},
                      {"task_type", "CAUSAL_LM"},
                      {"base_model_name_or_path", base},
                      {"inference_mode", true},
                      {"r", config.r},
                      {"lora_alpha", whole_or_float(config.lora_alpha)},
                      {"lora_dropout", config.lora_dropout},
                      {"target_modules", targets},
                      {"rank_pattern", std::move(ranks)},
                      {"alpha_pattern", std::move(alphas)},
                      {"use_rslora", config.use_rslora},
                      {"use_dora", config.use_dora},
                      {"bias", "none"},
                      {"fan_in_fan_out", false},
                      {"init_lora_weights", true},
                      {"modules_to_save", nullptr}};
}

}  // namespace concord
