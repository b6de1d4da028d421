#include "run/loaded_model.h"

#include "io/checkpoint_dir.h"
#include "lora/dora.h"
#include "run/device.h"

namespace concord {

LoadedModel load_model(const std::string& dir, const std::string& adapter) {
  LoadedModel model;
  const CheckpointDir checkpoint = open_checkpoint(dir);
  model.config = checkpoint.config;
  model.weights = load_weights<float>(checkpoint);
  if (!adapter.empty()) {
    model.adapter = make_lora<float>(model.config, read_adapter(adapter, model.config), false);
    Cpu cpu(thread_count());
    refresh_gains(cpu, weight_views<const float>(model.config, model.weights.data()), *model.adapter);
  }
  return model;
}

Groups read_groups_for(const LoadedModel& model, const std::string& path) {
  Groups groups = read_groups(path);
  check_groups_vocab(groups, model.config.vocab_size, path);
  return groups;
}

}  // namespace concord
