// PEFT's LoRA adapter folder: adapter_config.json and adapter_model.safetensors.
// defines: AdapterConfig, LoraModule, Adapter, read_adapter, write_adapter, adapter_targets, new_adapter
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "io/json.h"
#include "io/model_config.h"

namespace concord {

struct AdapterConfig {
  int64_t r = 8;
  double lora_alpha = 16;
  double lora_dropout = 0;
  bool use_rslora = false;
  bool use_dora = false;
  bool all_linear = true;                   // target_modules "all-linear"
  std::vector<std::string> target_modules;  // suffixes of module names, used unless all_linear
  std::vector<std::pair<std::string, int64_t>> rank_pattern;  // plain module suffix -> rank; the first match wins, as in PEFT
  std::vector<std::pair<std::string, double>> alpha_pattern;
  std::string base_model_name_or_path;  // a label; never opened
};

// One adapted linear layer: y = W x + scaling * B (A x); with DoRA each row scaled to its magnitude.
struct LoraModule {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  int64_t in = 0, out = 0, r = 0;
  double scaling = 0;    // alpha / r, or alpha / sqrt(r) with rsLoRA
  std::vector<float> a;  // [r, in]
  std::vector<float> b;  // [out, r]
  std::vector<float> magnitude;  // [out] with DoRA, else empty
};

struct Adapter {
  AdapterConfig config;
  std::vector<LoraModule> modules;  // in the order of model_linears
};

AdapterConfig parse_adapter_config(const Json& json, const std::string& file);
// The keys that a job shares with adapter_config.json, each where it is given: r, lora_alpha, lora_dropout, target_modules, ...
void read_lora_options(const JsonAt& at, AdapterConfig& config);
Json adapter_config_json(const AdapterConfig& config);  // the file we write: only keys in use

// The modules an adapter of this configuration has on this model, with rank and scaling, and a, b and magnitude sized
// and zero (the caller draws A; start_magnitudes needs the weights). A target name that matches no module is refused by name.
Adapter new_adapter(const AdapterConfig& config, const ModelConfig& model);

// Reads and checks against the model: missing, extra or wrongly shaped tensors and NaN or infinity are refused by name.
Adapter read_adapter(const std::string& dir, const ModelConfig& model);

// F32; adapter_config.json last, so that a folder with it is complete.
void write_adapter(const std::string& dir, const Adapter& adapter);

}  // namespace concord
