// Root mean square norm: y = x rstd w, rstd = 1/sqrt(mean(x^2) + eps).
#include <cmath>

#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

constexpr int64_t kRowsPerPiece = 64;
constexpr int64_t kColsPerPiece = 64;

template <class T>
void norm_row(const T* x, const T* w, T eps, int64_t cols, T* y, T* rstd) {
  const T r = T(1) / std::sqrt(dot(x, x, cols) / T(cols) + eps);
#pragma omp simd
  for (int64_t i = 0; i < cols; i++) y[i] = x[i] * r * w[i];
  *rstd = r;
}

}  // namespace

template <class T>
void rms_norm(Cpu& cpu, Mat<const T> x, const T* w, T eps, Mat<T> y, T* rstd) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) norm_row(x.row(t), w, eps, x.cols, y.row(t), rstd + t);
  });
}

template <class T>
void add_rms_norm(Cpu& cpu, Mat<const T> x, Mat<const T> delta, Mat<T> sum, const T* w, T eps, Mat<T> y, T* rstd) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const T *a = x.row(t), *b = delta.row(t);
      T* s = sum.row(t);
#pragma omp simd
      for (int64_t i = 0; i < x.cols; i++) s[i] = a[i] + b[i];
      norm_row<T>(s, w, eps, x.cols, y.row(t), rstd + t);
    }
  });
}

// With n = x rstd: dx = rstd (w dy - n mean(w dy n)), dw = sum over rows of dy n.
template <class T>
void rms_norm_backward(Cpu& cpu, Mat<const T> x, const T* w, const T* rstd, Mat<const T> dy, Mat<T> dx, T* dw) {
  const int64_t cols = x.cols;
  if (dw) {
    cpu.for_ranges(cols, kColsPerPiece, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < x.rows; t++) {
        const T *xt = x.row(t), *dyt = dy.row(t);
#pragma omp simd
        for (int64_t i = begin; i < end; i++) dw[i] += dyt[i] * xt[i] * rstd[t];
      }
    });
  }
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const T *xt = x.row(t), *dyt = dy.row(t);
      const T r = rstd[t];
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = 0; i < cols; i++) sum += w[i] * dyt[i] * xt[i];
      const T k = sum * r * r * r / T(cols);
      T* out = dx.row(t);
#pragma omp simd
      for (int64_t i = 0; i < cols; i++) out[i] += r * w[i] * dyt[i] - k * xt[i];
    }
  });
}

#define CONCORD_INSTANTIATE(T)                                                                            \
  template void rms_norm<T>(Cpu&, Mat<const T>, const T*, T, Mat<T>, T*);                                 \
  template void add_rms_norm<T>(Cpu&, Mat<const T>, Mat<const T>, Mat<T>, const T*, T, Mat<T>, T*);       \
  template void rms_norm_backward<T>(Cpu&, Mat<const T>, const T*, const T*, Mat<const T>, Mat<T>, T*);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
