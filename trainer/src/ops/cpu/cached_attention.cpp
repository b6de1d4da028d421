// Attention of single new tokens over cached keys and values. One task owns one sequence and one key-value head, so that
// with grouped queries each key is read once for all heads that share it.
#include <algorithm>
#include <vector>

#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {

template <class T>
void cached_attention(Cpu& cpu, Mat<const T> qkv, AttentionShape shape, AttentionRule rule, Mat<const T> cache, const CachedView& view, Mat<T> out,
                      Mat<Stat<T>>) {
  const T scale = T(rule.scale), cap = T(rule.softcap);
  const int64_t d = shape.head_dim, kv_cols = shape.kv_cols(), heads_per_kv = shape.heads / shape.kv_heads;
  cpu.for_each(static_cast<int64_t>(view.segments.size()) * shape.kv_heads, [&](int64_t task, int) {
    const int64_t s = task / shape.kv_heads, kv = task % shape.kv_heads;
    const CachedSegment& segment = view.segments[s];
    const int64_t first = segment.first(rule.window), keys = segment.keys() - first;
    const auto key = [&](int64_t i) { return cache.row(segment.key_row(first + i)) + kv * d; };
    thread_local std::vector<T> scores;  // [heads_per_kv, keys]
    scores.resize(heads_per_kv * keys);
    const T* q = qkv.row(s) + kv * heads_per_kv * d;
    T* o = out.row(s) + kv * heads_per_kv * d;
    for (int64_t i = 0; i < keys; i++)
      for (int64_t h = 0; h < heads_per_kv; h++) scores[h * keys + i] = scale * dot(q + h * d, key(i), d);
    for (int64_t h = 0; h < heads_per_kv; h++) {
      T* row = scores.data() + h * keys;
      if (cap != 0) soft_cap_row(row, cap, keys);
      const T sum = exp_and_sum(row, max_of(row, keys), keys);
      for (int64_t i = 0; i < keys; i++) row[i] /= sum;
    }
    std::fill(o, o + heads_per_kv * d, T(0));
    for (int64_t i = 0; i < keys; i++)
      for (int64_t h = 0; h < heads_per_kv; h++) axpy(scores[h * keys + i], key(i) + kv_cols, o + h * d, d);
  });
}

#define CONCORD_INSTANTIATE(T) \
  template void cached_attention<T>(Cpu&, Mat<const T>, AttentionShape, AttentionRule, Mat<const T>, const CachedView&, Mat<T>, Mat<T>);
CONCORD_INSTANTIATE(float)
CONCORD_INSTANTIATE(double)
#undef CONCORD_INSTANTIATE

}  // namespace concord::ops
