// The numbers a run trains, and how they go to disk.
// defines: TrainedModel
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lora/dora.h"
#include "model/base.h"
#include "optim/adamw.h"
#include "run/checkpoint.h"
#include "run/job.h"

namespace concord {

struct TrainedModel {
  ModelConfig config;
  Json config_json;
  WeightLayout layout;               // of `weights`
  std::vector<DType> dtypes;         // of each weight in the base, kept when a full checkpoint is written
  std::optional<CheckpointDir> base_files; // until the base is read
  std::string base_sample, base_key; // of BaseHash, once it is
  std::vector<float> weights;        // of layout; empty where a GPU alone holds the base
  QuantizedBase quantized;           // the linear layers where the job says so, else empty; as above
  int64_t base_parameters = 0;
  std::vector<float> weight_grads;   // full finetuning only
  std::unique_ptr<Lora<Cpu, float>> lora; // LoRA only
  bool magnitudes_due = false;       // of a new DoRA adapter: they are its rows' norms, which whoever holds the base computes
  std::unique_ptr<AdamW<Cpu, float>> optimizer;
  std::vector<ParameterRange> ranges;

  // Opens the base and, for LoRA, reads the adapter to start from or makes a new one. Reads the base too, unless it is for a GPU alone.
  explicit TrainedModel(const Job& job);
  // The base, once.
  void read_base(const Job& job, BaseSink& to);

  int64_t trainable() const { return lora ? static_cast<int64_t>(lora->values.size()) : layout.elements; }
  float* parameters() { return lora ? lora->values.data() : weights.data(); }
  std::vector<float>& grads() { return lora ? lora->grads : weight_grads; }
  bool dora() const { return lora && lora->config.use_dora; }
  WeightViews<const float> base() const { return weight_views<const float>(config, weights.data(), quantized.views()); }
  // Due after every change of the parameters, loading them included.
  void refresh(Cpu& cpu) {
    if (lora) refresh_gains(cpu, base(), *lora);
  }
  int64_t lora_ranks() const { return lora ? ranks_max(*lora) : 0; }  // DecoderPlan::lora_ranks

  // Gradients and moments; apart from the constructor so that memory is planned before it is taken.
  void allocate_training_state(const Job& job);

  // What others load: adapter/ (PEFT) or model/ (Hugging Face layout, in the base's dtypes). Returns the folder.
  std::string save_result(const std::string& output_dir) const;
  // What resuming loads: the parameters in float32 and the optimizer's moments.
  void save_state(const std::string& dir, const Json& values) const;
  // Returns `values`; Failure(2) where the state is of another model or adapter.
  Json load_state(const std::string& dir);
  // Only the parameters of a checkpoint (load_best_model_at_end).
  void load_parameters(const std::string& dir);

 private:
  void take_adapter(const Job& job);
};

}  // namespace concord
