#include "run/job_keys.h"

#include <algorithm>
#include <numeric>

namespace concord {
namespace {

const std::vector<std::string> keys = {
    "model_name_or_path", "train_file", "output_dir", "adapter_name_or_path", "reference_adapter", "eval_file", "device", "objective",
    "finetuning_type", "loss_type", "beta", "label_smoothing", "rpo_alpha", "simpo_gamma", "desirable_weight", "undesirable_weight",
    "discopop_tau", "r", "lora_alpha", "lora_dropout", "target_modules", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora",
    "loraplus_lr_ratio", "load_in_4bit", "bnb_4bit_use_double_quant", "load_in_fp8", "learning_rate", "lr_scheduler_type",
    "lr_scheduler_kwargs", "warmup_ratio", "warmup_steps", "adam_beta1", "adam_beta2", "adam_epsilon", "weight_decay", "max_grad_norm", "num_train_epochs", "max_steps",
    "groups_per_step", "micro_batch_tokens", "max_length", "truncation_mode", "gradient_checkpointing", "eval_steps", "save_steps",
    "save_total_limit", "early_stopping_patience", "load_best_model_at_end", "seed", "shuffle", "resume_from_checkpoint"};

// What other trainers call the same thing.
const std::pair<const char*, const char*> other_names[] = {
    {"lora_r", "r"}, {"lora_rank", "r"}, {"rank", "r"}, {"lr", "learning_rate"}, {"epochs", "num_train_epochs"},
    {"model", "model_name_or_path"}, {"adapter", "adapter_name_or_path"}, {"batch_size", "groups_per_step"},
    {"per_device_train_batch_size", "groups_per_step"}, {"lora_target", "target_modules"}, {"stage", "objective"},
    {"cutoff_len", "max_length"}, {"ref_adapter_name", "reference_adapter"}, {"scheduler", "lr_scheduler_type"}};

// Edits (insert, delete, replace, swap neighbours) between two words.
size_t edit_distance(const std::string& x, const std::string& y) {
  std::vector<size_t> before, above(y.size() + 1), row(y.size() + 1);  // the last two rows and this one
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= x.size(); i++) {
    row[0] = i;
    for (size_t j = 1; j <= y.size(); j++) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (x[i - 1] != y[j - 1])});
      const bool swapped = i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above.back();
}

std::string suggestion(const std::string& key) {
  for (const auto& [other, ours] : other_names)
    if (key == other) return ours;
  return nearest_name(key, keys);
}

}  // namespace

std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates) {
  if (word.size() > 64) return "";  // no name is that long, and the distance costs its square
  std::string best;
  size_t best_distance = 1 + std::min<size_t>(3, word.size() / 3);
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

void check_job_keys(const JsonAt& job) {
  for (const auto& [key, value] : job.object()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    const std::string near = suggestion(key);
    JsonAt{&value, job.file, in_quotes(key)}.refuse("is no key of a job" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
}

}  // namespace concord
