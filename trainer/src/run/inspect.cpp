#include <cstdio>
#include <filesystem>

#include "error.h"
#include "io/checkpoint_dir.h"
#include "lora/lora.h"
#include "run/commands.h"
#include "run/dataset.h"
#include "run/device.h"
#include "run/memory.h"

namespace concord {
namespace {

int64_t parameters_of(const ModelConfig& config) {
  int64_t total = 0;
  for (const TensorSpec& spec : model_tensors(config)) {
    int64_t count = 1;
    for (const int64_t dim : spec.shape) count *= dim;
    total += count;
  }
  return total;
}

Json architecture(const ModelConfig& config) {
  return Json::Object{{"model_type", config.model_type},
                      {"hidden_size", config.hidden_size},
                      {"intermediate_size", config.intermediate_size},
                      {"num_hidden_layers", config.num_hidden_layers},
                      {"num_attention_heads", config.num_attention_heads},
                      {"num_key_value_heads", config.num_key_value_heads},
                      {"head_dim", config.head_dim},
                      {"vocab_size", config.vocab_size},
                      {"max_position_embeddings", config.max_position_embeddings},
                      {"tie_word_embeddings", config.tie_word_embeddings},
                      {"dtype", config.dtype}};
}

// What `train` would plan, without loading the weights.
void append_job(Json& out, const Job& job, const ModelConfig& config, int64_t parameters) {
  Cpu cpu(thread_count());
  MemoryNeed need{parameters, parameters, 0, 0, 0, false, cpu.threads()};
  need.cuda = job.device.cuda;
  if (job.quantization != Quantization::none) {
    need.weights = weight_layout(config, job.quantization).elements;
    need.quantized_bytes = quantized_base_bytes(config, job.quantization);
  }
  if (job.finetuning_type == FinetuningType::lora) {
    const Adapter adapter =
        job.adapter_name_or_path.empty() ? new_adapter(job.lora, config) : read_adapter(job.adapter_name_or_path, config);
    const Lora<Cpu, float> lora = make_lora<Cpu, float>(cpu, config, adapter, false);
    need.trainable = static_cast<int64_t>(lora.values.size());
    need.lora_ranks = ranks_max(lora);
    need.dora = adapter.config.use_dora;
  }
  if (!job.reference_adapter.empty()) {
    const Lora<Cpu, float> reference = make_lora<Cpu, float>(cpu, config, read_adapter(job.reference_adapter, config), false);
    need.lora_ranks = std::max(need.lora_ranks, ranks_max(reference));
  }
  const int64_t max_length = resolve_max_length(job, config);
  for (const std::string& file : {job.train_file, job.eval_file})
    if (!file.empty()) need.cover(load_dataset(file, job.signal(), job.truncation_mode, max_length, config));
  out.set("trainable_parameters", need.trainable);
  out.set("memory", memory_json(plan_memory(job, config, need, available_memory_bytes(job.device))));
}

void check_same_model(const Job& job, const std::string& model) {
  std::error_code error;
  if (!std::filesystem::equivalent(job.model_name_or_path, model, error))
    bad_input(job.file + ": model_name_or_path is " + in_quotes(job.model_name_or_path) + ", but --model is " + in_quotes(model));
}

}  // namespace

int run_inspect(const std::string& model, const std::string& job_file) {
  const CheckpointDir checkpoint = open_checkpoint(model);
  const int64_t parameters = parameters_of(checkpoint.config);
  Json out = Json::Object{{"model", model}, {"architecture", architecture(checkpoint.config)}, {"parameters", parameters}};
  if (!job_file.empty()) {
    Job job = read_job(job_file);
    job.device = resolve_device(job.device);
    check_same_model(job, model);
    append_job(out, job, checkpoint.config, parameters);
  }
  std::printf("%s\n", to_text(out).c_str());
  return 0;
}

}  // namespace concord
