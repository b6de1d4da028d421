// Log-probability of each row's target and, in the same pass, its gradient in place of the logits.
#include <cmath>

#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

constexpr int64_t kRowsPerPiece = 16;

// Adds in eight-lane float partial sums per 512 columns and in double across them: a vocabulary of 256 000 terms would
// otherwise lose digits in float.
template <class T>
double sum_of_exp(const T* logits, T shift, int64_t n) {
  constexpr int64_t kBlock = 512;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; i++) sum += fast_exp(logits[i] - shift);
    total += sum;
  }
  return total;
}

}  // namespace

template <class T>
void target_logps(Cpu& cpu, Mat<const Stat<T>> logits, const int32_t* targets, Stat<T>* logp) {
  cpu.for_ranges(logits.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const T* row = logits.row(r);
      const T top = max_of(row, logits.cols);
      logp[r] = T(double(row[targets[r]] - top) - std::log(sum_of_exp(row, top, logits.cols)));
    }
  });
}

template <class T>
void target_logps_and_gradient(Cpu& cpu, Mat<const Stat<T>>, const int32_t* targets, const Stat<T>* coef, Stat<T> softcap, Stat<T>* logp,
                               Mat<T> gradient) {
  const T inverse = softcap == 0 ? T(0) : T(1) / softcap;
  cpu.for_ranges(gradient.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      T* row = gradient.row(r);  // the logits until they are replaced
      const int64_t n = gradient.cols;
      const T top = max_of(row, n);
      const double log_sum = std::log(sum_of_exp<T>(row, top, n));
      logp[r] = T(double(row[targets[r]] - top) - log_sum);
      const T lse = T(double(top) + log_sum), c = coef[r], t = row[targets[r]] * inverse;
      // d (cap tanh(x / cap)) / dx = 1 - tanh^2, and the tanh is the capped logit over the cap; 1 where there is no cap.
#pragma omp simd
      for (int64_t i = 0; i < n; i++) {
        const T tanh = row[i] * inverse;
        row[i] = -c * fast_exp(row[i] - lse) * (T(1) - tanh * tanh);
      }
      row[targets[r]] += c * (T(1) - t * t);
    }
  });
}

#define CONCORD_INSTANTIATE(T)                                                    \
  template void target_logps<T>(Cpu&, Mat<const T>, const int32_t*, T*);          \
  template void target_logps_and_gradient<T>(Cpu&, Mat<const T>, const int32_t*, const T*, T, T*, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
