// The linear layers of a base in few bits; embeddings, norms, biases and the head stay as they are.
#pragma once

#include <array>
#include <vector>

#include "io/model_config.h"
#include "ops/ops.h"

namespace concord {

// Of each layer, by Projection: all modules that read the same input, one below another.
template <class Module>
using ModulesByLayer = std::vector<std::array<std::vector<Module>, 4>>;

// Empty where the base is not quantized.
using QuantizedViews = ModulesByLayer<QuantizedView>;

struct QuantizedBase {
  ModulesByLayer<QuantizedMatrix> layers;  // each module is quantized by itself, as bitsandbytes and torchao do

  bool empty() const { return layers.empty(); }
  QuantizedViews views() const;
  int64_t bytes() const;
};

int64_t quantized_base_bytes(const ModelConfig&, Quantization how);

// The largest linear layer of a model, in elements: what it takes to hold one of them dense.
int64_t largest_linear(const ModelConfig&);

}  // namespace concord
