#include "model/rope_table.h"

#include <cmath>
#include <numbers>

namespace concord {
namespace {

// Llama 3.1's scaling (transformers, modeling_rope_utils.py, _compute_llama3_parameters): long wavelengths are slowed by
// `factor`, short ones left, and those between blended by how many turns the original context held.
double llama3_frequency(double frequency, const RopeScaling& s) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double context = static_cast<double>(s.original_max_position_embeddings);
  if (wavelength > context / s.low_freq_factor) return frequency / s.factor;
  if (wavelength < context / s.high_freq_factor) return frequency;
  const double smooth = (context / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return (1 - smooth) * frequency / s.factor + smooth * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const ModelConfig& c) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < c.head_dim / 2; i++) {
    const double f = std::pow(c.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(c.head_dim));
    switch (c.rope_scaling.type) {
      case RopeScaling::Type::none: frequencies.push_back(f); break;
      case RopeScaling::Type::linear: frequencies.push_back(f / c.rope_scaling.factor); break;
      case RopeScaling::Type::llama3: frequencies.push_back(llama3_frequency(f, c.rope_scaling)); break;
    }
  }
  return frequencies;
}

template <class T>
std::vector<T> rope_table(const ModelConfig& c, int64_t positions) {
  const std::vector<double> frequencies = rope_frequencies(c);
  const int64_t half = c.head_dim / 2;
  std::vector<T> table(positions * c.head_dim);
  for (int64_t p = 0; p < positions; p++) {
    for (int64_t i = 0; i < half; i++) {
      const double angle = static_cast<double>(p) * frequencies[i];
      table[p * c.head_dim + i] = static_cast<T>(std::cos(angle));
      table[p * c.head_dim + half + i] = static_cast<T>(std::sin(angle));
    }
  }
  return table;
}

template std::vector<float> rope_table<float>(const ModelConfig&, int64_t);
template std::vector<double> rope_table<double>(const ModelConfig&, int64_t);

}  // namespace concord
