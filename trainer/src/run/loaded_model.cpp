#include "run/loaded_model.h"

#include "io/checkpoint_dir.h"
#include "lora/dora.h"
#include "run/device.h"

namespace concord {

template <class Device, class T>
LoadedModel<Device, T> load_model(Device& device, const std::string& dir, const std::string& adapter, Quantization quantization) {
  LoadedModel<Device, T> model;
  const CheckpointDir checkpoint = open_checkpoint(dir);
  model.config = checkpoint.config;
  model.quantized = quantization != Quantization::none;
  model.weights = Base<Device>(device, checkpoint.config, quantization);
  Cpu cpu(thread_count());
  read_base(cpu, checkpoint, quantization, {&model.weights});
  if (!adapter.empty()) model.adapter = load_adapter(device, adapter, model);
  return model;
}

template <class Device, class T>
std::shared_ptr<const Lora<Device, T>> load_adapter(Device& device, const std::string& dir, const LoadedModel<Device, T>& model) {
  auto lora = std::make_shared<Lora<Device, T>>(make_lora<Device, T>(device, model.config, read_adapter(dir, model.config), false));
  refresh_gains(device, model.base(), *lora);
  return lora;
}

Groups read_groups_for(const ModelConfig& config, const std::string& path) {
  Groups groups = read_groups(path);
  check_groups_vocab(groups, config.vocab_size, path);
  return groups;
}

#define CONCORD_INSTANTIATE(Device, T)                                                                                            \
  template LoadedModel<Device, T> load_model<Device, T>(Device&, const std::string&, const std::string&, Quantization);           \
  template std::shared_ptr<const Lora<Device, T>> load_adapter<Device, T>(Device&, const std::string&, const LoadedModel<Device, T>&);
CONCORD_INSTANTIATE(Cpu, float)
#ifdef CONCORD_CUDA
CONCORD_INSTANTIATE(Cuda, Bf16)
#endif
#undef CONCORD_INSTANTIATE

}  // namespace concord
