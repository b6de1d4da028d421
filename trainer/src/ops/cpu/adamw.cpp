#include <cmath>
#include <vector>

#include "ops/ops.h"

namespace concord::ops {
namespace {

constexpr int64_t kPiece = 1 << 14;

}  // namespace

template <class T>
void adamw(Cpu& cpu, const AdamWStep<T>& step, int64_t n, T* parameters, T* first, T* second, const T* grads) {
  const AdamWStep<T> s = step;
  cpu.for_ranges(n, kPiece, [&, s](int64_t begin, int64_t end) {
    T* __restrict p = parameters;
    T* __restrict m = first;
    T* __restrict v = second;
    const T* __restrict g = grads;
#pragma omp simd
    for (int64_t i = begin; i < end; i++) {
      const T gi = g[i] * s.grad_scale;
      const T mi = s.beta1 * m[i] + s.keep1 * gi;
      const T vi = s.beta2 * v[i] + s.keep2 * gi * gi;
      m[i] = mi;
      v[i] = vi;
      p[i] = p[i] * s.decay - s.size * mi / (std::sqrt(vi) * s.inverse_root + s.epsilon);
    }
  });
}

template <class T>
double sum_of_squares(Cpu& cpu, const T* x, int64_t n) {
  std::vector<double> sums((n + kPiece - 1) / kPiece, 0.0);
  cpu.for_ranges(n, kPiece, [&](int64_t begin, int64_t end) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; i++) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    sums[begin / kPiece] = sum;
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

#define CONCORD_INSTANTIATE(T)                                                                    \
  template void adamw<T>(Cpu&, const AdamWStep<T>&, int64_t, T*, T*, T*, const T*);               \
  template double sum_of_squares<T>(Cpu&, const T*, int64_t);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
