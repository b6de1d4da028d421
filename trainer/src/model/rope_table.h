#pragma once

#include <vector>

#include "io/model_config.h"

namespace concord {

// Angles per position step, [head_dim/2]: theta^(-2i/head_dim), then scaled as config.rope_scaling says.
std::vector<double> rope_frequencies(const ModelConfig& config);

// [positions, head_dim]: head_dim/2 cosines, then head_dim/2 sines.
template <class T>
std::vector<T> rope_table(const ModelConfig& config, int64_t positions);

}  // namespace concord
