#include "run/engine.h"

#include <algorithm>

#include "run/gpu_model.h"
#include "run/gradient_sums.h"

namespace concord {
namespace {

// The trained model itself, where its device is the CPU.
class CpuModel {
 public:
  CpuModel(Cpu& cpu, TrainedModel& model) : cpu_(cpu), model_(model) {
    if (!model.lora) grads_ = weight_views<float>(model.config, model.weight_grads.data());
  }

  WeightViews<const float> base() const { return model_.base(); }
  Lora<Cpu, float>* lora() { return model_.lora.get(); }
  WeightViews<float>* weight_grads() { return model_.lora ? nullptr : &grads_; }
  float* parameters() { return model_.parameters(); }
  float* grads() { return model_.grads().data(); }
  AdamW<Cpu, float>& optimizer() { return *model_.optimizer; }
  void refresh() { model_.refresh(cpu_); }
  void store() {}
  void take_over() { refresh(); }
  Json description() const { return Json::Object{{"type", "cpu"}, {"threads", cpu_.threads()}}; }
  int64_t memory_bytes() const { return peak_memory_bytes(); }

 private:
  Cpu& cpu_;
  TrainedModel& model_;
  WeightViews<float> grads_;
};

template <class Device, class T, class Model>
class EngineOn : public Engine {
 public:
  EngineOn(Device& device, Model model, const Job& job, TrainedModel& trained, const MemoryPlan& plan, const std::optional<Adapter>& reference,
           Communicator& ranks)
      : device_(device),
        model_(std::move(model)),
        trained_(trained),
        ranks_(ranks),
        sums_(device, ranks),
        decoder_(device, trained.config, model_.base(), plan.decoder),
        runner_({&decoder_, model_.lora(), model_.weight_grads()}, job, plan.micro_batch_tokens, ranks) {
    if (!reference) return;
    reference_ = make_lora<Device, T>(device, trained.config, *reference, false);
    refresh_gains(device, model_.base(), *reference_);
  }

  StepStats run(const Dataset& data, std::span<const int64_t> groups, const ReferenceLogps& reference, bool learn, int64_t step) override {
    if (learn) ops::fill<float>(device_, 0, Mat<float>(model_.grads(), 1, trained_.trainable()));
    const StepStats stats = runner_.run(data, groups, reference, learn, step);
    if (learn) sums_.add_up(model_.grads(), trained_.grads());
    return stats;
  }
  double gradient_norm() override { return global_norm<Device, float>(device_, model_.grads(), trained_.trainable()); }
  void update(double learning_rate, double grad_scale) override {
    adamw_step(device_, model_.optimizer(), trained_.ranges, learning_rate, grad_scale, model_.parameters(), model_.grads());
    model_.refresh();
  }
  void score_reference(const PackedBatch& batch, std::vector<float>& logps) override {
    decoder_.forward(batch, reference_ ? &*reference_ : nullptr);
    logps.resize(batch.n_rows());
    decoder_.head_logps(logps.data());
  }
  void store() override { model_.store(); }
  void take_over() override { model_.take_over(); }
  Json description() const override {
    Json described = model_.description();
    if (ranks_.size() > 1) described.set("gradients_by", sums_.by());
    return described;
  }
  int64_t memory_bytes() const override { return model_.memory_bytes(); }

 private:
  Device& device_;
  Model model_;
  TrainedModel& trained_;
  Communicator& ranks_;
  GradientSums<Device> sums_;
  Decoder<Device, T> decoder_;
  StepRunner<Device, T> runner_;
  std::optional<Lora<Device, T>> reference_;
};

}  // namespace

const char* numerics_of(const DeviceChoice& device) { return device.cuda ? "cuda-bf16-2" : "cpu-f32-2"; }

std::unique_ptr<Engine> make_engine(const Job& job, Cpu& cpu, TrainedModel& model, const MemoryPlan& plan, const std::optional<Adapter>& reference,
                                    Communicator& ranks) {
#ifdef CONCORD_CUDA
  if (job.device.cuda) {
    auto cuda = std::make_unique<Cuda>(job.device.index);
    Cuda& device = *cuda;
    return std::make_unique<EngineOn<Cuda, Bf16, GpuModel>>(device, GpuModel(std::move(cuda), job, model), job, model, plan, reference, ranks);
  }
#endif
  return std::make_unique<EngineOn<Cpu, float, CpuModel>>(cpu, CpuModel(cpu, model), job, model, plan, reference, ranks);
}

}  // namespace concord
