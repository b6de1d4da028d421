// The logistic function and its logarithm, without overflow at either end.
#pragma once

#include <cmath>

namespace concord {

inline double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
inline double log_sigmoid(double x) { return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x)); }
// sigmoid'(x)
inline double sigmoid_slope(double x) { return sigmoid(x) * sigmoid(-x); }

}  // namespace concord
