#include "io/adapter.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "error.h"
#include "io/limits.h"
#include "io/safetensors.h"

namespace concord {
namespace {

constexpr const char* weights_name = "adapter_model.safetensors";
constexpr const char* config_name = "adapter_config.json";

// PEFT's rule for plain names: the whole module name or an ending after a dot.
bool matches(const std::string& module, const std::string& name) {
  return module == name || module.ends_with("." + name);
}

bool is_target(const AdapterConfig& config, const std::string& module) {
  return config.all_linear || std::any_of(config.target_modules.begin(), config.target_modules.end(),
                                          [&](const std::string& name) { return matches(module, name); });
}

template <class T>
T by_pattern(const std::vector<std::pair<std::string, T>>& pattern, const std::string& module, T otherwise) {
  for (const auto& [name, value] : pattern)
    if (matches(module, name)) return value;
  return otherwise;
}

void check_name_used(const std::vector<LinearSpec>& linears, const std::string& name, const char* key) {
  if (std::none_of(linears.begin(), linears.end(), [&](const LinearSpec& linear) { return matches(linear.module, name); }))
    bad_input(std::string(key) + " names " + in_quotes(name) + ", which is no linear layer of this model (lm_head cannot be adapted)");
}

LoraModule make_module(const AdapterConfig& config, const LinearSpec& linear) {
  LoraModule module{linear.module, linear.in, linear.out, by_pattern(config.rank_pattern, linear.module, config.r), 0, {}, {}, {}};
  const double alpha = by_pattern(config.alpha_pattern, linear.module, config.lora_alpha);
  const double r = static_cast<double>(module.r);
  module.scaling = alpha / (config.use_rslora ? std::sqrt(r) : r);
  return module;
}

std::string key_of(const LoraModule& module, char which) {
  return "base_model.model." + module.module + ".lora_" + which + ".weight";
}

std::string magnitude_key_of(const LoraModule& module) { return "base_model.model." + module.module + ".lora_magnitude_vector"; }

std::vector<float> read_tensor(const SafetensorsFile& file, const std::string& key, const std::vector<int64_t>& shape) {
  const TensorView* view = file.find(key);
  if (!view) bad_input(file.path + ": the weight " + in_quotes(key) + " is missing");
  if (view->shape != shape)
    bad_input(file.path + ": the weight " + in_quotes(key) + " has the shape " + shape_text(view->shape) + ", but " + shape_text(shape) +
              " is due for this model and rank");
  std::vector<float> values = to_f32(*view);
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
    bad_input(file.path + ": the weight " + in_quotes(key) + " holds NaN or infinity");
  return values;
}

void refuse_extra(const SafetensorsFile& file, const Adapter& adapter) {
  std::set<std::string> expected;
  for (const LoraModule& module : adapter.modules) {
    expected.insert(key_of(module, 'A'));
    expected.insert(key_of(module, 'B'));
    if (adapter.config.use_dora) expected.insert(magnitude_key_of(module));
  }
  for (const TensorView& view : file.tensors)
    if (!expected.contains(view.name))
      bad_input(file.path + ": the weight " + in_quotes(view.name) + " has no place in this model and " + config_name);
}

std::vector<LoraModule> target_modules(const AdapterConfig& config, const ModelConfig& model) {
  const std::vector<LinearSpec> linears = model_linears(model);
  if (!config.all_linear)
    for (const std::string& name : config.target_modules) check_name_used(linears, name, "target_modules");
  for (const auto& entry : config.rank_pattern) check_name_used(linears, entry.first, "rank_pattern");
  for (const auto& entry : config.alpha_pattern) check_name_used(linears, entry.first, "alpha_pattern");
  std::vector<LoraModule> modules;
  for (const LinearSpec& linear : linears)
    if (is_target(config, linear.module)) modules.push_back(make_module(config, linear));
  return modules;
}

}  // namespace

Adapter new_adapter(const AdapterConfig& config, const ModelConfig& model) {
  Adapter adapter{config, target_modules(config, model)};
  for (LoraModule& module : adapter.modules) {
    module.a.assign(static_cast<size_t>(module.r * module.in), 0);
    module.b.assign(static_cast<size_t>(module.out * module.r), 0);
    if (config.use_dora) module.magnitude.assign(static_cast<size_t>(module.out), 0);
  }
  return adapter;
}

Adapter read_adapter(const std::string& dir, const ModelConfig& model) {
  const std::string config_path = join_path(dir, config_name), weights_path = join_path(dir, weights_name);
  const Json json = parse_json(read_file(config_path, limits::config_bytes_max).text(), config_path);
  Adapter adapter{parse_adapter_config(json, config_path), {}};
  if (!path_exists(weights_path) && path_exists(join_path(dir, "adapter_model.bin")))
    bad_input(dir + ": holds adapter_model.bin, a pickle file, which can run code; convert it to " + weights_name);
  const SafetensorsFile file = read_safetensors(weights_path);
  try {
    adapter.modules = target_modules(adapter.config, model);
  } catch (const Failure& failure) {
    throw Failure(failure.exit_code, failure.code, config_path + ": " + failure.what());
  }
  refuse_extra(file, adapter);
  for (LoraModule& module : adapter.modules) {
    module.a = read_tensor(file, key_of(module, 'A'), {module.r, module.in});
    module.b = read_tensor(file, key_of(module, 'B'), {module.out, module.r});
    if (adapter.config.use_dora) module.magnitude = read_tensor(file, magnitude_key_of(module), {module.out});
  }
  return adapter;
}

void write_adapter(const std::string& dir, const Adapter& adapter) {
  make_dir(dir);
  std::vector<TensorOut> out;
  AdapterConfig config = adapter.config;
  if (config.all_linear) {  // written as the layers' own names: servers such as vLLM want real modules
    config.all_linear = false;
    config.target_modules.clear();
  }
  for (const LoraModule& module : adapter.modules) {
    out.push_back({key_of(module, 'A'), DType::F32, {module.r, module.in}, module.a.data()});
    out.push_back({key_of(module, 'B'), DType::F32, {module.out, module.r}, module.b.data()});
    if (config.use_dora) out.push_back({magnitude_key_of(module), DType::F32, {module.out}, module.magnitude.data()});
    const std::string name = module.module.substr(module.module.rfind('.') + 1);
    auto& names = config.target_modules;
    if (adapter.config.all_linear && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  write_safetensors(join_path(dir, weights_name), out, {{"format", "pt"}});
  write_file(join_path(dir, config_name), to_pretty_text(adapter_config_json(config)));
}

}  // namespace concord
