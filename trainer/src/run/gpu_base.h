// A base's twin on a GPU: in bfloat16, quantized layers as they are.
// defines: GpuBase
#pragma once

#include <vector>

#include "model/weights.h"

namespace concord {

class GpuBase {
 public:
  GpuBase() = default;
  // Copies; `weights` are of weight_layout, without linear layers where those are quantized. Throws std::bad_alloc.
  GpuBase(Cuda&, std::span<const float> weights, const QuantizedBase& quantized);

  WeightViews<const Bf16> views(const ModelConfig& config) const { return weight_views<const Bf16>(config, weights_.data(), quantized_); }
  Bf16* weights() { return weights_.data(); }

 private:
  void copy_weights(Cuda&, std::span<const float> weights);
  void copy_quantized(Cuda&, const QuantizedBase& quantized);
  // A copy of numbers that stay as they are; null where there are none.
  template <class V>
  const V* keep(Cuda&, const std::vector<V>& values);

  Cuda::Buffer<Bf16> weights_;
  std::vector<Cuda::Memory> quantized_memory_;
  QuantizedViews quantized_;
};

}  // namespace concord
