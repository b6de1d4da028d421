// A model that is run and not trained: score and generate.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/groups.h"
#include "lora/lora.h"
#include "model/batch.h"
#include "model/decoder.h"

namespace concord {

struct LoadedModel {
  ModelConfig config;
  std::vector<float> weights;
  QuantizedBase quantized;  // the linear layers where the base is quantized, else empty
  std::shared_ptr<const Lora<Cpu, float>> adapter;

  WeightViews<const float> base() const { return weight_views<const float>(config, weights.data(), quantized.views()); }
  const Lora<Cpu, float>* lora() const { return adapter.get(); }
  int64_t lora_ranks() const { return adapter ? ranks_max(*adapter) : 0; }  // DecoderPlan::lora_ranks
};

// `adapter` may be empty. Failure(2) names what does not fit.
LoadedModel load_model(const std::string& dir, const std::string& adapter, Quantization quantization = Quantization::none);

// An adapter for this model. Failure(2) names what does not fit.
std::shared_ptr<const Lora<Cpu, float>> load_adapter(const std::string& dir, const LoadedModel& model);

// Reads a groups file and checks its ids against the model.
Groups read_groups_for(const LoadedModel& model, const std::string& path);

}  // namespace concord
