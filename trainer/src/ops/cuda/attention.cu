// Attention for any head size, in bfloat16 and float: a warp for each query row and head, or for each key row and head, its lanes
// across the head's elements. Formulas: ops/cpu/attention.cpp.
#include <cmath>
#include <stdexcept>
#include <type_traits>

#include "ops/cuda/attention.h"

namespace concord::ops {
namespace {

constexpr int kWarpsPerBlock = 8, kPerLane = 8;  // elements: heads of up to 256
constexpr unsigned kThreads = kWarpsPerBlock * kWarp;

// A lane's share of one head's row.
struct Share {
  float v[kPerLane];

  template <class T>
  __device__ static Share of(const T* row, int64_t dim) {
    Share s;
    for (int e = 0; e < kPerLane; e++) {
      const int64_t i = lane_of() + e * kWarp;
      s.v[e] = i < dim ? static_cast<float>(row[i]) : 0;
    }
    return s;
  }
  template <class T>
  __device__ void store(T* row, int64_t dim) const {
    for (int e = 0; e < kPerLane; e++) {
      const int64_t i = lane_of() + e * kWarp;
      if (i < dim) row[i] = static_cast<T>(v[e]);
    }
  }
  __device__ float dot(const Share& other) const {
    float sum = 0;
    for (int e = 0; e < kPerLane; e++) sum += v[e] * other.v[e];
    return warp_sum(sum);
  }
  // this = keep this + alpha other
  __device__ void add(float keep, float alpha, const Share& other) {
    for (int e = 0; e < kPerLane; e++) v[e] = keep * v[e] + alpha * other.v[e];
  }
};

// f(query row in its tile) for the rows of the block's tile, dealt out to its warps.
template <class F>
__device__ void for_rows(int64_t rows, F&& f) {
  for (int64_t row = threadIdx.x / kWarp; row < rows; row += kWarpsPerBlock) f(row);
}

// Softmax of one query over a range of keys, numbered; row_of(key) is where a key's head lies, v_after what its value lies behind it.
struct Attended {
  Share result{};
  float lse;

  template <class F>
  __device__ Attended(const Share& q, int64_t first, int64_t last, int64_t dim, int64_t v_after, const Scores& scores, F&& row_of) {
    Share sum{};
    float top = -INFINITY, total = 0;
    for (int64_t key = first; key < last; key++) {
      const auto* k = row_of(key);
      const float s = scores.score(q.dot(Share::of(k, dim))), larger = fmaxf(top, s);
      const float keep = expf(top - larger), p = expf(s - larger);
      sum.add(keep, p, Share::of(k + v_after, dim));
      total = keep * total + p;
      top = larger;
    }
    result.add(0, 1 / total, sum);
    lse = top + logf(total);
  }
};

// Grid: tiles, heads.
template <class T>
__global__ void forward_kernel(Mat<const T> qkv, AttentionShape shape, Scores scores, const AttentionTile* tiles, Mat<T> out, Mat<float> lse) {
  const AttentionTile tile = tiles[blockIdx.x].in_window(scores.window);
  const int64_t head = blockIdx.y, dim = shape.head_dim;
  const HeadColumns at(shape, head);
  for_rows(tile.rows(), [&](int64_t row) {
    const int64_t t = tile.begin + row;
    const Attended found(Share::of(qkv.row(t) + at.q, dim), tile.first(row, scores.window), tile.visible(row), dim, shape.kv_cols(), scores,
                         [&](int64_t key) { return qkv.row(tile.key_row(key)) + at.k; });
    found.result.store(out.row(t) + at.q, dim);
    if (lane_of() == 0) lse.row(t)[head] = found.lse;
  });
}

// Grid: query rows, eight at a time; heads.
template <class T>
__global__ void cached_kernel(Mat<const T> qkv, AttentionShape shape, Scores scores, Mat<const T> cache, const CachedSegment* segments, Mat<T> out) {
  const int64_t t = static_cast<int64_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / kWarp, dim = shape.head_dim;
  if (t >= qkv.rows) return;
  const CachedSegment segment = segments[t];
  const HeadColumns at(shape, blockIdx.y);
  const Attended found(Share::of(qkv.row(t) + at.q, dim), segment.first(scores.window), segment.keys(), dim, shape.kv_cols(), scores,
                       [&](int64_t key) { return cache.row(segment.key_row(key)) + at.k - shape.q_cols(); });
  found.result.store(out.row(t) + at.q, dim);
}

// Gradients of queries, and delta[t, h] = the sum of dO O, which the keys' kernel reads. Grid: tiles, heads.
template <class T>
__global__ void query_gradient_kernel(Mat<const T> qkv, AttentionShape shape, Scores scores, const AttentionTile* tiles, Mat<const T> out,
                                      Mat<const float> lse, Mat<const T> dout, Mat<T> dqkv, Mat<float> delta) {
  const AttentionTile tile = tiles[blockIdx.x].in_window(scores.window);
  const int64_t head = blockIdx.y, dim = shape.head_dim;
  const HeadColumns at(shape, head);
  for_rows(tile.rows(), [&](int64_t row) {
    const int64_t t = tile.begin + row;
    const Share q = Share::of(qkv.row(t) + at.q, dim), d_out = Share::of(dout.row(t) + at.q, dim);
    const float d = d_out.dot(Share::of(out.row(t) + at.q, dim)), log_total = lse.row(t)[head];
    Share dq{};
    for (int64_t key = tile.first(row, scores.window); key < tile.visible(row); key++) {
      const T* keys = qkv.row(tile.key_row(key));
      const Share k = Share::of(keys + at.k, dim);
      const float s = scores.score(q.dot(k)), dp = d_out.dot(Share::of(keys + at.v, dim));
      dq.add(1, expf(s - log_total) * (dp - d) * scores.derivative(s), k);
    }
    dq.store(dqkv.row(t) + at.q, dim);
    if (lane_of() == 0) delta.row(t)[head] = d;
  });
}

// Gradients of keys and values: of all heads that read them, over all rows that see them. Grid: key tiles, key-value heads.
template <class T>
__global__ void key_gradient_kernel(Mat<const T> qkv, AttentionShape shape, Scores scores, const KeyTile* tiles, const QueryRange* readers,
                                    Mat<const float> lse, Mat<const T> dout, Mat<T> dqkv, Mat<const float> delta) {
  const KeyTile tile = tiles[blockIdx.x];
  const int64_t dim = shape.head_dim, heads = shape.heads / shape.kv_heads, first_head = blockIdx.y * heads;
  const HeadColumns at(shape, first_head);
  for_rows(tile.rows(), [&](int64_t row) {
    const T* keys = qkv.row(tile.begin + row);
    const Share k = Share::of(keys + at.k, dim), v = Share::of(keys + at.v, dim);
    Share dk{}, dv{};
    for (int64_t head = first_head; head < first_head + heads; head++) {
      for (int32_t r = tile.readers.first; r < tile.readers.last; r++) {
        const QueryRange range = tile.seen_by(readers[r], scores.window);
        for (int64_t t = range.begin; t < range.end; t++) {
          if (!sees(range.position + t - range.begin, tile.position + row, scores.window)) continue;
          const Share q = Share::of(qkv.row(t) + head * dim, dim), d_out = Share::of(dout.row(t) + head * dim, dim);
          const float s = scores.score(q.dot(k)), p = expf(s - lse.row(t)[head]);
          dv.add(1, p, d_out);
          dk.add(1, p * (d_out.dot(v) - delta.row(t)[head]) * scores.derivative(s), q);
        }
      }
    }
    dk.store(dqkv.row(tile.begin + row) + at.k, dim);
    dv.store(dqkv.row(tile.begin + row) + at.v, dim);
  });
}

void check_head(const AttentionShape& shape) {
  if (shape.head_dim > kPerLane * kWarp) throw std::invalid_argument("attention on a GPU: heads of " + std::to_string(shape.head_dim) + " elements");
}

dim3 grid_of(size_t tiles, int64_t heads) { return {static_cast<unsigned>(tiles), static_cast<unsigned>(heads)}; }

}  // namespace

template <class T>
void attention(Cuda& cuda, Mat<const T> qkv, AttentionShape shape, AttentionRule rule, const AttentionView& view, Mat<T> out,
               Mat<Stat<T>> lse, Mat<Stat<T>>) {
  if constexpr (std::is_same_v<T, Bf16>)
    if (attention_mma(cuda, qkv, shape, rule, view, out, lse)) return;
  check_head(shape);
  launch(cuda, "attention", grid_of(view.tiles.size(), shape.heads), dim3(kThreads), 0, forward_kernel<T>, qkv, shape, Scores(rule),
         view.tiles.data(), out, lse);
}

template <class T>
void attention_backward(Cuda& cuda, Mat<const T> qkv, AttentionShape shape, AttentionRule rule, const AttentionView& view, Mat<const T> out,
                        Mat<const Stat<T>> lse, Mat<const T> dout, Mat<T> dqkv, Mat<Stat<T>> scratch) {
  if constexpr (std::is_same_v<T, Bf16>)
    if (attention_backward_mma(cuda, qkv, shape, rule, view, out, lse, dout, dqkv, scratch)) return;
  check_head(shape);
  launch(cuda, "attention_backward, queries", grid_of(view.tiles.size(), shape.heads), dim3(kThreads), 0, query_gradient_kernel<T>, qkv, shape,
         Scores(rule), view.tiles.data(), out, lse, dout, dqkv, scratch);
  launch(cuda, "attention_backward, keys", grid_of(view.key_tiles.size(), shape.kv_heads), dim3(kThreads), 0, key_gradient_kernel<T>, qkv, shape,
         Scores(rule), view.key_tiles.data(), view.readers.data(), lse, dout, dqkv, Mat<const float>(scratch));
}

template <class T>
void cached_attention(Cuda& cuda, Mat<const T> qkv, AttentionShape shape, AttentionRule rule, Mat<const T> cache, const CachedView& view, Mat<T> out,
                      Mat<Stat<T>> scratch) {
  if constexpr (std::is_same_v<T, Bf16>)
    if (cached_attention_mma(cuda, qkv, shape, rule, cache, view, out, scratch)) return;
  check_head(shape);
  const dim3 grid(blocks_for(qkv.rows, kWarpsPerBlock), static_cast<unsigned>(shape.heads));
  launch(cuda, "cached_attention", grid, dim3(kThreads), 0, cached_kernel<T>, qkv, shape, Scores(rule), cache, view.segments.data(), out);
}

#define CONCORD_INSTANTIATE(T)                                                                                                            \
  template void attention<T>(Cuda&, Mat<const T>, AttentionShape, AttentionRule, const AttentionView&, Mat<T>, Mat<float>, Mat<float>);   \
  template void attention_backward<T>(Cuda&, Mat<const T>, AttentionShape, AttentionRule, const AttentionView&, Mat<const T>,             \
                                      Mat<const float>, Mat<const T>, Mat<T>, Mat<float>);                                     \
  template void cached_attention<T>(Cuda&, Mat<const T>, AttentionShape, AttentionRule, Mat<const T>, const CachedView&, Mat<T>, Mat<float>);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
