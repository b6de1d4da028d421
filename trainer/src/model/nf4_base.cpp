#include "model/nf4_base.h"

#include <algorithm>
#include <map>

namespace concord {

Nf4Base quantize_base(Cpu& cpu, const CheckpointDir& dir, bool double_quant) {
  Nf4Base base;
  base.layers.resize(dir.config.num_hidden_layers);
  for (const LinearSpec& linear : model_linears(dir.config)) {
    const std::vector<float> values = dir.read_weight(linear.module + ".weight");
    auto& to = base.layers[linear.layer].linears[static_cast<int>(linear.projection)];
    to.modules.push_back(quantize_nf4(cpu, {values.data(), linear.out, linear.in}, double_quant));
  }
  return base;
}

Nf4Views Nf4Base::views() const {
  Nf4Views views(layers.size());
  for (size_t l = 0; l < layers.size(); l++)
    for (size_t p = 0; p < 4; p++)
      for (const Nf4Matrix& module : layers[l].linears[p].modules) views[l][p].push_back(module.view());
  return views;
}

int64_t nf4_base_bytes(const ModelConfig& config, bool double_quant) {
  int64_t bytes = 0;
  for (const LinearSpec& linear : model_linears(config)) bytes += nf4_bytes(linear.in * linear.out, double_quant);
  return bytes;
}

int64_t largest_linear(const ModelConfig& config) {
  std::map<std::pair<int64_t, Projection>, int64_t> elements;
  int64_t largest = 0;
  for (const LinearSpec& linear : model_linears(config)) {
    int64_t& sum = elements[{linear.layer, linear.projection}];
    sum += linear.in * linear.out;
    largest = std::max(largest, sum);
  }
  return largest;
}

}  // namespace concord
