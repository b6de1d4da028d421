// One step without an update: a model, the loss over all groups of a file, and its gradients.
#pragma once

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "check.h"
#include "run/memory.h"
#include "run/reference.h"
#include "run/step.h"
#include "run/trained_model.h"
#include "temp_dir.h"

struct Pass {
  TempDir dir;
  concord::Job job;
  concord::Cpu cpu;
  int64_t available;  // memory that is planned with
  concord::TrainedModel model;
  concord::Dataset data;
  std::optional<concord::Lora<concord::Cpu, float>> reference_lora;
  concord::ReferenceLogps reference;  // of reference_adapter, else of the base
  concord::StepStats stats;

  // `job` lacks output_dir; micro_batch_tokens and gradient_checkpointing are as it says.
  explicit Pass(const concord::Json& members, int threads = 0, int64_t available_bytes = INT64_MAX)
      : job(parse(members)), cpu(threads), available(available_bytes), model(job) {
    data = concord::load_dataset(job.train_file, job.signal(), job.truncation_mode, resolve_max_length(job, model.config),
                                 model.config);
    model.allocate_training_state(job);
    if (job.needs_reference()) {
      if (!job.reference_adapter.empty())
        reference_lora = concord::make_lora<concord::Cpu, float>(cpu, model.config, concord::read_adapter(job.reference_adapter, model.config), false);
      const concord::MemoryPlan planned = plan();
      concord::Decoder<concord::Cpu, float> decoder(cpu, model.config, model.base(), planned.decoder);
      concord::ReferenceCache cache{"", (dir / "reference.safetensors"), {}, false};
      const auto scorer = [&](const concord::PackedBatch& batch, std::vector<float>& logps) {
        decoder.forward(batch, reference_lora ? &*reference_lora : nullptr);
        logps.resize(batch.n_rows());
        decoder.head_logps(logps.data());
      };
      compute_reference(cache, data, scorer, planned.micro_batch_tokens);
      reference = cache.logps;
    }
    stats = run(true);
  }

  // The loss at the parameters as they stand; with `learn` its gradients are added.
  concord::StepStats run(bool learn) {
    const concord::MemoryPlan planned = plan();
    concord::Decoder<concord::Cpu, float> decoder(cpu, model.config, model.base(), planned.decoder);
    const bool full = job.finetuning_type == concord::FinetuningType::full;
    concord::WeightViews<float> grads;
    if (full) grads = concord::weight_views<float>(model.config, model.weight_grads.data());
    std::vector<int64_t> all(data.groups.size());
    std::iota(all.begin(), all.end(), int64_t{0});
    concord::StepRunner<concord::Cpu, float> runner({&decoder, model.lora.get(), full ? &grads : nullptr}, job, planned.micro_batch_tokens);
    return runner.run(data, all, reference, learn);
  }

  concord::MemoryPlan plan() const {
    concord::MemoryNeed need{model.layout.elements, model.trainable(), 0, 0, model.lora_ranks(), model.dora(), cpu.threads()};
    need.quantized_bytes = model.quantized.bytes();
    need.cover(data);
    if (reference_lora) need.lora_ranks = std::max(need.lora_ranks, ranks_max(*reference_lora));
    return plan_memory(job, model.config, need, available);
  }

  double grad_norm() { return global_norm(cpu, model.grads().data(), model.trainable()); }

 private:
  concord::Job parse(concord::Json members) {
    members.set("output_dir", dir / "out");
    return concord::parse_job(members, "job.json");
  }
};

// Relative to the largest value of the tensor: single entries may be near zero.
inline void check_close(const std::string& what, const std::vector<float>& got, const std::vector<float>& want, double tolerance) {
  CHECK_EQ(got.size(), want.size());
  double scale = 0, worst = 0;
  for (size_t i = 0; i < want.size(); i++) {
    scale = std::max(scale, std::abs(static_cast<double>(want[i])));
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want[i]));
  }
  if (!(worst <= tolerance * scale)) throw std::runtime_error(what + " is off by " + std::to_string(worst / scale) + " of its largest value");
}
