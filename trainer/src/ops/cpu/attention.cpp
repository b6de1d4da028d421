// Attention over a prefix tree: a segment's query rows see the whole of its prefix (its prompt) and, causally, itself.
//
// Tiles of query rows times all their keys: scores are a GEMM into a small scratch, never [T, T]. The backward pass
// recomputes probabilities from the saved logsumexp (Dao 2023, FlashAttention-2, algorithm 2).
//
// One task owns one group and one head (forward) or one key-value head (backward), so each gradient of a key or value
// has one writer though many completions and, with grouped queries, several heads add to it.
#include <algorithm>
#include <cmath>

#include "ops/cpu/serial_gemm.h"
#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

// Columns of one head inside a packed [T, (heads + 2 kv_heads) * head_dim] matrix.
template <class T>
struct HeadView {
  T *q, *k, *v;  // row 0 of the head
  int64_t stride, dim;
};

template <class T>
HeadView<T> head_of(Mat<T> qkv, const AttentionShape& shape, int64_t head) {
  const int64_t kv = head / (shape.heads / shape.kv_heads);
  T* k = qkv.data + shape.q_cols() + kv * shape.head_dim;
  return {qkv.data + head * shape.head_dim, k, k + shape.kv_cols(), qkv.stride, shape.head_dim};
}

// y[rows, keys] = alpha x[rows, d] cols^T where cols is the head's k or v, [T, d]
template <class T>
void times_keys(const AttentionTile& b, T alpha, const T* x, int64_t x_stride, const T* cols, int64_t stride, int64_t dim, T* y) {
  const int64_t ld = b.keys();
  if (b.prefix > 0) {
    serial_gemm(false, true, b.rows(), b.prefix, dim, alpha, x, x_stride, cols + b.prefix_begin * stride, stride, T(0), y, ld);
  }
  serial_gemm(false, true, b.rows(), b.own(), dim, alpha, x, x_stride, cols + b.segment_begin * stride, stride, T(0),
              y + b.prefix, ld);
}

// x[rows, d] = y[rows, keys] cols
template <class T>
void times_values(const AttentionTile& b, const T* y, const T* cols, int64_t stride, int64_t dim, T* x, int64_t x_stride) {
  const int64_t ld = b.keys();
  serial_gemm(false, false, b.rows(), dim, b.own(), T(1), y + b.prefix, ld, cols + b.segment_begin * stride, stride, T(0),
              x, x_stride);
  if (b.prefix > 0) {
    serial_gemm(false, false, b.rows(), dim, b.prefix, T(1), y, ld, cols + b.prefix_begin * stride, stride, T(1), x,
                x_stride);
  }
}

// dcols += y[rows, keys]^T x[rows, d]
template <class T>
void add_to_keys(const AttentionTile& b, const T* y, const T* x, int64_t x_stride, T* dcols, int64_t stride, int64_t dim) {
  const int64_t ld = b.keys();
  if (b.prefix > 0) {
    serial_gemm(true, false, b.prefix, dim, b.rows(), T(1), y, ld, x, x_stride, T(1), dcols + b.prefix_begin * stride, stride);
  }
  serial_gemm(true, false, b.own(), dim, b.rows(), T(1), y + b.prefix, ld, x, x_stride, T(1),
              dcols + b.segment_begin * stride, stride);
}

template <class T>
void forward_tile(const AttentionTile& b, HeadView<const T> h, const AttentionRule& rule, T* scores, Mat<T> out, T* lse, int64_t lse_stride) {
  times_keys(b, T(rule.scale), h.q + b.begin * h.stride, h.stride, h.k, h.stride, h.dim, scores);
  for (int64_t row = 0; row < b.rows(); row++) {
    T* s = scores + row * b.keys();
    const int64_t first = b.first(row, rule.window), visible = b.visible(row);
    if (rule.softcap != 0) soft_cap_row(s + first, T(rule.softcap), visible - first);
    const T top = max_of(s + first, visible - first);
    const T sum = exp_and_sum(s + first, top, visible - first);
    const T inverse = T(1) / sum;
#pragma omp simd
    for (int64_t i = first; i < visible; i++) s[i] *= inverse;
    std::fill(s, s + first, T(0));
    std::fill(s + visible, s + b.keys(), T(0));
    lse[(b.begin + row) * lse_stride] = top + std::log(sum);
  }
  times_values(b, scores, h.v, h.stride, h.dim, out.row(b.begin), out.stride);
}

// One row's scores s become probabilities and dp becomes the gradient of the product of query and key: with c = s, or
// cap tanh(s / cap) whose derivative is 1 - (c / cap)^2, p = exp(c - lse) and ds = scale p (dp - d) dc/ds.
template <class T>
void row_backward(const AttentionRule& rule, T lse, T d, int64_t n, T* s, T* dp) {
  const T scale = T(rule.scale);
  if (rule.softcap == 0) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
      s[i] = fast_exp(s[i] - lse);
      dp[i] = scale * s[i] * (dp[i] - d);
    }
    return;
  }
  const T cap = T(rule.softcap), inverse = T(1) / cap;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const T t = fast_tanh(s[i] * inverse);
    s[i] = fast_exp(cap * t - lse);
    dp[i] = scale * s[i] * (dp[i] - d) * (T(1) - t * t);
  }
}

// With P the probabilities and D = rowsum(dO O): dV += P^T dO, dS = P (dO V^T - D), dQ = scale dS K, dK += scale dS^T Q.
template <class T>
void backward_tile(const AttentionTile& b, HeadView<const T> h, HeadView<T> dh, const AttentionRule& rule, Mat<const T> out, Mat<const T> dout,
                    const T* lse, int64_t lse_stride, T* p, T* ds) {
  const T* q = h.q + b.begin * h.stride;
  times_keys(b, T(rule.scale), q, h.stride, h.k, h.stride, h.dim, p);
  times_keys(b, T(1), dout.row(b.begin), dout.stride, h.v, h.stride, h.dim, ds);
  for (int64_t row = 0; row < b.rows(); row++) {
    const int64_t first = b.first(row, rule.window), visible = b.visible(row);
    const T d = dot(dout.row(b.begin + row), out.row(b.begin + row), h.dim);
    T *s = p + row * b.keys(), *g = ds + row * b.keys();
    row_backward(rule, lse[(b.begin + row) * lse_stride], d, visible - first, s + first, g + first);
    for (T* values : {s, g}) {
      std::fill(values, values + first, T(0));
      std::fill(values + visible, values + b.keys(), T(0));
    }
  }
  add_to_keys(b, p, dout.row(b.begin), dout.stride, dh.v, dh.stride, h.dim);
  times_values(b, ds, h.k, h.stride, h.dim, dh.q + b.begin * dh.stride, dh.stride);
  add_to_keys(b, ds, q, h.stride, dh.k, dh.stride, h.dim);
}

}  // namespace

int64_t attention_scratch_elements(int64_t keys_max) { return 2 * kAttentionTileRows * keys_max; }

template <class T>
void attention(Cpu& cpu, Mat<const T> qkv, AttentionShape shape, AttentionRule rule, const AttentionView& view, Mat<T> out,
               Mat<Stat<T>> lse, Mat<Stat<T>> scratch) {
  cpu.for_each(static_cast<int64_t>(view.groups.size()) * shape.heads, [&](int64_t task, int worker) {
    const IndexRange group = view.groups[task / shape.heads];
    const int64_t head = task % shape.heads;
    const HeadView<const T> of_head = head_of(qkv, shape, head);
    const Mat<T> head_out = out.col_range(head * shape.head_dim, (head + 1) * shape.head_dim);
    for (const AttentionTile& tile : view.tiles.subspan(group.first, group.last - group.first))
      forward_tile(tile.in_window(rule.window), of_head, rule, scratch.row(worker), head_out, lse.data + head, lse.stride);
  });
}

template <class T>
void attention_backward(Cpu& cpu, Mat<const T> qkv, AttentionShape shape, AttentionRule rule, const AttentionView& view, Mat<const T> out,
                        Mat<const Stat<T>> lse, Mat<const T> dout, Mat<T> dqkv, Mat<Stat<T>> scratch) {
  fill(cpu, T(0), dqkv.col_range(shape.q_cols(), shape.qkv_cols()));
  const int64_t heads_per_kv = shape.heads / shape.kv_heads;
  cpu.for_each(static_cast<int64_t>(view.groups.size()) * shape.kv_heads, [&](int64_t task, int worker) {
    const IndexRange group = view.groups[task / shape.kv_heads];
    T* p = scratch.row(worker);
    T* ds = p + scratch.cols / 2;
    const int64_t first_head = task % shape.kv_heads * heads_per_kv;
    for (int64_t head = first_head; head < first_head + heads_per_kv; head++) {
      const HeadView<const T> of_head = head_of(qkv, shape, head);
      const HeadView<T> d_of_head = head_of(dqkv, shape, head);
      const int64_t begin = head * shape.head_dim, end = begin + shape.head_dim;
      for (const AttentionTile& tile : view.tiles.subspan(group.first, group.last - group.first))
        backward_tile(tile.in_window(rule.window), of_head, d_of_head, rule, out.col_range(begin, end), dout.col_range(begin, end),
                      lse.data + head, lse.stride, p, ds);
    }
  });
}

#define CONCORD_INSTANTIATE(T)                                                                                                      \
  template void attention<T>(Cpu&, Mat<const T>, AttentionShape, AttentionRule, const AttentionView&, Mat<T>, Mat<T>, Mat<T>);      \
  template void attention_backward<T>(Cpu&, Mat<const T>, AttentionShape, AttentionRule, const AttentionView&, Mat<const T>,        \
                                      Mat<const T>, Mat<const T>, Mat<T>, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
