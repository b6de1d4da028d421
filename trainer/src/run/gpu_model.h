// A trained model's twin on a GPU: the base in bfloat16, what is trained in float and, for products, in bfloat16.
// defines: GpuModel
#pragma once

#include <memory>

#include "lora/dora.h"
#include "optim/adamw.h"
#include "run/gpu_base.h"
#include "run/trained_model.h"

namespace concord {

class GpuModel {
 public:
  // Copies what the model holds, and reads a base that is not trained from its files.
  GpuModel(std::unique_ptr<Cuda> cuda, const Job& job, TrainedModel& model);

  WeightViews<const Bf16> base() const { return base_.views(model_->config); }
  Lora<Cuda, Bf16>* lora() { return lora_.get(); }
  WeightViews<float>* weight_grads() { return lora_ ? nullptr : &grad_views_; }
  float* parameters() { return lora_ ? lora_->values.data() : master_.data(); }
  float* grads() { return lora_ ? lora_->grads.data() : weight_grads_.data(); }
  AdamW<Cuda, float>& optimizer() { return optimizer_; }
  // Due after every change of the parameters.
  void refresh();
  void store();
  void take_over();
  Json description() const;
  int64_t memory_bytes() const;

 private:
  std::unique_ptr<Cuda> cuda_;  // outlives what follows
  int index_;
  TrainedModel* model_;
  GpuBase base_;
  std::unique_ptr<Lora<Cuda, Bf16>> lora_;
  Cuda::Buffer<float> master_, weight_grads_;  // full finetuning only
  WeightViews<float> grad_views_;
  AdamW<Cuda, float> optimizer_;
};

}  // namespace concord
