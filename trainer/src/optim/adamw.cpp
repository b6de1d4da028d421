#include "optim/adamw.h"

#include <algorithm>
#include <cmath>

namespace concord {
namespace {

constexpr int64_t kPiece = 1 << 14;

}  // namespace

template <class T>
void adamw_step(Cpu& cpu, AdamW<T>& state, const std::vector<ParameterRange>& ranges, double learning_rate, double grad_scale,
                T* parameters, const T* grads) {
  state.steps++;
  const auto& o = state.options;
  const double t = static_cast<double>(state.steps);
  const T beta1 = T(o.beta1), beta2 = T(o.beta2), keep1 = T(1 - o.beta1), keep2 = T(1 - o.beta2), scale = T(grad_scale);
  const T inverse_root = T(1 / std::sqrt(1 - std::pow(o.beta2, t)));
  const T epsilon = T(o.epsilon);
  for (const ParameterRange& range : ranges) {
    const double rate = learning_rate * range.rate_factor;
    const T keep = T(1 - rate * range.weight_decay), step_size = T(rate / (1 - std::pow(o.beta1, t)));
    cpu.for_ranges(range.end - range.begin, kPiece, [&](int64_t begin, int64_t end) {
      T* __restrict p = parameters + range.begin;
      T* __restrict m = state.m.data() + range.begin;
      T* __restrict v = state.v.data() + range.begin;
      const T* __restrict g = grads + range.begin;
#pragma omp simd
      for (int64_t i = begin; i < end; i++) {
        const T gi = g[i] * scale;
        const T mi = beta1 * m[i] + keep1 * gi;
        const T vi = beta2 * v[i] + keep2 * gi * gi;
        m[i] = mi;
        v[i] = vi;
        p[i] = p[i] * keep - step_size * mi / (std::sqrt(vi) * inverse_root + epsilon);
      }
    });
  }
}

template <class T>
double global_norm(Cpu& cpu, const T* x, int64_t n) {
  std::vector<double> sums((n + kPiece - 1) / kPiece, 0.0);
  cpu.for_ranges(n, kPiece, [&](int64_t begin, int64_t end) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; i++) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    sums[begin / kPiece] = sum;
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return std::sqrt(total);
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

template void adamw_step<float>(Cpu&, AdamW<float>&, const std::vector<ParameterRange>&, double, double, float*, const float*);
template void adamw_step<double>(Cpu&, AdamW<double>&, const std::vector<ParameterRange>&, double, double, double*, const double*);
template double global_norm<float>(Cpu&, const float*, int64_t);
template double global_norm<double>(Cpu&, const double*, int64_t);

}  // namespace concord
