// How positions turn queries and keys, as config.json says it in transformers 4 and 5.
#pragma once

#include <string>

#include "io/model_config.h"

namespace concord {

struct RopeRules {
  double theta = 10000;          // where the file names none
  bool partial = false;          // partial_rotary_factor may be below 1
  bool only_longrope = false;    // Phi-3: the one scaling, also under its older names
  bool by_layer = false;         // several ropes, none of them longrope: a length would have to change two tables' rows
};

// rope_theta and rope_scaling apart (transformers 4), or rope_parameters with both (transformers 5).
Rope parse_rope(const JsonAt& at, const ModelConfig& config, const RopeRules& rules);

// Gemma 3's two: [0] of full attention, which alone is scaled, and [1] of sliding windows. rope_parameters by layer type,
// or rope_theta, rope_scaling and rope_local_base_freq.
std::vector<Rope> parse_ropes_by_layer_type(const JsonAt& at, const ModelConfig& config, double full_theta, double sliding_theta);

}  // namespace concord
