#include "model/base.h"

#include <algorithm>
#include <exception>
#include <string>

namespace concord {
namespace {

// The weight's elements from `begin` on, pieces of them at a time.
void read_on_all_cores(Cpu& cpu, const CheckpointDir& dir, const std::string& name, int64_t begin, std::span<float> out) {
  const auto n = std::ssize(out), pieces = (n + dir.piece - 1) / dir.piece;
  std::vector<std::exception_ptr> failures(pieces);  // a worker has nobody to throw to
  cpu.for_each(pieces, [&](int64_t i, int) {
    const int64_t at = i * dir.piece;
    try {
      dir.read_weight(name, begin + at, out.subspan(at, std::min(dir.piece, n - at)));
    } catch (...) {
      failures[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace

void read_base(Cpu& cpu, const CheckpointDir& dir, Quantization how, std::initializer_list<BaseSink*> sinks) {
  std::vector<float> values;
  const int64_t at_once = dir.piece * cpu.threads();
  for (const WeightSpec& weight : weight_layout(dir.config, how).specs)
    for (int64_t begin = 0; begin < weight.elements; begin += at_once) {
      values.resize(std::min(at_once, weight.elements - begin));
      read_on_all_cores(cpu, dir, weight.name, begin, values);
      for (BaseSink* sink : sinks) sink->add(weight, begin, values);
    }
  if (how == Quantization::none) return;
  for (const LinearSpec& linear : model_linears(dir.config)) {
    values.resize(linear.out * linear.in);
    read_on_all_cores(cpu, dir, linear.module + ".weight", 0, values);
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
