#include "run/job.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "io/files.h"
#include "io/limits.h"
#include "run/job_keys.h"
#include "run/job_loss.h"
#include "run/job_schedule.h"
#include "run/job_values.h"

namespace concord {
namespace {

// Where dropout would not be what its name says.
void check_dropout(const JsonAt& at, const Job& job) {
  if (job.lora.lora_dropout == 0) return;
  if (job.lora.lora_dropout < 0x1p-16) at.refuse("is below 2^-16, the smallest rate");
  if (job.lora.use_dora) at.refuse("is not supported with use_dora");
}

std::optional<bool> read_checkpointing(const JsonAt& at) {
  if (!given(at) || (at.json->is_string() && at.string() == "auto")) return std::nullopt;
  if (!at.json->is_bool()) at.refuse("must be true, false or \"auto\"");
  return at.boolean();
}

void read_files(const JsonAt& at, Job& job) {
  job.model_name_or_path = path_of(at["model_name_or_path"]);
  job.train_file = path_of(at["train_file"]);
  job.output_dir = path_of(at["output_dir"]);
  if (given(at["adapter_name_or_path"])) job.adapter_name_or_path = path_of(at["adapter_name_or_path"]);
  if (given(at["reference_adapter"])) job.reference_adapter = path_of(at["reference_adapter"]);
  if (given(at["eval_file"])) job.eval_file = path_of(at["eval_file"]);
  if (at["device"]) job.device = parse_device(at["device"].string(), at.file + ": device");
  if (given(at["resume_from_checkpoint"])) job.resume_from_checkpoint = path_of(at["resume_from_checkpoint"]);
}

void read_lora(const JsonAt& at, Job& job) {
  if (at["finetuning_type"])
    job.finetuning_type = choice<FinetuningType>(at["finetuning_type"], {{"lora", FinetuningType::lora}, {"full", FinetuningType::full}});
  if (job.finetuning_type == FinetuningType::full)
    refuse_unused(at, "by finetuning_type full",
                  {"adapter_name_or_path", "r", "lora_alpha", "lora_dropout", "target_modules", "rank_pattern", "alpha_pattern",
                   "use_rslora", "use_dora", "loraplus_lr_ratio"});
  if (!job.adapter_name_or_path.empty())
    refuse_unused(at, "with adapter_name_or_path: it comes from that adapter",
                  {"r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora"});
  // PEFT's adapter_config.json may hold nulls, a job may not.
  for (const char* name : {"use_rslora", "use_dora"})
    if (at[name]) (void)at[name].boolean();
  read_lora_options(at, job.lora);
  if (!given(at["target_modules"])) {
    job.lora.all_linear = true;
    job.lora.target_modules.clear();
  }
  check_dropout(at["lora_dropout"], job);
  job.lora.base_model_name_or_path = job.model_name_or_path;
  if (given(at["loraplus_lr_ratio"])) {
    job.loraplus_lr_ratio = at["loraplus_lr_ratio"].number(0, 1e6);
    require_above(at["loraplus_lr_ratio"], *job.loraplus_lr_ratio, 0);
  }
}

void read_quantization(const JsonAt& at, Job& job) {
  bool nf4 = false, double_quant = false, fp8 = false;
  read(at["load_in_4bit"], nf4);
  read(at["bnb_4bit_use_double_quant"], double_quant);
  read(at["load_in_fp8"], fp8);
  if (double_quant && !nf4) at["bnb_4bit_use_double_quant"].refuse("needs load_in_4bit");
  if (nf4 && fp8) at["load_in_fp8"].refuse("and load_in_4bit exclude each other");
  if ((nf4 || fp8) && job.finetuning_type == FinetuningType::full)
    at[nf4 ? "load_in_4bit" : "load_in_fp8"].refuse("needs finetuning_type lora: quantized weights are frozen");
  if (nf4) job.quantization = double_quant ? Quantization::nf4_double : Quantization::nf4;
  if (fp8) job.quantization = Quantization::fp8;
}

double default_learning_rate(const Job& job) {
  if (job.objective == Objective::dpo) return 1e-5;
  return job.finetuning_type == FinetuningType::full ? 2e-5 : 2e-4;
}

void read_optimizer(const JsonAt& at, Job& job) {
  job.learning_rate = default_learning_rate(job);
  read(at["learning_rate"], job.learning_rate, 0, 10);
  require_above(at["learning_rate"], job.learning_rate, 0);
  read_schedule(at, job);
  read(at["adam_beta1"], job.adam_beta1, 0, 1);
  require_below(at["adam_beta1"], job.adam_beta1, 1);
  read(at["adam_beta2"], job.adam_beta2, 0, 1);
  require_below(at["adam_beta2"], job.adam_beta2, 1);
  read(at["adam_epsilon"], job.adam_epsilon, 0, 1);
  require_above(at["adam_epsilon"], job.adam_epsilon, 0);
  read(at["weight_decay"], job.weight_decay, 0, 100);
  read(at["max_grad_norm"], job.max_grad_norm, 0, 1e9);
}

void read_batches(const JsonAt& at, Job& job) {
  read(at["num_train_epochs"], job.num_train_epochs, 0, 10'000);
  require_above(at["num_train_epochs"], job.num_train_epochs, 0);
  read(at["max_steps"], job.max_steps, 1, steps_max);
  read(at["groups_per_step"], job.groups_per_step, 1, 1'000'000);
  const JsonAt micro = at["micro_batch_tokens"];
  if (micro && !(micro.json->is_string() && micro.string() == "auto")) {
    if (!micro.json->is_integer()) micro.refuse("must be an integer or \"auto\"");
    job.micro_batch_tokens = micro.integer(1, limits::positions_max);
  }
  job.gradient_checkpointing = read_checkpointing(at["gradient_checkpointing"]);
  if (given(at["max_length"])) read(at["max_length"], job.max_length, 1, limits::positions_max);
  if (at["truncation_mode"])
    job.truncation_mode = choice<TruncationMode>(
        at["truncation_mode"],
        {{"drop", TruncationMode::drop}, {"keep_start", TruncationMode::keep_start}, {"keep_end", TruncationMode::keep_end}});
  read(at["seed"], job.seed, 0, INT64_MAX);
  read(at["shuffle"], job.shuffle);
}

void read_saving(const JsonAt& at, Job& job) {
  read(at["eval_steps"], job.eval_steps, 1, steps_max);
  read(at["save_steps"], job.save_steps, 1, steps_max);
  if (at["save_total_limit"]) job.save_total_limit = at["save_total_limit"].is_null() ? 0 : at["save_total_limit"].integer(1, 1000);
  read(at["early_stopping_patience"], job.early_stopping_patience, 1, steps_max);
  read(at["load_best_model_at_end"], job.load_best_model_at_end);
  if (job.eval_steps && job.eval_file.empty()) at["eval_steps"].refuse("needs eval_file");
  if (job.early_stopping_patience && !job.eval_steps) at["early_stopping_patience"].refuse("needs eval_file and eval_steps");
  if (job.load_best_model_at_end && !job.eval_steps) at["load_best_model_at_end"].refuse("needs eval_file and eval_steps");
}

const char* text_of(TruncationMode mode) {
  switch (mode) {
    case TruncationMode::drop: return "drop";
    case TruncationMode::keep_start: return "keep_start";
    case TruncationMode::keep_end: return "keep_end";
  }
  return "";
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }
Json or_null(const std::optional<int64_t>& n) { return n ? Json(*n) : Json(); }

}  // namespace

Job parse_job(const Json& json, const std::string& file) {
  const JsonAt at{&json, file, ""};
  check_job_keys(at);
  Job job;
  job.file = file;
  read_loss(at, job);  // first: an option without effect is refused as that, whatever its type
  read_files(at, job);
  read_lora(at, job);
  read_quantization(at, job);
  read_optimizer(at, job);
  read_batches(at, job);
  read_saving(at, job);
  return job;
}

Job read_job(const std::string& path) {
  return parse_job(parse_json(read_file(path, limits::config_bytes_max).text(), path), path);
}

Json job_json(const Job& job) {
  const bool is_lora = job.finetuning_type == FinetuningType::lora;
  Json out = Json::Object{{"model_name_or_path", job.model_name_or_path},
                          {"train_file", job.train_file},
                          {"output_dir", job.output_dir},
                          {"adapter_name_or_path", or_null(job.adapter_name_or_path)},
                          {"eval_file", or_null(job.eval_file)},
                          {"device", job.device.name()},
                          {"objective", job.objective == Objective::dpo ? "dpo" : "sft"},
                          {"finetuning_type", is_lora ? "lora" : "full"}};
  add_loss(job, out);
  if (is_lora && job.adapter_name_or_path.empty()) {
    const Json lora = adapter_config_json(job.lora);
    for (const char* key : {"r", "lora_alpha", "lora_dropout", "target_modules", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora"})
      out.set(key, *lora.find(key));
  }
  if (is_lora) {
    out.set("load_in_4bit", job.quantization == Quantization::nf4 || job.quantization == Quantization::nf4_double);
    out.set("bnb_4bit_use_double_quant", job.quantization == Quantization::nf4_double);
    out.set("load_in_fp8", job.quantization == Quantization::fp8);
  }
  if (job.loraplus_lr_ratio) out.set("loraplus_lr_ratio", *job.loraplus_lr_ratio);
  out.set("learning_rate", job.learning_rate);
  add_schedule(job, out);
  out.set("adam_beta1", job.adam_beta1);
  out.set("adam_beta2", job.adam_beta2);
  out.set("adam_epsilon", job.adam_epsilon);
  out.set("weight_decay", job.weight_decay);
  out.set("max_grad_norm", job.max_grad_norm);
  out.set("num_train_epochs", job.num_train_epochs);
  out.set("max_steps", or_null(job.max_steps));
  out.set("groups_per_step", job.groups_per_step);
  out.set("micro_batch_tokens", job.micro_batch_tokens ? Json(job.micro_batch_tokens) : Json("auto"));
  out.set("max_length", job.max_length ? Json(job.max_length) : Json());
  out.set("truncation_mode", text_of(job.truncation_mode));
  out.set("gradient_checkpointing", job.gradient_checkpointing ? Json(*job.gradient_checkpointing) : Json("auto"));
  out.set("eval_steps", or_null(job.eval_steps));
  out.set("save_steps", or_null(job.save_steps));
  out.set("save_total_limit", job.save_total_limit ? Json(job.save_total_limit) : Json());
  out.set("early_stopping_patience", or_null(job.early_stopping_patience));
  out.set("load_best_model_at_end", job.load_best_model_at_end);
  out.set("seed", job.seed);
  out.set("shuffle", job.shuffle);
  out.set("resume_from_checkpoint", or_null(job.resume_from_checkpoint));
  return out;
}

}  // namespace concord
