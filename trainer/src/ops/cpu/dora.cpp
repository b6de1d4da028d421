// What DoRA adds: norms of adapted rows, and gains of columns.
#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace concord::ops {
namespace {

constexpr int64_t kRowsPerPiece = 64;
constexpr int64_t kColsPerPiece = 64;

template <class T>
double dot(const T* x, const T* y, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sum;
}

}  // namespace

template <class T>
void adapted_row_norms(Cpu& cpu, Mat<const T> w, Mat<const T> wa, Mat<const T> aa, Mat<const T> b, Stat<T> scaling, Stat<T>* norms) {
  const int64_t r = aa.rows;
  const double s = static_cast<double>(scaling);
  cpu.for_ranges(w.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const T* bi = b.row(i);
      double square = dot(w.row(i), w.row(i), w.cols) + 2 * s * dot(bi, wa.row(i), r);
      for (int64_t k = 0; k < r; k++) square += s * s * static_cast<double>(bi[k]) * dot(bi, aa.row(k), r);
      norms[i] = static_cast<T>(std::sqrt(std::max(square, 0.0)));
    }
  });
}

template <class T>
void gains(Cpu&, int64_t n, const T* magnitude, const T* norms, T* gains) {
  for (int64_t i = 0; i < n; i++) gains[i] = norms[i] > 0 ? magnitude[i] / norms[i] : T(0);
}

template <class T>
void apply_gains(Cpu& cpu, const Stat<T>* gain, const T* bias, Mat<T> y, Mat<T> raw) {
  cpu.for_ranges(y.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      T* to = y.row(t);
      if (bias)
        for (int64_t i = 0; i < y.cols; i++) to[i] -= bias[i];
      if (raw) std::copy_n(to, y.cols, raw.row(t));
      for (int64_t i = 0; i < y.cols; i++) to[i] *= gain[i];
      if (bias)
        for (int64_t i = 0; i < y.cols; i++) to[i] += bias[i];
    }
  });
}

template <class T>
void scale_columns(Cpu& cpu, const Stat<T>* gain, Mat<T> x) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++)
      for (int64_t i = 0; i < x.cols; i++) x.row(t)[i] *= gain[i];
  });
}

template <class T>
void add_magnitude_gradient(Cpu& cpu, Mat<const T> dy, Mat<const T> raw, const Stat<T>* norm, Stat<T>* dmagnitude) {
  cpu.for_ranges(dy.cols, kColsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < dy.rows; t++) {
      const T *dy_row = dy.row(t), *raw_row = raw.row(t);
      for (int64_t i = begin; i < end; i++)
        if (norm[i] > 0) dmagnitude[i] += dy_row[i] * raw_row[i] / norm[i];
    }
  });
}

#define CONCORD_INSTANTIATE(T)                                                                                             \
  template void adapted_row_norms<T>(Cpu&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<const T>, T, T*);                 \
  template void gains<T>(Cpu&, int64_t, const T*, const T*, T*);                                                          \
  template void apply_gains<T>(Cpu&, const T*, const T*, Mat<T>, Mat<T>);                                                  \
  template void scale_columns<T>(Cpu&, const T*, Mat<T>);                                                    \
  template void add_magnitude_gradient<T>(Cpu&, Mat<const T>, Mat<const T>, const T*, T*);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
