// Random matrices, and gradients by central differences in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "check.h"
#include "model/random.h"
#include "ops/ops.h"

using concord::Mat;

struct Numbers {
  concord::Random random{7, 0};
  std::vector<double> vector(int64_t n, double scale = 1) {
    std::vector<double> v(n);
    for (double& x : v) x = scale * (2 * random.uniform() - 1);
    return v;
  }
};

inline Mat<double> matrix(std::vector<double>& v, int64_t cols) { return {v.data(), static_cast<int64_t>(v.size()) / cols, cols}; }

inline double weighted_sum(const std::vector<double>& values, const std::vector<double>& weights) {
  CHECK_EQ(values.size(), weights.size());
  double sum = 0;
  for (size_t i = 0; i < values.size(); i++) sum += values[i] * weights[i];
  return sum;
}

// `analytic` must be d f / d x at x; f reads x where it lies. Error relative to the largest entry.
inline void check_gradient(const std::string& what, std::vector<double>& x, const std::vector<double>& analytic,
                           const std::function<double()>& f, double tolerance = 1e-6) {
  CHECK_EQ(x.size(), analytic.size());
  const double h = 1e-5;
  double scale = 1e-12, worst = 0;
  for (size_t i = 0; i < x.size(); i++) {
    const double kept = x[i];
    x[i] = kept + h;
    const double above = f();
    x[i] = kept - h;
    const double below = f();
    x[i] = kept;
    scale = std::max(scale, std::abs(analytic[i]));
    worst = std::max(worst, std::abs((above - below) / (2 * h) - analytic[i]));
  }
  if (!(worst <= tolerance * scale)) {
    throw std::runtime_error(what + ": gradient is off by " + std::to_string(worst / scale) + " of its largest entry");
  }
}
