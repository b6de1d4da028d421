// A base on its way from its files to the device that computes with it, a piece at a time: the host holds all of it only where the host
// is that device.
// defines: BaseSink, read_base, HostBase
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "io/checkpoint_dir.h"
#include "model/weights.h"

namespace concord {

class BaseSink {
 public:
  virtual ~BaseSink() = default;
  // The weight's elements from `begin` on.
  virtual void add(const WeightSpec& weight, int64_t begin, std::span<const float> values) = 0;
  virtual void add(const LinearSpec& linear, const QuantizedMatrix& quantized) = 0;
};

// Hands each sink all weights of weight_layout in their order, in pieces, then each quantized linear layer, in the order of model_linears.
void read_base(Cpu&, const CheckpointDir&, Quantization how, std::initializer_list<BaseSink*> sinks);

// As the CPU computes with it.
struct HostBase : BaseSink {
  std::vector<float> weights;  // of weight_layout
  QuantizedBase quantized;     // the linear layers where the base is quantized, else empty

  HostBase() = default;
  // To be read into.
  HostBase(Cpu&, const ModelConfig& config, Quantization how);
  void add(const WeightSpec& weight, int64_t begin, std::span<const float> values) override;
  void add(const LinearSpec& linear, const QuantizedMatrix& quantized) override;

  WeightViews<const float> views(const ModelConfig& config) const { return weight_views<const float>(config, weights.data(), quantized.views()); }
};

}  // namespace concord
