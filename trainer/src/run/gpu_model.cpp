#include "run/gpu_model.h"

#ifdef CONCORD_CUDA

#include <algorithm>
#include <utility>

namespace concord {
namespace {

constexpr int64_t kPiece = 1 << 22;  // weights rounded at a time on the host

}  // namespace

GpuModel::GpuModel(std::unique_ptr<Cuda> cuda, int index, TrainedModel& model)
    : cuda_(std::move(cuda)), index_(index), model_(&model), optimizer_(model.optimizer->options, model.trainable()) {
  copy_base();
  copy_quantized();
  base_ = weight_views<const Bf16>(model.config, weights_.data(), quantized_);
  if (model.lora) {
    lora_ = std::make_unique<Lora<Cuda, Bf16>>(make_lora<Cuda, Bf16>(*cuda_, model.config, to_adapter(*model.lora), true));
    model.weights = {};
    model.quantized = {};
  } else {
    master_ = Cuda::Buffer<float>(model.trainable());
    weight_grads_ = Cuda::Buffer<float>(model.trainable());
    grad_views_ = weight_views<float>(model.config, weight_grads_.data());
  }
  take_over();
}

void GpuModel::copy_base() {
  const auto n = static_cast<int64_t>(model_->weights.size());
  weights_ = Cuda::Buffer<Bf16>(n);
  std::vector<Bf16> piece;
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t end = std::min(begin + kPiece, n);
    piece.clear();
    for (int64_t i = begin; i < end; i++) piece.emplace_back(model_->weights[i]);
    cuda_->write(std::span<const Bf16>(piece), weights_.data() + begin);
  }
}

template <class V>
const V* GpuModel::keep(const V* host, int64_t n) {
  if (n == 0) return nullptr;
  quantized_memory_.push_back(Cuda::allocate(n * static_cast<int64_t>(sizeof(V))));
  V* to = reinterpret_cast<V*>(quantized_memory_.back().get());
  cuda_->write(std::span<const V>(host, n), to);
  return to;
}

void GpuModel::copy_quantized() {
  const auto keep_all = [&](const auto& values) { return keep(values.data(), static_cast<int64_t>(values.size())); };
  quantized_.resize(model_->quantized.layers.size());
  for (size_t l = 0; l < quantized_.size(); l++)
    for (size_t p = 0; p < quantized_[l].size(); p++)
      for (const QuantizedMatrix& m : model_->quantized.layers[l][p])
        quantized_[l][p].push_back({m.how, m.rows, m.cols, keep_all(m.codes), keep_all(m.scales), keep_all(m.scale_codes), keep_all(m.scale_scales), m.scale_mean});
}

void GpuModel::refresh() {
  if (lora_) {
    round_values(*cuda_, *lora_);
    refresh_gains(*cuda_, base_, *lora_);
  } else {
    ops::round<Bf16>(*cuda_, model_->trainable(), master_.data(), weights_.data());
  }
}

void GpuModel::store() {
  const int64_t n = model_->trainable();
  cuda_->fetch(parameters(), model_->parameters(), n);
  cuda_->fetch(optimizer_.m.data(), model_->optimizer->m.data(), n);
  cuda_->fetch(optimizer_.v.data(), model_->optimizer->v.data(), n);
  model_->optimizer->steps = optimizer_.steps;
}

void GpuModel::take_over() {
  const auto n = static_cast<size_t>(model_->trainable());
  cuda_->write(std::span<const float>(model_->parameters(), n), parameters());
  cuda_->write(std::span<const float>(model_->optimizer->m), optimizer_.m.data());
  cuda_->write(std::span<const float>(model_->optimizer->v), optimizer_.v.data());
  optimizer_.steps = model_->optimizer->steps;
  refresh();
}

int64_t GpuModel::memory_bytes() const {
  const Cuda::Description gpu = Cuda::describe(index_);
  return gpu.memory_bytes - gpu.free_bytes;  // nothing is taken after the first step
}

Json GpuModel::description() const {
  const Cuda::Description gpu = Cuda::describe(index_);
  return Json::Object{{"type", "cuda"}, {"name", gpu.name}, {"memory_bytes", gpu.memory_bytes}, {"compute_capability", std::to_string(gpu.major) + "." + std::to_string(gpu.minor)}};
}

}  // namespace concord

#endif
