// A base's twin on a GPU: in bfloat16, quantized layers as they are.
// defines: GpuBase
#pragma once

#include <vector>

#include "model/base.h"

namespace concord {

class GpuBase : public BaseSink {
 public:
  GpuBase() = default;
  // To be read into. Throws std::bad_alloc.
  GpuBase(Cuda&, const ModelConfig& config, Quantization how);
  void add(const WeightSpec& weight, int64_t begin, std::span<const float> values) override;
  void add(const LinearSpec& linear, const QuantizedMatrix& quantized) override;

  WeightViews<const Bf16> views(const ModelConfig& config) const { return weight_views<const Bf16>(config, weights_.data(), quantized_); }
  Bf16* weights() { return weights_.data(); }

 private:
  // A copy of numbers that stay as they are; null where there are none.
  template <class V>
  const V* keep(const std::vector<V>& values);

  Cuda* cuda_ = nullptr;
  Cuda::Buffer<Bf16> weights_;
  std::vector<Bf16> rounded_;  // a piece on its way
  std::vector<Cuda::Memory> quantized_memory_;
  QuantizedViews quantized_;
};

}  // namespace concord
