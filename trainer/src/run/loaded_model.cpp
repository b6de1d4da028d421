#include "run/loaded_model.h"

#include "io/checkpoint_dir.h"
#include "lora/dora.h"
#include "run/device.h"

namespace concord {

LoadedModel load_model(const std::string& dir, const std::string& adapter, Quantization quantization) {
  LoadedModel model;
  const CheckpointDir checkpoint = open_checkpoint(dir);
  model.config = checkpoint.config;
  model.weights = load_weights<float>(checkpoint, weight_layout(model.config, quantization));
  if (quantization != Quantization::none) {
    Cpu cpu(thread_count());
    model.quantized = quantize_base(cpu, checkpoint, quantization);
  }
  if (!adapter.empty()) model.adapter = load_adapter(adapter, model);
  return model;
}

std::shared_ptr<const Lora<Cpu, float>> load_adapter(const std::string& dir, const LoadedModel& model) {
  Cpu cpu(thread_count());
  auto lora = std::make_shared<Lora<Cpu, float>>(make_lora<Cpu, float>(cpu, model.config, read_adapter(dir, model.config), false));
  refresh_gains(cpu, model.base(), *lora);
  return lora;
}

Groups read_groups_for(const LoadedModel& model, const std::string& path) {
  Groups groups = read_groups(path);
  check_groups_vocab(groups, model.config.vocab_size, path);
  return groups;
}

}  // namespace concord
