// Attention of single new tokens over cached keys and values. One task owns one sequence and one key-value head, so that
// with grouped queries each key is read once for all heads that share it.
#include <algorithm>
#include <vector>

#include "ops/cpu/simd.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

int64_t keys_of(const CachedSegment& s) { return s.prompt_end - s.prompt_begin + s.own_end - s.own_begin; }

// The last `window` of the keys that a segment sees; all where window is 0.
CachedSegment in_window(CachedSegment s, int64_t window) {
  const int64_t skip = window > 0 ? std::max<int64_t>(0, keys_of(s) - window) : 0;
  const int64_t of_prompt = std::min(skip, s.prompt_end - s.prompt_begin);
  s.prompt_begin += of_prompt;
  s.own_begin += skip - of_prompt;
  return s;
}

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
void cached_attention(Cpu& cpu, Mat<const T> qkv, AttentionShape shape, AttentionRule rule, Mat<const T> prompt_cache,
                      Mat<const T> own_cache, std::span<const CachedSegment> segments, Mat<T> out) {
  const T scale = T(rule.scale), cap = T(rule.softcap);
  const int64_t d = shape.head_dim, kv_cols = shape.kv_cols(), heads_per_kv = shape.heads / shape.kv_heads;
  cpu.for_each(static_cast<int64_t>(segments.size()) * shape.kv_heads, [&](int64_t task, int) {
    const int64_t s = task / shape.kv_heads, kv = task % shape.kv_heads;
    const CachedSegment segment = in_window(segments[s], rule.window);
    const int64_t keys = keys_of(segment);
    thread_local std::vector<T> scores;  // [heads_per_kv, keys]
    scores.resize(heads_per_kv * keys);
    const T* q = qkv.row(s) + kv * heads_per_kv * d;
    T* o = out.row(s) + kv * heads_per_kv * d;
    for_each_key<T>(segment, prompt_cache, own_cache, kv * d, kv_cols, [&](const T* k, const T*, int64_t i) {
      for (int64_t h = 0; h < heads_per_kv; h++) scores[h * keys + i] = scale * dot(q + h * d, k, d);
    });
    for (int64_t h = 0; h < heads_per_kv; h++) {
      T* row = scores.data() + h * keys;
      if (cap != 0) soft_cap_row(row, cap, keys);
      const T sum = exp_and_sum(row, max_of(row, keys), keys);
      for (int64_t i = 0; i < keys; i++) row[i] /= sum;
    }
    std::fill(o, o + heads_per_kv * d, T(0));
    for_each_key<T>(segment, prompt_cache, own_cache, kv * d, kv_cols, [&](const T*, const T* v, int64_t i) {
      for (int64_t h = 0; h < heads_per_kv; h++) axpy(scores[h * keys + i], v, o + h * d, d);
    });
  });
}

template void cached_attention<float>(Cpu&, Mat<const float>, AttentionShape, AttentionRule, Mat<const float>, Mat<const float>,
                                      std::span<const CachedSegment>, Mat<float>);
template void cached_attention<double>(Cpu&, Mat<const double>, AttentionShape, AttentionRule, Mat<const double>, Mat<const double>,
                                       std::span<const CachedSegment>, Mat<double>);

}  // namespace concord::ops
