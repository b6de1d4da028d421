#include "run/loaded_model.h"

#include "io/checkpoint_dir.h"
#include "lora/dora.h"
#include "run/device.h"

namespace concord {

LoadedModel load_model(const std::string& dir, const std::string& adapter, Quantization quantization) {
  LoadedModel model;
  const CheckpointDir checkpoint = open_checkpoint(dir);
  model.config = checkpoint.config;
  const bool quantized = quantization != Quantization::none;
  model.weights = load_weights<float>(checkpoint, weight_layout(model.config, quantized));
  Cpu cpu(thread_count());
  if (quantized) model.nf4 = quantize_base(cpu, checkpoint, quantization == Quantization::nf4_double);
  if (!adapter.empty()) {
    model.adapter = make_lora<float>(model.config, read_adapter(adapter, model.config), false);
    refresh_gains(cpu, model.base(), *model.adapter);
  }
  return model;
}

Groups read_groups_for(const LoadedModel& model, const std::string& path) {
  Groups groups = read_groups(path);
  check_groups_vocab(groups, model.config.vocab_size, path);
  return groups;
}

}  // namespace concord
