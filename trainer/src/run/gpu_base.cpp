#include "run/gpu_base.h"

#ifdef CONCORD_CUDA

#include <algorithm>

namespace concord {
namespace {

constexpr int64_t kPiece = 1 << 22;  // weights rounded at a time on the host

}  // namespace

GpuBase::GpuBase(Cuda& cuda, std::span<const float> weights, const QuantizedBase& quantized) : weights_(static_cast<int64_t>(weights.size())) {
  copy_weights(cuda, weights);
  copy_quantized(cuda, quantized);
}

void GpuBase::copy_weights(Cuda& cuda, std::span<const float> weights) {
  const auto n = static_cast<int64_t>(weights.size());
  std::vector<Bf16> piece;
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t end = std::min(begin + kPiece, n);
    piece.clear();
    for (int64_t i = begin; i < end; i++) piece.emplace_back(weights[i]);
    cuda.write(std::span<const Bf16>(piece), weights_.data() + begin);
  }
}

template <class V>
const V* GpuBase::keep(Cuda& cuda, const std::vector<V>& values) {
  if (values.empty()) return nullptr;
  quantized_memory_.push_back(Cuda::allocate(static_cast<int64_t>(values.size() * sizeof(V))));
  V* to = reinterpret_cast<V*>(quantized_memory_.back().get());
  cuda.write(std::span<const V>(values), to);
  return to;
}

void GpuBase::copy_quantized(Cuda& cuda, const QuantizedBase& quantized) {
  quantized_.resize(quantized.layers.size());
  for (size_t l = 0; l < quantized_.size(); l++)
    for (size_t p = 0; p < quantized_[l].size(); p++)
      for (const QuantizedMatrix& m : quantized.layers[l][p])
        quantized_[l][p].push_back({m.how, m.rows, m.cols, keep(cuda, m.codes), keep(cuda, m.scales), keep(cuda, m.scale_codes), keep(cuda, m.scale_scales), m.scale_mean});
}

}  // namespace concord

#endif
