#include "model/base.h"

#include <algorithm>

namespace concord {

void read_base(Cpu& cpu, const CheckpointDir& dir, Quantization how, std::initializer_list<BaseSink*> sinks) {
  std::vector<float> values;
  for (const WeightSpec& weight : weight_layout(dir.config, how).specs)
    for (int64_t begin = 0; begin < weight.elements; begin += dir.piece) {
      values.resize(std::min(dir.piece, weight.elements - begin));
      dir.read_weight(weight.name, begin, values);
      for (BaseSink* sink : sinks) sink->add(weight, begin, values);
    }
  if (how == Quantization::none) return;
  for (const LinearSpec& linear : model_linears(dir.config)) {
    values.resize(linear.out * linear.in);
    dir.read_weight(linear.module + ".weight", 0, values);
    const QuantizedMatrix quantized = quantize(cpu, {values.data(), linear.out, linear.in}, how);
    for (BaseSink* sink : sinks) sink->add(linear, quantized);
  }
}

HostBase::HostBase(Cpu&, const ModelConfig& config, Quantization how) : weights(weight_layout(config, how).elements) {
  if (how != Quantization::none) quantized.layers.resize(config.num_hidden_layers);
}

void HostBase::add(const WeightSpec& weight, int64_t begin, std::span<const float> values) {
  std::copy(values.begin(), values.end(), weights.begin() + weight.offset + begin);
}

void HostBase::add(const LinearSpec& linear, const QuantizedMatrix& matrix) {
  quantized.layers[linear.layer][static_cast<size_t>(linear.projection)].push_back(matrix);
}

}  // namespace concord
