// The linear layers of a base in NF4; embeddings, norms, biases and the head stay as they are.
#pragma once

#include <array>
#include <vector>

#include "io/checkpoint_dir.h"
#include "ops/ops.h"

namespace concord {

// Of a base that is run or merged, as `--quantize` says it: none, nf4, nf4-double.
enum class Quantization { none, nf4, nf4_double };

// All modules that read the same input, one below another, each quantized by itself as bitsandbytes does.
struct Nf4Linear {
  std::vector<Nf4Matrix> modules;
};

// Of every module of a linear layer, by layer and Projection; empty where the base is not quantized.
using Nf4Views = std::vector<std::array<std::vector<Nf4View>, 4>>;

struct Nf4Base {
  struct Layer {
    Nf4Linear linears[4];  // by Projection
  };
  std::vector<Layer> layers;

  bool empty() const { return layers.empty(); }
  Nf4Views views() const;
};

Nf4Base quantize_base(Cpu&, const CheckpointDir&, bool double_quant);
int64_t nf4_base_bytes(const ModelConfig&, bool double_quant);

// The largest linear layer of a model, in elements: what it takes to hold one of them dense.
int64_t largest_linear(const ModelConfig&);

}  // namespace concord
