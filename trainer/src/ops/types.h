// What the operations take.
// defines: Stat, Mat, AttentionShape, AttentionRule, RmsNorm, AdamWStep, Dropout
#pragma once

#include <cstdint>
#include <type_traits>

#include "ops/bf16.h"

namespace concord {

// The type of what must not be rounded to T: scalars, statistics of rows, log-probabilities, logits, and gradients of weights. float
// for bfloat16, else T itself.
template <class T>
struct StatOf {
  using Type = T;
};
template <>
struct StatOf<Bf16> {
  using Type = float;
};
template <class T>
using Stat = typename StatOf<T>::Type;

// A view of a row-major matrix; consecutive rows are `stride` elements apart.
template <class T>
struct Mat {
  T* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;

  Mat() = default;
  CONCORD_HOST_DEVICE Mat(T* d, int64_t r, int64_t c) : data(d), rows(r), cols(c), stride(c) {}
  CONCORD_HOST_DEVICE Mat(T* d, int64_t r, int64_t c, int64_t s) : data(d), rows(r), cols(c), stride(s) {}
  CONCORD_HOST_DEVICE operator Mat<const T>() const
    requires(!std::is_const_v<T>)
  {
    return {data, rows, cols, stride};
  }

  CONCORD_HOST_DEVICE T* row(int64_t i) const { return data + i * stride; }
  CONCORD_HOST_DEVICE Mat row_range(int64_t begin, int64_t end) const { return {row(begin), end - begin, cols, stride}; }
  CONCORD_HOST_DEVICE Mat col_range(int64_t begin, int64_t end) const { return {data + begin, rows, end - begin, stride}; }
  CONCORD_HOST_DEVICE explicit operator bool() const { return data != nullptr; }
};

// Rows of T in the memory of rows of S, each at the start of its own: what is written there may replace what it is made of.
template <class T, class S>
Mat<T> in_place_of(Mat<S> m) {
  static_assert(sizeof(S) % sizeof(T) == 0);
  return {reinterpret_cast<T*>(m.data), m.rows, m.cols, m.stride * static_cast<int64_t>(sizeof(S) / sizeof(T))};
}

struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  CONCORD_HOST_DEVICE int64_t q_cols() const { return heads * head_dim; }
  CONCORD_HOST_DEVICE int64_t kv_cols() const { return kv_heads * head_dim; }
  CONCORD_HOST_DEVICE int64_t qkv_cols() const { return q_cols() + 2 * kv_cols(); }
};

// How scores are made of queries and keys: scale q k^T, then cap tanh(score / cap) where softcap is not 0, over the last
// `window` keys (the query's own included) where that is not 0.
struct AttentionRule {
  double scale = 1;
  double softcap = 0;
  int64_t window = 0;
};

// A root mean square norm: y = x rstd (offset + weight), rstd = 1/sqrt(mean(x^2) + eps).
template <class T>
struct RmsNorm {
  const T* weight = nullptr;
  Stat<T> offset = 0, eps = 0;
};

// What a step of AdamW multiplies by, the same for all parameters of a range.
template <class T>
struct AdamWStep {
  T beta1, keep1, beta2, keep2;  // keep = 1 - beta
  T grad_scale, decay, size, inverse_root, epsilon;
};

struct Dropout {
  double p = 0;      // to be dropped, in steps of 2^-16
  uint64_t key = 0;  // of seed, step and place in the model
};

}  // namespace concord
