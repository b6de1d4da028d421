#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

#include "error.h"
#include "io/checkpoint_dir.h"
#include "io/limits.h"
#include "model/random.h"
#include "ops/cpu/cpu.h"
#include "run/commands.h"
#include "run/device.h"

namespace concord {
namespace {

// Box and Muller; not the standard library's distribution, which may draw other numbers on another machine.
double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

// transformers' start: norms scale by 1, biases 0, everything else N(0, initializer_range).
void initialize(const TensorSpec& spec, const ModelConfig& config, Random random, std::vector<float>& values) {
  if (spec.name.ends_with("norm.weight")) return std::fill(values.begin(), values.end(), static_cast<float>(1 - config.norm_offset));
  if (spec.name.ends_with(".bias")) return std::fill(values.begin(), values.end(), 0.0f);
  for (float& v : values) v = static_cast<float>(config.initializer_range * normal(random));
}

size_t elements_of(const TensorSpec& spec) {
  size_t count = 1;
  for (const int64_t dim : spec.shape) count *= static_cast<size_t>(dim);
  return count;
}

DType dtype_of(const ModelConfig& config) {
  if (config.dtype == "float16") return DType::F16;
  if (config.dtype == "bfloat16") return DType::BF16;
  return DType::F32;
}

}  // namespace

int run_init(const std::string& config_file, int64_t seed, const std::string& out) {
  const Json json = parse_json(read_file(config_file, limits::config_bytes_max).text(), config_file);
  const ModelConfig config = parse_model_config(json, config_file);
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"})
    if (path_exists(join_path(out, name))) bad_input("--out " + out + " already holds " + name + "; choose another folder");
  const std::vector<TensorSpec> specs = model_tensors(config);
  std::vector<std::vector<float>> values;
  std::vector<TensorOut> tensors;
  int64_t parameters = 0;
  for (const TensorSpec& spec : specs) {
    values.emplace_back(elements_of(spec));
    tensors.push_back({spec.name, dtype_of(config), spec.shape, values.back().data(), true});
    parameters += static_cast<int64_t>(values.back().size());
  }
  Cpu cpu(thread_count());
  cpu.for_each(static_cast<int64_t>(specs.size()),
               [&](int64_t i, int) { initialize(specs[i], config, Random(static_cast<uint64_t>(seed), static_cast<uint64_t>(i)), values[i]); });
  write_checkpoint(out, json, tensors);
  std::printf("%s\n", to_text(Json::Object{{"model", out}, {"parameters", parameters}}).c_str());
  return 0;
}

}  // namespace concord
