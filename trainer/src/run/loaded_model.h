// A model that is run and not trained, where its device reads it: score, generate and serve.
// defines: LoadedModel, load_model, load_adapter, read_groups_for
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "io/groups.h"
#include "lora/lora.h"
#include "run/gpu_base.h"

namespace concord {

template <class Device>
using Base = std::conditional_t<Device::has_host_memory, HostBase, GpuBase>;

template <class Device, class T>
struct LoadedModel {
  ModelConfig config;
  bool quantized = false;
  Base<Device> weights;
  std::shared_ptr<const Lora<Device, T>> adapter;

  WeightViews<const T> base() const { return weights.views(config); }
  const Lora<Device, T>* lora() const { return adapter.get(); }
  int64_t lora_ranks() const { return adapter ? ranks_max(*adapter) : 0; }  // DecoderPlan::lora_ranks
};

// `adapter` may be empty. Failure(2) names what does not fit.
template <class Device, class T>
LoadedModel<Device, T> load_model(Device&, const std::string& dir, const std::string& adapter, Quantization quantization = Quantization::none);

// An adapter for this model. Failure(2) names what does not fit.
template <class Device, class T>
std::shared_ptr<const Lora<Device, T>> load_adapter(Device&, const std::string& dir, const LoadedModel<Device, T>& model);

// Reads a groups file and checks its ids against the model.
Groups read_groups_for(const ModelConfig& config, const std::string& path);

}  // namespace concord
