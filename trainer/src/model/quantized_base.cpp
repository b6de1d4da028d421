#include "model/quantized_base.h"

#include <algorithm>
#include <map>
#include <utility>

namespace concord {

QuantizedViews QuantizedBase::views() const {
  QuantizedViews views(layers.size());
  for (size_t l = 0; l < layers.size(); l++)
    for (size_t p = 0; p < layers[l].size(); p++)
      for (const QuantizedMatrix& module : layers[l][p]) views[l][p].push_back(module.view());
  return views;
}

int64_t QuantizedBase::bytes() const {
  int64_t bytes = 0;
  for (const auto& layer : layers)
    for (const auto& modules : layer)
      for (const QuantizedMatrix& module : modules) bytes += module.bytes();
  return bytes;
}

int64_t quantized_base_bytes(const ModelConfig& config, Quantization how) {
  if (how == Quantization::none) return 0;
  int64_t bytes = 0;
  for (const LinearSpec& linear : model_linears(config)) bytes += quantized_bytes(linear.out, linear.in, how);
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
