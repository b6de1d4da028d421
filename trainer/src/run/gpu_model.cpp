#include "run/gpu_model.h"

#ifdef CONCORD_CUDA

#include <utility>

namespace concord {

GpuModel::GpuModel(std::unique_ptr<Cuda> cuda, const Job& job, TrainedModel& model)
    : cuda_(std::move(cuda)), index_(job.device.index), model_(&model), base_(*cuda_, model.config, job.quantization), optimizer_(model.optimizer->options, model.trainable()) {
  if (model.lora) {
    model.read_base(job, base_);
    lora_ = std::make_unique<Lora<Cuda, Bf16>>(make_lora<Cuda, Bf16>(*cuda_, model.config, to_adapter(*model.lora), true));
  } else {
    master_ = Cuda::Buffer<float>(model.trainable());
    weight_grads_ = Cuda::Buffer<float>(model.trainable());
    grad_views_ = weight_views<float>(model.config, weight_grads_.data());
  }
  take_over();
  if (model.magnitudes_due) {
    start_magnitudes(*cuda_, base(), *lora_);
    model.magnitudes_due = false;
    store();
  }
}

void GpuModel::refresh() {
  if (lora_) {
    round_values(*cuda_, *lora_);
    refresh_gains(*cuda_, base(), *lora_);
  } else {
    ops::round<Bf16>(*cuda_, model_->trainable(), master_.data(), base_.weights());
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
