#include "run/gpu_base.h"

#ifdef CONCORD_CUDA

namespace concord {

GpuBase::GpuBase(Cuda& cuda, const ModelConfig& config, Quantization how) : cuda_(&cuda), weights_(weight_layout(config, how).elements) {
  if (how != Quantization::none) quantized_.resize(config.num_hidden_layers);
}

void GpuBase::add(const WeightSpec& weight, int64_t begin, std::span<const float> values) {
  rounded_.resize(values.size());
  for (size_t i = 0; i < values.size(); i++) rounded_[i] = Bf16(values[i]);
  cuda_->write(std::span<const Bf16>(rounded_), weights_.data() + weight.offset + begin);
}

template <class V>
const V* GpuBase::keep(const std::vector<V>& values) {
  if (values.empty()) return nullptr;
  quantized_memory_.push_back(Cuda::allocate(static_cast<int64_t>(values.size() * sizeof(V))));
  V* to = reinterpret_cast<V*>(quantized_memory_.back().get());
  cuda_->write(std::span<const V>(values), to);
  return to;
}

void GpuBase::add(const LinearSpec& linear, const QuantizedMatrix& m) {
  quantized_[linear.layer][static_cast<size_t>(linear.projection)].push_back(
      {m.how, m.rows, m.cols, keep(m.codes), keep(m.scales), keep(m.scale_codes), keep(m.scale_scales), m.scale_mean});
}

}  // namespace concord

#endif
