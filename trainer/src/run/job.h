// The job of `train`: every key of the contract, its default and its range.
// defines: Job, parse_job, read_job, job_json
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/adapter.h"
#include "io/json.h"
#include "loss/loss_type.h"
#include "ops/quantized.h"
#include "run/device_choice.h"

namespace concord {

enum class Objective { sft, dpo };
enum class FinetuningType { lora, full };
enum class SchedulerType { linear, cosine, cosine_with_min_lr, constant, constant_with_warmup };  // as transformers; constant has no warmup
enum class TruncationMode { drop, keep_start, keep_end };

struct Job {
  std::string file;  // the job file's path, for messages

  std::string model_name_or_path;
  std::string train_file;
  std::string output_dir;
  std::string adapter_name_or_path;  // empty: none
  std::string reference_adapter;     // empty: none (the base with the adapter off)
  std::string eval_file;             // empty: none

  DeviceChoice device;               // of training

  Objective objective = Objective::sft;
  FinetuningType finetuning_type = FinetuningType::lora;
  LossOptions loss;  // of objective dpo

  AdapterConfig lora;  // r, lora_alpha, lora_dropout, target_modules, patterns, use_rslora; of a new adapter
  Quantization quantization = Quantization::none;  // of the base's linear layers: load_in_4bit, bnb_4bit_use_double_quant, load_in_fp8
  std::optional<double> loraplus_lr_ratio;  // B's learning rate over A's

  double learning_rate = 0;  // resolved by objective and finetuning_type
  SchedulerType lr_scheduler_type = SchedulerType::linear;
  std::optional<double> min_lr, min_lr_rate;  // of cosine_with_min_lr, one of them: the lowest rate, or its share of learning_rate
  double warmup_ratio = 0;                  // of all steps, rounded up; used if warmup_steps is not given
  std::optional<int64_t> warmup_steps;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8, weight_decay = 0;
  double max_grad_norm = 1.0;               // 0: no clipping

  double num_train_epochs = 1;
  std::optional<int64_t> max_steps;
  int64_t groups_per_step = 8;
  int64_t micro_batch_tokens = 0;           // 0: auto
  int64_t max_length = 0;                   // 0: the model's max_position_embeddings
  TruncationMode truncation_mode = TruncationMode::drop;

  std::optional<bool> gradient_checkpointing;  // of all layers; absent: auto, of as many as the plan chooses

  std::optional<int64_t> eval_steps, save_steps;
  int64_t save_total_limit = 2;             // 0: keep all
  std::optional<int64_t> early_stopping_patience;
  bool load_best_model_at_end = false;

  int64_t seed = 42;
  bool shuffle = true;
  std::string resume_from_checkpoint;       // empty: none; "auto" or a checkpoint folder

  Signal signal() const { return objective == Objective::sft ? Signal::completions : loss_spec(loss.type).signal; }
  bool needs_reference() const { return objective == Objective::dpo && loss_spec(loss.type).reference; }
};

Job parse_job(const Json& json, const std::string& file);
Job read_job(const std::string& path);
Json job_json(const Job& job);  // with every default filled in, for the start event

}  // namespace concord
