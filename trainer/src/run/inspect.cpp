#include <cstdio>

#include "error.h"
#include "io/checkpoint_dir.h"
#include "run/commands.h"

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

int64_t adapter_parameters(const Adapter& adapter) {
  int64_t total = 0;
  for (const LoraModule& module : adapter.modules) total += module.r * (module.in + module.out);
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

Adapter adapter_of(const Job& job, const ModelConfig& config) {
  return job.adapter_name_or_path.empty() ? new_adapter(job.lora, config) : read_adapter(job.adapter_name_or_path, config);
}

}  // namespace

int run_inspect(const std::string& model, const std::string& job_file) {
  const CheckpointDir checkpoint = open_checkpoint(model);
  const int64_t parameters = parameters_of(checkpoint.config);
  Json out = Json::Object{{"model", model}, {"architecture", architecture(checkpoint.config)}, {"parameters", parameters}};
  if (!job_file.empty()) {
    const Job job = read_job(job_file);
    const bool is_full = job.finetuning_type == FinetuningType::full;
    out.set("trainable_parameters", is_full ? parameters : adapter_parameters(adapter_of(job, checkpoint.config)));
  }
  std::printf("%s\n", to_text(out).c_str());
  return 0;
}

}  // namespace concord
