// Root mean square norm: y = x rstd (offset + w), rstd = 1/sqrt(mean(x^2) + eps); of whole rows, and of each head's query
// and key.
#include <algorithm>
#include <cmath>

#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

constexpr int64_t kRowsPerPiece = 64;
constexpr int64_t kColsPerPiece = 64;

template <class T>
void norm_row(const T* x, RmsNorm<T> norm, int64_t cols, T* y, T* rstd) {
  const T r = T(1) / std::sqrt(dot(x, x, cols) / T(cols) + norm.eps);
#pragma omp simd
  for (int64_t i = 0; i < cols; i++) y[i] = x[i] * r * (norm.offset + norm.weight[i]);
  *rstd = r;
}

// With n = x r and g = offset + w: the gradient is r (g dy - n mean(g dy n)); `out` is `add` times itself plus that.
// dy may be out.
template <class T>
void norm_row_backward(const T* x, RmsNorm<T> norm, T r, const T* dy, int64_t cols, T add, T* out) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < cols; i++) sum += (norm.offset + norm.weight[i]) * dy[i] * x[i];
  const T k = sum * r * r * r / T(cols);
#pragma omp simd
  for (int64_t i = 0; i < cols; i++) out[i] = add * out[i] + r * (norm.offset + norm.weight[i]) * dy[i] - k * x[i];
}

// Of head `head` of shape.heads queries, then shape.kv_heads keys.
template <class T>
const RmsNorm<T>& norm_of(int64_t head, const AttentionShape& shape, const RmsNorm<T>& query, const RmsNorm<T>& key) {
  return head < shape.heads ? query : key;
}

// dw += sum over rows and over heads [begin, end) of dy x rstd.
template <class T>
void head_weight_gradient(Cpu& cpu, Mat<const T> raw, int64_t dim, int64_t begin, int64_t end, Mat<const T> rstd, Mat<const T> dqkv, T* dw) {
  if (!dw) return;
  cpu.for_ranges(dim, kColsPerPiece, [&](int64_t first, int64_t last) {
    for (int64_t t = 0; t < raw.rows; t++) {
      for (int64_t head = begin; head < end; head++) {
        const T *x = raw.row(t) + head * dim, *dy = dqkv.row(t) + head * dim, r = rstd.row(t)[head];
#pragma omp simd
        for (int64_t i = first; i < last; i++) dw[i] += dy[i] * x[i] * r;
      }
    }
  });
}

}  // namespace

template <class T>
void rms_norm(Cpu& cpu, Mat<const T> x, RmsNorm<T> norm, Mat<T> y, Stat<T>* rstd) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) norm_row(x.row(t), norm, x.cols, y.row(t), rstd + t);
  });
}

template <class T>
void add_rms_norm(Cpu& cpu, Mat<const T> x, Mat<const T> delta, Mat<T> sum, RmsNorm<T> norm, Mat<T> y, Stat<T>* rstd) {
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const T *a = x.row(t), *b = delta.row(t);
      T* s = sum.row(t);
#pragma omp simd
      for (int64_t i = 0; i < x.cols; i++) s[i] = a[i] + b[i];
      norm_row<T>(s, norm, x.cols, y.row(t), rstd + t);
    }
  });
}

template <class T>
void rms_norm_backward(Cpu& cpu, Mat<const T> x, RmsNorm<T> norm, const Stat<T>* rstd, Mat<const T> dy, Mat<T> dx, Stat<T>* dw) {
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
    for (int64_t t = begin; t < end; t++) norm_row_backward<T>(x.row(t), norm, rstd[t], dy.row(t), cols, T(1), dx.row(t));
  });
}

template <class T>
void head_norms(Cpu& cpu, Mat<T> qkv, AttentionShape shape, RmsNorm<T> query, RmsNorm<T> key, Mat<T> raw, Mat<Stat<T>> rstd) {
  const int64_t dim = shape.head_dim;
  cpu.for_ranges(qkv.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      std::copy_n(qkv.row(t), raw.cols, raw.row(t));
      for (int64_t head = 0; head < shape.heads + shape.kv_heads; head++)
        norm_row<T>(raw.row(t) + head * dim, norm_of(head, shape, query, key), dim, qkv.row(t) + head * dim, rstd.row(t) + head);
    }
  });
}

template <class T>
void head_norms_backward(Cpu& cpu, Mat<const T> raw, AttentionShape shape, RmsNorm<T> query, RmsNorm<T> key, Mat<const Stat<T>> rstd, Mat<T> dqkv,
                         Stat<T>* dquery, Stat<T>* dkey) {
  const int64_t dim = shape.head_dim, heads = shape.heads + shape.kv_heads;
  head_weight_gradient<T>(cpu, raw, dim, 0, shape.heads, rstd, dqkv, dquery);
  head_weight_gradient<T>(cpu, raw, dim, shape.heads, heads, rstd, dqkv, dkey);
  cpu.for_ranges(raw.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      for (int64_t head = 0; head < heads; head++) {
        T* d = dqkv.row(t) + head * dim;
        norm_row_backward<T>(raw.row(t) + head * dim, norm_of(head, shape, query, key), rstd.row(t)[head], d, dim, T(0), d);
      }
    }
  });
}

#define CONCORD_INSTANTIATE(T)                                                                                              \
  template void rms_norm<T>(Cpu&, Mat<const T>, RmsNorm<T>, Mat<T>, T*);                                                    \
  template void add_rms_norm<T>(Cpu&, Mat<const T>, Mat<const T>, Mat<T>, RmsNorm<T>, Mat<T>, T*);                          \
  template void rms_norm_backward<T>(Cpu&, Mat<const T>, RmsNorm<T>, const T*, Mat<const T>, Mat<T>, T*);                   \
  template void head_norms<T>(Cpu&, Mat<T>, AttentionShape, RmsNorm<T>, RmsNorm<T>, Mat<T>, Mat<T>);                        \
  template void head_norms_backward<T>(Cpu&, Mat<const T>, AttentionShape, RmsNorm<T>, RmsNorm<T>, Mat<const T>, Mat<T>, T*, T*);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
