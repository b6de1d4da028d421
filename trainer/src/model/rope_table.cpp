#include "model/rope_table.h"

#include <algorithm>
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

// YaRN (Peng et al. 2023, section 3.2; transformers, _compute_yarn_parameters): pairs that turn more than beta_fast times
// in the original context are left, those that turn less than beta_slow times slowed by `factor`, a ramp between.
class Yarn {
 public:
  explicit Yarn(const Rope& rope) : factor_(rope.scaling.factor) {
    const RopeScaling& s = rope.scaling;
    low_ = pair_that_turns(s.beta_fast, rope);
    high_ = pair_that_turns(s.beta_slow, rope);
    if (s.truncate) {
      low_ = std::floor(low_);
      high_ = std::ceil(high_);
    }
    low_ = std::max(low_, 0.0);
    high_ = std::min(high_, static_cast<double>(rope.rotary_dim - 1));
    if (low_ == high_) high_ += 0.001;
  }

  double frequency(double frequency, int64_t pair) const {
    const double slowed = std::clamp((static_cast<double>(pair) - low_) / (high_ - low_), 0.0, 1.0);
    return slowed * frequency / factor_ + (1 - slowed) * frequency;
  }

 private:
  // The pair, as a real number, that turns so many times in the original context.
  static double pair_that_turns(double times, const Rope& rope) {
    const double context = static_cast<double>(rope.scaling.original_max_position_embeddings), dim = static_cast<double>(rope.rotary_dim);
    return dim * std::log(context / (times * 2 * std::numbers::pi)) / (2 * std::log(rope.theta));
  }

  double factor_, low_, high_;
};

}  // namespace

std::vector<double> rope_frequencies(const Rope& rope, bool long_context) {
  using Type = RopeScaling::Type;
  const RopeScaling& s = rope.scaling;
  std::vector<double> frequencies;
  for (int64_t i = 0; i < rope.rotary_dim / 2; i++) {
    const double f = std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(rope.rotary_dim));
    switch (s.type) {
      case Type::none: frequencies.push_back(f); break;
      case Type::linear: frequencies.push_back(f / s.factor); break;
      case Type::llama3: frequencies.push_back(llama3_frequency(f, s)); break;
      case Type::yarn: frequencies.push_back(Yarn(rope).frequency(f, i)); break;
      case Type::longrope: frequencies.push_back(f / (long_context ? s.long_factor : s.short_factor)[static_cast<size_t>(i)]); break;
    }
  }
  return frequencies;
}

int64_t rope_rows(const Rope& rope, int64_t positions) {
  const int64_t original = rope.scaling.original_max_position_embeddings;
  const bool both = rope.scaling.type == RopeScaling::Type::longrope && positions > original;
  return both ? original + positions : positions;
}

template <class T>
void fill_rope_table(const Rope& rope, Mat<T> table) {
  const int64_t half = rope.rotary_dim / 2, original = rope.scaling.original_max_position_embeddings;
  const bool longrope = rope.scaling.type == RopeScaling::Type::longrope;
  const std::vector<double> first = rope_frequencies(rope), second = rope_frequencies(rope, true);
  for (int64_t row = 0; row < table.rows; row++) {
    const bool is_long = longrope && row >= original;
    const auto position = static_cast<double>(is_long ? row - original : row);
    for (int64_t i = 0; i < half; i++) {
      const double angle = position * (is_long ? second : first)[static_cast<size_t>(i)];
      table.row(row)[i] = static_cast<T>(rope.scaling.attention_factor * std::cos(angle));
      table.row(row)[half + i] = static_cast<T>(rope.scaling.attention_factor * std::sin(angle));
    }
  }
}

template void fill_rope_table<float>(const Rope&, Mat<float>);
template void fill_rope_table<double>(const Rope&, Mat<double>);

}  // namespace concord
