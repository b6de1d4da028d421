// Attention of single new tokens over cached keys and values. One task owns one sequence and one key-value head, so that
// with grouped queries each key is read once for all heads that share it.
#include <algorithm>
#include <vector>

#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

// Calls f(key, value, i) for the i-th key that a segment sees, in order.
template <class T, class F>
void for_each_key(const CachedSegment& s, Mat<const T> prompt, Mat<const T> own, int64_t column, int64_t kv_cols, F&& f) {
  int64_t i = 0;
  const auto visit = [&](Mat<const T> cache, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) f(cache.row(row) + column, cache.row(row) + kv_cols + column, i++);
  };
  visit(prompt, s.prompt_begin, s.prompt_end);
  visit(own, s.own_begin, s.own_end);
}

}  // namespace

template <class T>
void cached_attention(Cpu& cpu, Mat<const T> qkv, AttentionShape shape, T scale, Mat<const T> prompt_cache,
                      Mat<const T> own_cache, std::span<const CachedSegment> segments, Mat<T> out) {
  const int64_t d = shape.head_dim, kv_cols = shape.kv_cols(), heads_per_kv = shape.heads / shape.kv_heads;
  cpu.for_each(static_cast<int64_t>(segments.size()) * shape.kv_heads, [&](int64_t task, int) {
    const int64_t s = task / shape.kv_heads, kv = task % shape.kv_heads;
    const CachedSegment& segment = segments[s];
    const int64_t keys = segment.prompt_end - segment.prompt_begin + segment.own_end - segment.own_begin;
    thread_local std::vector<T> scores;  // [heads_per_kv, keys]
    scores.resize(heads_per_kv * keys);
    const T* q = qkv.row(s) + kv * heads_per_kv * d;
    T* o = out.row(s) + kv * heads_per_kv * d;
    for_each_key<T>(segment, prompt_cache, own_cache, kv * d, kv_cols, [&](const T* k, const T*, int64_t i) {
      for (int64_t h = 0; h < heads_per_kv; h++) scores[h * keys + i] = scale * dot(q + h * d, k, d);
    });
    for (int64_t h = 0; h < heads_per_kv; h++) {
      T* row = scores.data() + h * keys;
      const T sum = exp_and_sum(row, max_of(row, keys), keys);
      for (int64_t i = 0; i < keys; i++) row[i] /= sum;
    }
    std::fill(o, o + heads_per_kv * d, T(0));
    for_each_key<T>(segment, prompt_cache, own_cache, kv * d, kv_cols, [&](const T*, const T* v, int64_t i) {
      for (int64_t h = 0; h < heads_per_kv; h++) axpy(scores[h * keys + i], v, o + h * d, d);
    });
  });
}

template void cached_attention<float>(Cpu&, Mat<const float>, AttentionShape, float, Mat<const float>, Mat<const float>,
                                      std::span<const CachedSegment>, Mat<float>);
template void cached_attention<double>(Cpu&, Mat<const double>, AttentionShape, double, Mat<const double>, Mat<const double>,
                                       std::span<const CachedSegment>, Mat<double>);

}  // namespace concord::ops
